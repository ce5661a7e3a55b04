#!/bin/sh
# Builds the image. usage: build-backend.sh [TAG] [OPTION OF docker build ...]     TAG is holdfast:latest where not given.
#   BASE            the image to begin with (debian:trixie-slim); scripts/base-image.sh makes it where no registry is reached
#   CA_BUNDLE       certificates that downloads are checked against, where this network needs its own; in no layer
#   PIP_CONFIG_FILE a configuration of pip, such as a mirror's address with its password; in no layer
#   BUILD_NETWORK   the network of the build, such as host
set -eu
cd "$(dirname "$0")/.."
. scripts/engine.sh
tag=${1:-holdfast:latest}
[ $# = 0 ] || shift

epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
if [ -n "$(git status --porcelain 2>/dev/null)" ]; then revision=$revision-dirty; fi
version=$(sed -n 's/^__version__ = "\(.*\)"/\1/p' app/__init__.py)

[ -z "${CA_BUNDLE:-}" ] || set -- --secret "id=ca,src=$CA_BUNDLE" "$@"
[ -z "${PIP_CONFIG_FILE:-}" ] || set -- --secret "id=pip,src=$PIP_CONFIG_FILE" "$@"
[ -z "${BUILD_NETWORK:-}" ] || set -- --network "$BUILD_NETWORK" "$@"
"$DOCKER" build --progress plain --tag "$tag" \
    --build-arg "BASE=${BASE:-debian:trixie-slim}" \
    --build-arg "VERSION=$version" \
    --build-arg "REVISION=$revision" \
    --build-arg "CREATED=$(date -u -d "@$epoch" +%Y-%m-%dT%H:%M:%SZ)" \
    "$@" .
echo "$tag is built of $revision."
