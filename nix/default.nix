# What the flake has for one system.
{ lib, pkgs, source }:
let
  python = pkgs.python313;
  version = lib.head (builtins.match ".*__version__ = \"([^\"]*)\".*" (builtins.readFile ../app/__init__.py));
  wheels = import ./wheels.nix { inherit lib pkgs python; };
  environment = import ./environment.nix { inherit lib pkgs python; };
  commands = import ./commands.nix { inherit pkgs python; };
  media = import ./media.nix { inherit pkgs; };
  programs = import ./programs.nix { inherit pkgs; };
  image = import ./image.nix { inherit lib pkgs python version source packages media; };
  app = name: description: text: {
    type = "app";
    program = lib.getExe (pkgs.writeShellApplication { inherit name text; });
    meta = { inherit description; };
  };
  packages = {
    wheels = wheels.fetched ../requirements.txt;
    wheels-dev = wheels.fetched ../requirements-dev.txt;
    environment = environment "holdfast-packages" packages.wheels;
    environment-dev = environment "holdfast-packages-dev" packages.wheels-dev;
    application = import ./application.nix { inherit pkgs python; };
    runtime = commands.runtime { inherit version; inherit (packages) environment application; };
    tools = commands.tools { environment = packages.environment-dev; };
    default = import ./command.nix { inherit pkgs packages programs; };
    dockerImage = pkgs.dockerTools.buildLayeredImage image; # docker load < result
    streamDockerImage = pkgs.dockerTools.streamLayeredImage image; # ./result | docker load
  };
in
{
  inherit packages;
  devShells.default = import ./shell.nix { inherit pkgs packages programs; };
  apps.default = app "holdfast-foreground" "Start the whole stack and show its log" ''
    exec ${lib.getExe packages.default} up --foreground "$@"
  '';
  apps.update-wheels = app "update-wheels" "Write nix/wheels.json after a change of the lock files" wheels.update;
  checks = import ./checks.nix { inherit pkgs source packages programs image; };
}
