# `holdfast` with all that it starts.
{ pkgs, packages, programs }:
pkgs.writeShellApplication {
  name = "holdfast";
  runtimeInputs = [ packages.runtime ] ++ programs;
  text = ''
    # Beside the code, where the state folder is else, nothing can be written.
    export STATE_DIR="''${STATE_DIR:-''${XDG_STATE_HOME:-$HOME/.local/state}/holdfast}"
    exec ${packages.runtime}/bin/holdfast "$@"
  '';
}
