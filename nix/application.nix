# The source that runs, with bytecode: for the store has no times, of unchecked hashes.
{ pkgs, python }:
pkgs.runCommand "holdfast-application" { nativeBuildInputs = [ python ]; } ''
  mkdir $out
  cp -r --no-preserve=mode ${../app} $out/app
  cp -r --no-preserve=mode ${../supervisor} $out/supervisor
  PYTHONHASHSEED=0 python3 -m compileall -q --invalidation-mode unchecked-hash $out/app
''
