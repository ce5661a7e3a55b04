#!/bin/sh
# Makes the installed dependencies small. What goes is not used here, and missed by none of them when they start.
set -eu
site=$(/opt/venv/bin/python3 -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
find "$site" -type f -name '*.so*' -exec strip --strip-unneeded {} +
# What is tried, what is compiled from, and what only editors read.
rm -rf "$site"/*/tests "$site"/*/testing "$site"/celery/contrib/testing
find "$site" -type f \( -name '*.c' -o -name '*.h' -o -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' \) -delete
# Pictures get no text, no colour profile and no window: Pillow's parts for that, with the libraries of these parts alone.
for part in _imagingft _imagingcms _imagingtk; do rm -f "$site"/PIL/$part.*; done
for library in libharfbuzz libfreetype libpng16 libbrotlidec libbrotlicommon liblcms2; do
    rm -f "$site"/pillow.libs/$library-*
done
# The same in C is there.
rm -f "$site"/zstandard/_cffi.*
# Of tracebacks on a terminal, only Python is put in colours; other languages are unknown then.
find "$site/pygments/lexers" -name '*.py' ! -name __init__.py ! -name _mapping.py ! -name python.py ! -name special.py -delete
sed -i "/'pygments\.lexers\./{/'pygments\.lexers\.\(python\|special\)'/!d}" "$site/pygments/lexers/_mapping.py"
# The exceptions of single brands of terminals.
rm -f "$site"/wcwidth/table_grapheme_overrides/_known_*
