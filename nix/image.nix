# What dockerTools is to make: an image that has the paths, the account, the environment and the commands of the
# Dockerfile's, so that the same manifests and tests take both.
{ lib, pkgs, python, version, source, packages, media }:
let
  seconds = number: number * 1000000000;
  root = pkgs.runCommand "holdfast-root" { } ''
    mkdir -p $out/app $out/opt $out/usr/bin $out/usr/local/bin $out/usr/share $out/etc/ssl/certs
    ln -s ${packages.application}/* $out/app/
    ln -s ${packages.runtime} $out/opt/venv
    ln -s ${packages.runtime}/bin/python3 ${pkgs.coreutils}/bin/* ${pkgs.findutils}/bin/* ${pkgs.gnugrep}/bin/* $out/usr/bin/
    ln -s ${pkgs.dash}/bin/dash $out/usr/bin/sh
    ln -s usr/bin $out/bin
    ln -s ${lib.getBin media}/bin/ff* $out/usr/local/bin/
    ln -s ${pkgs.cacert}/etc/ssl/certs/ca-bundle.crt $out/etc/ssl/certs/ca-certificates.crt
    # Time zones are those of the locked dependencies, for all.
    ln -s ${packages.environment}/${python.sitePackages}/tzdata/zoneinfo $out/usr/share/zoneinfo
    echo 'hosts: files dns' >$out/etc/nsswitch.conf
    echo 'root:x:0:' >$out/etc/group
    echo 'root:x:0:0:root:/root:/usr/sbin/nologin' >$out/etc/passwd
    echo 'appuser:x:10001:0:Holdfast:/nonexistent:/usr/sbin/nologin' >>$out/etc/passwd
  '';
in
{
  name = "holdfast";
  tag = "nix";
  contents = [ root ];
  # The store keeps no such rights.
  extraCommands = ''
    mkdir -m 1777 tmp run
    mkdir -m 0770 workspace
  '';
  fakeRootCommands = "chown 10001:0 workspace";
  config = {
    Cmd = [ "holdfast" "run" ];
    User = "10001:0";
    WorkingDir = "/app";
    Volumes."/workspace" = { };
    ExposedPorts."8000/tcp" = { };
    StopSignal = "SIGTERM";
    Env = lib.mapAttrsToList (name: value: "${name}=${value}") {
      PATH = "/opt/venv/bin:/usr/local/bin:/usr/bin";
      PYTHONUNBUFFERED = "1";
      PYTHONDONTWRITEBYTECODE = "1";
      APP_ENV = "production";
      HOST = "0.0.0.0";
      STATE_DIR = "/run/holdfast";
      RUN_DIR = "/run/holdfast";
      WORKSPACE_ROOT = "/workspace";
      SSL_CERT_FILE = "/etc/ssl/certs/ca-certificates.crt";
    };
    Healthcheck = {
      Test = [ "CMD" "/usr/bin/python3" "-I" "-S" "/app/app/supervision/healthcheck.py" ];
      Interval = seconds 30;
      Timeout = seconds 10;
      StartPeriod = seconds 60;
      Retries = 3;
    };
    Labels = lib.mapAttrs' (name: lib.nameValuePair "org.opencontainers.image.${name}") {
      title = "Holdfast";
      description = "HTTP API, workers and scheduler under one supervisor";
      inherit version;
      revision = source.rev or source.dirtyRev or "unknown";
      created = import ./time.nix { inherit lib; } source.lastModifiedDate;
      "base.name" = "nixpkgs";
    };
  };
}
