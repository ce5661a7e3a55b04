#!/bin/sh
# Tries an image: it exists, starts, turns healthy, answers, is not root, and more; prints each check with its verdict.
# usage: test-backend.sh [TAG] [OPTION OF pytest ...]     TAG is holdfast:latest where not given.
# PostgreSQL and Redis are those that TEST_DATABASE_URL and TEST_REDIS_URL name, or the embedded ones.
set -eu
cd "$(dirname "$0")/.."
. scripts/engine.sh
HOLDFAST_IMAGE=${1:-holdfast:latest}
export HOLDFAST_IMAGE
[ $# = 0 ] || shift
make -s .venv/.installed-dev
"$DOCKER" image inspect "$HOLDFAST_IMAGE" >/dev/null || { echo "build it first: scripts/build-backend.sh $HOLDFAST_IMAGE" >&2; exit 1; }
exec .venv/bin/pytest -p no:randomly --verbose --no-header tests/container/test_backend.py "$@"
