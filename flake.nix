{
  description = "Holdfast: HTTP API, workers and scheduler under one supervisor";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      perSystem = lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (
        system:
        import ./nix {
          inherit lib;
          pkgs = nixpkgs.legacyPackages.${system};
          source = self;
        }
      );
      output = name: lib.mapAttrs (_: outputs: outputs.${name}) perSystem;
    in
    {
      packages = output "packages";
      devShells = output "devShells";
      apps = output "apps";
      checks = output "checks";
    };
}
