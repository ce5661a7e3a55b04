# Read by the scripts that use a container engine: DOCKER, a client that can build with BuildKit.
# A client may lack the plugin that it builds with; Debian's own needs none.
can_build() { "$1" buildx version >/dev/null 2>&1 || "$1" --version 2>/dev/null | grep -q 'version 2[0-2]\.'; }
if [ -z "${DOCKER:-}" ]; then
    DOCKER=docker
    for candidate in docker /usr/bin/docker; do
        if can_build "$candidate"; then DOCKER=$candidate; break; fi
    done
fi
export DOCKER DOCKER_BUILDKIT=1
