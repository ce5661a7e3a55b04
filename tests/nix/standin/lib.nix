# Of nixpkgs' library what our flake uses.
with builtins;
rec {
  inherit head mapAttrs substring;
  genAttrs = names: f: listToAttrs (map (name: { inherit name; value = f name; }) names);
  nameValuePair = name: value: { inherit name value; };
  mapAttrsToList = f: set: map (name: f name set.${name}) (attrNames set);
  mapAttrs' = f: set: listToAttrs (mapAttrsToList f set);
  importJSON = file: fromJSON (readFile file);
  getExe = package: "${package}/bin/${package.meta.mainProgram or (throw "${package.name} has no meta.mainProgram")}";
  getBin = package: package;
  getLib = package: package;
  fetchers.proxyImpureEnvVars =
    [ "http_proxy" "https_proxy" "ftp_proxy" "all_proxy" "no_proxy" "HTTP_PROXY" "HTTPS_PROXY" "NO_PROXY" ];
}
