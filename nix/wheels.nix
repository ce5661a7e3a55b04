# The wheels that a lock file pins: one fixed-output derivation a file and system. Their hashes stand in
# wheels.json, which `make lock` and `nix run .#update-wheels` write for all systems on any machine.
{ lib, pkgs, python }:
let
  table = lib.importJSON ./wheels.json;
  inherit (pkgs.stdenv.hostPlatform) system;
in
assert table.python == python.pythonVersion;
{
  # The name has the hash of the file: after an edit nothing of that name is there, the wheels are fetched
  # again, and Nix tells of what wheels.json does not expect.
  fetched = lock:
    pkgs.runCommand "wheels-${lib.substring 0 8 (builtins.hashFile "sha256" lock)}" {
      nativeBuildInputs = [ python pkgs.cacert ];
      impureEnvVars = lib.fetchers.proxyImpureEnvVars ++ [ "PIP_INDEX_URL" ];
      outputHashMode = "recursive";
      outputHashAlgo = "sha256";
      outputHash = table.locks.${baseNameOf lock}.${system};
    } ''
      export HOME=$TMPDIR PIP_CONFIG_FILE=/dev/null PIP_NO_CACHE_DIR=1 PIP_CERT=$NIX_SSL_CERT_FILE
      python3 -m venv pip
      pip/bin/python3 ${./wheels}/fetch.py ${system} ${lock} $out
    '';

  # The text of a program.
  update = ''
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    ${lib.getExe python} -m venv "$work"
    "$work/bin/python3" ${./wheels}/update.py
  '';
}
