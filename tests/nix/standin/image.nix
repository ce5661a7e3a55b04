# Images of two layers: the closure of contents and configuration, and on it the contents, linked into the root.
{ system, runCommand, writeText, closure }:
let
  build = { name, tag, contents, extraCommands, fakeRootCommands, config }:
    let
      document = writeText "${name}.json" (builtins.toJSON {
        inherit config;
        os = "linux";
        architecture = { x86_64-linux = "amd64"; aarch64-linux = "arm64"; }.${system};
        rootfs = { type = "layers"; diff_ids = [ "sha256:@store@" "sha256:@root@" ]; };
        history = map (comment: { inherit comment; }) [ "store paths: ${toString contents}" "customisation layer" ];
      });
    in
    runCommand "${name}.tar" {
      exportReferencesGraph = closure ([ document ] ++ contents);
      manifest = builtins.toJSON [
        { Config = "config.json"; RepoTags = [ "${name}:${tag}" ]; Layers = [ "store.tar" "root.tar" ]; }
      ];
    } ''
      mkdir root image
      for content in ${toString contents}; do cp -rs --update=none --no-preserve=mode $content/. root/; done
      (cd root; ${extraCommands})
      (cd root; ${fakeRootCommands})
      same="--sort=name --mtime=@1 --numeric-owner"
      grep -h '^/nix/store/' graph | cut -c2- | sort -u |
        tar cf image/store.tar $same --owner=0 --group=0 --mode=a-w -C / -T -
      tar cf image/root.tar $same -C root .
      sum() { sha256sum <image/$1.tar | cut -c-64; }
      sed "s/@store@/$(sum store)/; s/@root@/$(sum root)/" ${document} >image/config.json
      echo "$manifest" >image/manifest.json
      tar cf $out $same -C image .
    '';
in
{
  buildLayeredImage = build;
  streamLayeredImage = given:
    runCommand "stream-${given.name}" { } "printf '#!/bin/sh\nexec cat ${build given}\n' >$out; chmod +x $out";
}
