# `nix develop`: the locked packages, the data servers and the media tools, on the source of the checkout.
# Nothing is started or written here: `supervisorctl start all` does.
{ pkgs, packages, programs }:
pkgs.mkShellNoCC {
  packages = [ packages.tools ] ++ programs;
  shellHook = ''
    PYTHONPATH=$PWD
    until [ -e "$PYTHONPATH/app/cli/supervisorctl.py" ] || [ -z "$PYTHONPATH" ]; do PYTHONPATH=''${PYTHONPATH%/*}; done
    export PYTHONPATH
    [ -n "$PYTHONPATH" ] || echo "no checkout of Holdfast is here: enter the shell within one" >&2
    # A stack outlives the shell that started it, and the shell's own temporary folder does not.
    unset TMPDIR TMP TEMP TEMPDIR
  '';
}
