#!/bin/sh
# Makes the installed dependencies small, and the same in every build.
set -eu
site=$(/opt/venv/bin/python3 -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
find "$site" -type f -name '*.so*' -exec strip --strip-unneeded {} +
# What is tried, what is compiled from, and what only editors read.
rm -rf "$site"/*/tests "$site"/*/testing "$site"/celery/contrib/testing
find "$site" -type f \( -name '*.c' -o -name '*.h' -o -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' \) -delete
# Any directory may be the working one.
echo /app >"$site/holdfast.pth"
# The source is never looked at again, for its times say nothing in an image. What no program here imports goes without.
/opt/venv/bin/python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash \
    -x '/(pycparser|wcwidth/table_grapheme_overrides/[^_])' \
    "$site"
