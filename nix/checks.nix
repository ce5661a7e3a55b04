# `nix flake check`. What needs more than a build may have, such as a container engine, is not here.
{ pkgs, source, packages, programs, image }:
let
  # In a copy of the source, with the tools of development.
  inSource = name: script:
    pkgs.runCommand "holdfast-${name}" { nativeBuildInputs = [ packages.tools ] ++ programs; } ''
      cp -r --no-preserve=mode ${source} source
      cd source
      export HOME=$TMPDIR PYTHONPATH=$PWD PYTHONDONTWRITEBYTECODE=1
      ${script}
      touch $out
    '';
  test = name: paths: inSource name "pytest -q -p no:cacheprovider ${paths}";
  compiler = "-(gcc|binutils|clang|llvm|rustc|cargo|go)(-wrapper)?-[0-9.]+$";
  headers = "-(linux-headers|[^-]*-headers)-[0-9.]+$|-dev$";
in
{
  contract = inSource "contract" "ruff check --no-cache .; lint-imports --no-cache";
  configuration = test "configuration" "tests/supervision/test_configuration.py";
  tests = test "tests" "tests/core tests/schemas tests/exceptions tests/migrations tests/nix";

  # The whole stack on servers of nixpkgs, on a port that is free where a build has the machine's network.
  smoke = pkgs.runCommand "holdfast-smoke" { nativeBuildInputs = [ packages.default packages.runtime ]; } ''
    export HOME=$TMPDIR STATE_DIR=$TMPDIR/state
    export PORT=$(python3 -c 'from app.supervision.state import free_port; print(free_port())')
    ${packages.default}/bin/holdfast up --json
    ended=0
    ${packages.default}/bin/holdfast status || ended=$?
    ${packages.default}/bin/holdfast down
    [ $ended = 0 ]
    touch $out
  '';

  # What runs, runs without what compiles.
  closure = pkgs.runCommand "holdfast-closure" { } ''
    paths=${pkgs.closureInfo { rootPaths = image.contents; }}/store-paths
    grep -q -- -holdfast-packages $paths
    if grep -E -e '${compiler}' -e '${headers}' $paths; then exit 1; fi
    touch $out
  '';
  image = packages.dockerImage;
}
