# Read by .ci/run: an engine, the images built in it beside other work, and the tests of them.
. .ci/beside.sh

image_begin() {
    work=$(mktemp -d)
    engine_pid=
    build_pid=
    trap image_end EXIT
    . scripts/engine.sh
    if ! "$DOCKER" version >/dev/null 2>&1; then
        [ "$(id -u)" = 0 ] || return 0
        start_engine || return 0
    fi
    have_compose || true # image_test tells
    begin_beside "$work/build.log" build_image
    build_pid=$beside_pid
}

# An engine of our own, with its data where it can be thrown away; it gives way to the tests.
start_engine() {
    DOCKER=/usr/bin/docker
    mkdir "$work/engine"
    mountpoint -q /sys/fs/cgroup || cgroupfs-mount # where no init system has done it
    nice -n 10 dockerd --data-root "$work/engine/data" --exec-root "$work/engine/exec" --pidfile "$work/engine/pid" \
        >"$work/engine.log" 2>&1 &
    engine_pid=$!
    for _ in $(seq 60); do
        if "$DOCKER" version >/dev/null 2>&1; then return 0; fi
        kill -0 "$engine_pid" 2>/dev/null || break
        sleep 1
    done
    tail -n 20 "$work/engine.log" >&2
    echo "the container engine did not start" >&2
    return 1
}

# Debian 12 has no compose that reads these files. That of Debian 13 is one program that needs no more than Debian 12 has.
have_compose() {
    if "$DOCKER" compose version >/dev/null 2>&1; then return 0; fi
    command -v apt-get >/dev/null || return 1
    local apt=$work/apt
    mkdir -p "$apt/lists/partial" "$work/client/cli-plugins"
    local mirror # the one that this machine has its packages from
    mirror=$(apt-get indextargets --format '$(REPO_URI)' | grep -v security | head -n 1)
    [ -n "$mirror" ] || return 1
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$apt/sources"
    (
        cd "$apt"
        set -- -qq -o "Dir::Etc::SourceList=$apt/sources" -o Dir::Etc::SourceParts=/dev/null \
            -o "Dir::State::Lists=$apt/lists" -o "Dir::Cache=$apt" -o APT::Sandbox::User=root
        apt-get "$@" update && apt-get "$@" download docker-compose && dpkg-deb --extract docker-compose_*.deb tree
    ) || return 1
    ln -s "$apt/tree/usr/libexec/docker/cli-plugins/docker-compose" "$work/client/cli-plugins/"
    export DOCKER_CONFIG=$work/client
    "$DOCKER" compose version
}

# Twice, to compare: what the second build makes anew must be the same. What both are given must be in no layer.
build_image() {
    set -e
    sh scripts/base-image.sh
    local authorities=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
    echo "planted-$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')" >"$work/planted"
    { if [ -r "$authorities" ]; then cat "$authorities"; fi; echo "# $(cat "$work/planted")"; } >"$work/ca.crt"
    printf '# %s\n[global]\nprogress-bar = off\n' "$(cat "$work/planted")" >"$work/pip.conf"
    export CA_BUNDLE="$work/ca.crt" PIP_CONFIG_FILE="$work/pip.conf" BUILD_NETWORK=host
    sh scripts/build-backend.sh holdfast:ci
    sh scripts/build-backend.sh holdfast:development --target development
    sh scripts/build-backend.sh holdfast:again --build-arg FRESH=2
    "$DOCKER" build --progress plain --network host --tag holdfast:data tests/container/data
}

image_test() {
    if [ -z "$build_pid" ]; then
        echo "The image is not tried: no container engine answers, and none could be started here."
        [ "$(id -u)" != 0 ] # root can start one
        return
    fi
    if ! wait "$build_pid"; then
        tail -n 60 "$work/build.log"
        echo "FAILED image build"
        return 1
    fi
    local failed=0
    has_compose || failed=1
    # In their order: what is looked at in a quiet container comes before what is killed in it.
    HOLDFAST_IMAGE=holdfast:ci HOLDFAST_IMAGE_AGAIN=holdfast:again PLANTED_SECRET=$(cat "$work/planted") \
        HOLDFAST_DEV_IMAGE=holdfast:development POSTGRES_IMAGE=holdfast:data REDIS_IMAGE=holdfast:data \
        .venv/bin/pytest -q -p no:randomly tests/container || failed=1
    return "$failed"
}

# Where tests would pass over the compose files, say so; root could have had all of it.
has_compose() {
    local why
    why=$(.venv/bin/python -c 'from tests.container.compose import lacks_compose; print(lacks_compose())') || return 1
    [ -n "$why" ] || return 0
    echo "Compose files are not brought up: $why."
    [ "$(id -u)" != 0 ] || { echo "FAILED compose files"; return 1; }
}

image_end() {
    # Nothing here may change how the run has ended.
    end_beside "$build_pid"
    if [ -n "$engine_pid" ]; then
        kill "$engine_pid" 2>/dev/null || true
        wait "$engine_pid" 2>/dev/null || true
        umount "$work"/engine/exec/netns/* 2>/dev/null || true
    fi
    rm -rf "$work" || true
}
