# Stands in for nixpkgs where neither that nor its binary cache can be had: the names that our flake uses, with
# the same meaning, over the programs of a Debian 13. It shows that our expressions evaluate, and that what they
# describe is built and runs; of nixpkgs' own packages it shows nothing.
#
# names.json lists all that is used of nixpkgs. Nothing else is there: using more, or less, is seen.
{
  outputs = _:
    let
      names = builtins.fromJSON (builtins.readFile ./names.json);
      only = names: set:
        builtins.mapAttrs (name: inner: if builtins.isList inner then set.${name} else only inner set.${name}) names;
      lib = only names.lib (import ./lib.nix);
      system = name: {
        inherit name;
        # `nix develop` itself looks for a bash there.
        value = only (names.pkgs // { bashInteractive = [ ]; }) (import ./pkgs.nix { system = name; });
      };
    in
    {
      inherit lib;
      legacyPackages = builtins.listToAttrs (map system [ "x86_64-linux" "aarch64-linux" ]);
    };
}
