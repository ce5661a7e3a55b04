# Packages of one system. They are built without a sandbox: what builds them is the host's.
{ system }:
let
  inherit (import ./lib.nix) getExe;
  binPath = packages: builtins.concatStringsSep ":" (map (package: "${package}/bin") packages);

  runCommand = name: { nativeBuildInputs ? [ ], buildInputs ? [ ], meta ? { }, ... }@given: script:
    derivation (removeAttrs given [ "nativeBuildInputs" "buildInputs" "meta" ] // {
      inherit name system;
      builder = "/bin/bash";
      PATH = "${binPath nativeBuildInputs}:/usr/bin:/bin:/usr/sbin";
      PYTHONDONTWRITEBYTECODE = "1"; # root could write into the store
      args = [ "-c" ''
        set -eo pipefail
        export NIX_SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
        cd "$TMPDIR"
        ${script}
        exit 0 # or the last program takes the shell's place, and Nix ends what closes its standard error
      '' ];
    }) // { inherit meta; };

  nothing = runCommand "nothing" { } "mkdir $out";
  writeText = name: text: runCommand name { inherit text; passAsFile = [ "text" ]; } "cp $textPath $out";
  closure = roots: [ "graph" (writeText "roots" (toString roots)) ];

  writeProgram = name: text: runCommand name { inherit text; passAsFile = [ "text" ]; } ''
    mkdir -p $out/bin
    { echo '#!/bin/sh'; cat $textPath; } >$out/bin/${name}
    chmod +x $out/bin/${name}
  '';

  # For the shell: links to what the host has.
  onHost = name: files: runCommand name { } "mkdir -p $out/bin; ln -s ${files} $out/bin/";

  # For the image: copies, with the loader and the libraries that they need.
  fromHost = name: { programs ? name, libraries ? "", more ? "" }:
    runCommand name { meta.mainProgram = name; } ''
      mkdir -p $out/bin $out/lib
      for program in ${programs}; do cp -L "$(type -P "$program")" $out/bin/; done
      for library in ${libraries}; do cp -L /usr/lib/*-linux-gnu/$library $out/lib/; done
      ${more}
      chmod -R u+w $out
      elfs() { find $out -type f \( -perm -100 -o -name '*.so*' \) -exec grep -lq '^.ELF' {} \; -print; }
      elfs | xargs ldd 2>/dev/null | grep -oP '/\S+(?= \(0x)' | sort -u | xargs cp -Lnt $out/lib || true
      for file in $(elfs | grep -v '/ld-linux\|/libc\.so'); do
        patchelf --force-rpath --set-rpath $out/lib $file
        patchelf --set-interpreter $out/lib/ld-linux*.so.* $file 2>/dev/null || true # a library has none
      done
    '';

  bash = fromHost "bash" { };

  # `nix develop` runs a script of its own, which reads $stdenv/setup and $outputs.
  mkShellNoCC = { packages, ... }@given:
    runCommand "shell" (removeAttrs given [ "packages" ] // {
      nativeBuildInputs = packages;
      outputs = [ "out" ];
      stdenv = runCommand "stdenv" { } "mkdir $out; touch $out/setup";
    }) "";

  writeShellApplication = { name, text, runtimeInputs ? [ ] }:
    runCommand name { inherit text; passAsFile = [ "text" ]; meta.mainProgram = name; } ''
      mkdir -p $out/bin
      {
        printf '#!%s\nset -o errexit -o nounset -o pipefail\n' ${getExe bash}
        [ -z "${binPath runtimeInputs}" ] || echo 'export PATH="${binPath runtimeInputs}:$PATH"'
        cat $textPath
      } >$out/bin/${name}
      chmod +x $out/bin/${name}
      shellcheck $out/bin/${name}
    '';

  python = fromHost "python3.13" {
    libraries = "{libstdc++.so.6,libgcc_s.so.1,libz.so.1,librt.so.1,libdl.so.2,libpthread.so.0,libutil.so.1,libresolv.so.2}";
    more = ''
      ln -s python3.13 $out/bin/python3
      cp -r /usr/lib/python3.13 $out/lib/
      rm -rf $out/lib/python3.13/{EXTERNALLY-MANAGED,sitecustomize.py,test,config-*}
      find $out/lib/python3.13 -name __pycache__ -prune -exec rm -r {} +
      python3.13 -m compileall -q -j 0 --invalidation-mode unchecked-hash $out/lib/python3.13
    '';
  };
in
{
  bashInteractive = bash;
  inherit mkShellNoCC runCommand writeShellApplication;
  stdenv = { hostPlatform = { inherit system; }; cc.cc = nothing; };
  # Python's libraries serve the wheels too. Only where one is needed: Debian's patchelf breaks some files.
  autoPatchelfHook = writeProgram "autoPatchelf" ''
    find "$2" -type f -name '*.so*' | while read -r file; do
      if patchelf --print-needed "$file" | grep -qv '^lib\(c\|m\|dl\|rt\|pthread\)\.so\|^ld-linux'; then
        patchelf --add-rpath ${python}/lib "$file"
      fi
    done
  '';
  python313 = python // { pythonVersion = "3.13"; sitePackages = "lib/python3.13/site-packages"; };
  closureInfo = { rootPaths }: runCommand "closure-info" { exportReferencesGraph = closure rootPaths; } ''
    mkdir $out
    grep '^/nix/store/' graph | sort -u >$out/store-paths
  '';
  coreutils = fromHost "coreutils" { programs = "$(dpkg -L coreutils | grep '/bin/')"; };
  dash = fromHost "dash" { };
  findutils = fromHost "findutils" { programs = "find xargs"; };
  gnugrep = fromHost "grep" { };
  cacert = runCommand "cacert" { } "install -D -m 444 {,$out}/etc/ssl/certs/ca-certificates.crt; ln -s ca-certificates.crt $out/etc/ssl/certs/ca-bundle.crt";
  redis = onHost "redis" "/usr/bin/redis-*";
  postgresql.withPackages = _: onHost "postgresql" "/usr/lib/postgresql/*/bin/*";
  ffmpeg-headless = onHost "ffmpeg" "/usr/bin/ff{mpeg,probe}" // {
    override = import ./ffmpeg.nix (fromHost "ffmpeg" { programs = "ffmpeg ffprobe"; });
  };
  dockerTools = import ./image.nix { inherit system runCommand writeText closure; };
}
