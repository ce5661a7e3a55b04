#!/bin/sh
# Makes the virtual environment, with uv in it. Needs nothing but Python 3.11 or newer with venv.
set -eu
python=${PYTHON:-python3}
venv=${VENV:-.venv}

say() { printf 'error: %s\n' "$1" >&2; exit 1; }

supported() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null
}

if ! command -v "$python" >/dev/null 2>&1; then
    say "$python was not found: install Python 3.11 or newer (Debian, Ubuntu: apt-get install python3 python3-venv)"
fi
if ! supported "$python"; then
    for candidate in python3.13 python3.12 python3.14 python3.11; do
        if supported "$candidate"; then python=$candidate; break; fi
    done
fi
if ! supported "$python"; then
    say "$("$python" --version 2>&1) is not supported: install Python 3.11 to 3.14, or name one with make PYTHON=..."
fi
if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    say "this Python has no venv: install it (Debian, Ubuntu: apt-get install python$version-venv)"
fi
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
"$venv/bin/python" -m pip install -q --disable-pip-version-check uv
