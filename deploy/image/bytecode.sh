#!/bin/sh
# Compiles the installed dependencies, the same in every build.
set -eu
site=$(/opt/venv/bin/python3 -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
# Any directory may be the working one.
echo /app >"$site/holdfast.pth"
# The source is never looked at again, for its times say nothing in an image. What no program here imports goes without.
/opt/venv/bin/python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash -x /pycparser "$site"
