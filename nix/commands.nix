# Environments of commands: thin ones, over the packages of another. supervisorctl reads the configuration in
# its own environment's `etc`; that it is there also keeps `holdfast up` from linking one into the store.
{ pkgs, python }:
let
  thin = name: environment: script:
    pkgs.runCommand name { nativeBuildInputs = [ python ]; meta.mainProgram = "holdfast"; } ''
      python3 -m venv --without-pip $out
      rm $out/bin/[Aa]ctivate*
      path=$out/${python.sitePackages}/holdfast.pth
      echo 'import site; site.addsitedir("${environment}/${python.sitePackages}")' >$path
      install -D -m 444 ${../deploy/image/supervisorctl.conf} $out/etc/supervisord.conf
      for file in ${environment}/bin/*; do
        name=$out/bin/''${file##*/}
        if grep -qI '^#!${environment}/' $file; then
          sed "1s|.*|#!$out/bin/python3|" $file >$name
        elif [ ! -e $name ]; then
          ln -s $file $name
        fi
      done
      ${script}
      find $out/bin -type f -exec chmod +x {} +
    '';
in
{
  # What runs: the application's own path is in it.
  runtime = { version, environment, application }: thin "holdfast-${version}" environment ''
    echo ${application} >>$path
    sed "1s|.*|#!$out/bin/python3|" ${../deploy/image/holdfast} >$out/bin/holdfast
  '';

  # What develops: the application is the checkout, by PYTHONPATH.
  tools = { environment }: thin "holdfast-tools" environment ''
    printf '#!%s\nfrom app.cli import main\n\nmain()\n' $out/bin/python3 >$out/bin/holdfast
    printf '#!%s\nfrom app.cli.supervisorctl import main\n\nmain()\n' $out/bin/python3 >$out/bin/supervisorctl
  '';
}
