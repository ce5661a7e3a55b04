# Read by .ci/run: Nix in a tree of Debian 13, and all that the flake has, on tests/nix/standin in the place of nixpkgs.
# What only builds and downloads runs beside other work; the shell and the image are tried after it.
. .ci/beside.sh

nix_begin() {
    nix_work=$(mktemp -d)
    nix_pid=
    nix_why=
    [ "$(id -u)" = 0 ] || nix_why="it takes root to enter a tree of Debian's packages"
    command -v debootstrap >/dev/null || nix_why=${nix_why:-"debootstrap is not installed"}
    [ -z "$nix_why" ] || return 0
    tree=$nix_work/tree
    begin_beside "$nix_work/log" nice -n 10 bash -c 'set -euo pipefail; . .ci/nix.sh; tree=$1; nix_build' nix "$tree"
    nix_pid=$beside_pid
}

nix_test() {
    if [ -z "$nix_pid" ]; then
        echo "The flake is not tried: $nix_why."
        [ "$(id -u)" != 0 ] # root can have all of it
        return
    fi
    local begin=$SECONDS
    if ! wait "$nix_pid"; then
        tail -n 60 "$nix_work/log"
        echo "FAILED nix: $(sed -n 's/^== //p' "$nix_work/log" | tail -n 1)"
        return 1
    fi
    grep '^== ' "$nix_work/log"
    local failed=0
    nix_shell || { echo "FAILED nix: the development shell"; failed=1; }
    nix_image || { echo "FAILED nix: the image"; failed=1; }
    echo "nix took $((SECONDS - begin)) s more after all other tests"
    return "$failed"
}

nix_end() {
    # Nothing here may change how the run has ended.
    end_beside "${nix_pid:-}"
    if [ -n "${nix_work:-}" ]; then rm -rf --one-file-system "$nix_work" || true; fi
}

# ---- in the tree ----------------------------------------------------------------------------------------------------

# inside COMMAND...: with mounts and processes that end with the command. The shell stays, for as the first process it
# has to take in the others that lose their parents.
inside() {
    unshare --mount --pid --fork --kill-child sh -ec '
        mount -t proc proc "$0/proc"
        mount --rbind /dev "$0/dev"
        chroot "$0" "$@"
        exit $?' "$tree" /usr/bin/env -i -C /src \
        HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive \
        NIX_CONFIG="$(printf '%s\n' 'experimental-features = nix-command flakes' 'flake-registry =' 'substituters =' \
            'sandbox = false' 'build-users-group =' 'max-jobs = 2')" \
        "$@"
}

# flake VERB ARGUMENT...: nix on the stand-in; the lock stays as it is
flake() {
    local verb=$1
    shift
    inside nix $verb --quiet --override-input nixpkgs path:/src/tests/nix/standin --no-write-lock-file "$@"
}

step() { echo "== $(date +%T) $*"; }

nix_build() {
    step "a tree of Debian 13 with Nix"
    debootstrap --variant=minbase --include=ca-certificates trixie "$tree" >/dev/null
    chmod 755 "$tree"
    if [ -r /etc/ssl/certs/ca-certificates.crt ]; then # a network may have an authority of its own
        cp /etc/ssl/certs/ca-certificates.crt "$tree/etc/ssl/certs/"
    fi
    git clone -q . "$tree/src"
    inside apt-get update -qq
    inside apt-get install -y -qq --no-install-recommends nix-bin git curl python3-venv patchelf shellcheck dash \
        redis-server postgresql-17-pgvector ffmpeg >/dev/null

    step "the lock is of what flake.nix names"
    inside nix flake lock --offline
    inside git diff --exit-code

    step "every output evaluates, for both systems"
    flake "flake check" --no-build --all-systems

    step "wheels.json is of the lock files, for both systems"
    flake run .#update-wheels
    inside git diff --exit-code

    step "the image"
    flake build --out-link /image .#dockerImage
    flake build --no-link .#streamDockerImage

    step "the checks"
    flake "flake check" --print-build-logs

    step "the command starts"
    flake run . -- --help >/dev/null

    step "an edit of the application makes nothing anew but that"
    nix_edit
    step "built"
}

# nix_paths NAME...: where these packages' derivations are
nix_paths() {
    for name; do flake eval --raw ".#$name.drvPath" && echo || return 1; done
}

nix_edit() {
    local kept="wheels wheels-dev environment environment-dev tools" before after
    before=$(nix_paths $kept application) || return 1
    echo '# edited' >>"$tree/src/app/main.py"
    after=$(nix_paths $kept application) || return 1
    inside git checkout -q app
    [ "$(echo "$before" | head -n 5)" = "$(echo "$after" | head -n 5)" ]
    [ "$(echo "$before" | tail -n 1)" != "$(echo "$after" | tail -n 1)" ]
}

# ---- beside the tree ------------------------------------------------------------------------------------------------

nix_shell() {
    step "nix develop: supervisorctl starts everything, a video is processed, and again after a shutdown"
    flake develop --command sh tests/nix/in_shell.sh
}

nix_image() {
    if [ -z "${DOCKER:-}" ] || ! "$DOCKER" version >/dev/null 2>&1; then
        echo "The flake's image is not tried: no container engine answers."
        return 1
    fi
    step "the image in a container engine"
    "$DOCKER" load --quiet --input "$tree$(readlink "$tree/image")" || return 1
    HOLDFAST_IMAGE=holdfast:nix .venv/bin/pytest -q -p no:randomly tests/container
}
