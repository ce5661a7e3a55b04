#!/bin/sh
# `nix develop -c sh tests/nix/in_shell.sh`: nothing is there, then everything is, twice (C3).
set -eu
PORT=$(python3 -c 'from app.supervision.state import free_port; print(free_port())')
export PORT
fail() { echo "$1" >&2; exit 1; }
# 503 is worth another try: the first questions to the servers may take longer than readiness waits
is_ready() { curl -fsS --retry 60 --retry-delay 1 "http://127.0.0.1:$PORT/health/ready"; }
# supervisorctl ends with 4 where there is no supervisord
nothing_runs() { code=0; supervisorctl status || code=$?; [ "$code" = 4 ]; }

[ -z "$(git status --porcelain --ignored)" ] || fail "entering the shell wrote something"
nothing_runs || fail "entering the shell started something"

ruff check --quiet --no-cache .
mypy --cache-dir /dev/null app/core/exit_codes.py

supervisorctl start all >told
supervisorctl status
is_ready
python3 -m tests.nix.first_video "http://127.0.0.1:$PORT" "$(sed -n 's/^One-time password: \([^ ]*\).*/\1/p' told)"
supervisorctl shutdown

supervisorctl start all
supervisorctl status
is_ready
holdfast down
nothing_runs || fail "something still runs"
