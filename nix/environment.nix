# A virtual environment of fetched wheels, made offline. Nothing of the application is in it, so an edit
# installs no package anew.
{ lib, pkgs, python }:
name: wheels:
pkgs.runCommand name {
  nativeBuildInputs = [ python pkgs.autoPatchelfHook ];
  # What the wheels of manylinux expect a system to have.
  buildInputs = [ (lib.getLib pkgs.stdenv.cc.cc) pkgs.zlib ];
} ''
  python3 -m venv boot # its pip does the work and stays out of the result
  python3 -m venv --without-pip $out
  boot/bin/pip --python $out/bin/python3 install --quiet --no-cache-dir --disable-pip-version-check --no-compile \
    --no-index --find-links ${wheels} --no-deps --require-hashes --requirement ${wheels}/requirements.txt
  rm $out/bin/[Aa]ctivate*
  autoPatchelf -- $out
  # The store has no times, and nothing can be written there when a program runs.
  PYTHONHASHSEED=0 $out/bin/python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash $out/lib
''
