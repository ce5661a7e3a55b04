#!/bin/sh
# Makes debian:trixie-slim from Debian's own packages, for machines that reach a Debian mirror and no image registry.
# usage: base-image.sh [TAG]     Needs root, debootstrap and an engine; leaves an image of that name alone.
set -eu
tag=${1:-debian:trixie-slim}
. "$(dirname "$0")/engine.sh"

if "$DOCKER" image inspect "$tag" >/dev/null 2>&1; then
    echo "$tag is there."
    exit 0
fi
tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT INT TERM
debootstrap --variant=minbase trixie "$tree" >"$tree.log" 2>&1 || { tail -n 20 "$tree.log" >&2; rm -f "$tree.log"; exit 1; }
rm -f "$tree.log"

# The sources as the official image has them, on the mirror that debootstrap used.
mirror=$(sed -n 's/^deb \([^ ]*\) trixie main.*/\1/p' "$tree/etc/apt/sources.list")
rm "$tree/etc/apt/sources.list"
cat >"$tree/etc/apt/sources.list.d/debian.sources" <<SOURCES
Types: deb
URIs: $mirror
Suites: trixie trixie-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: $mirror-security
Suites: trixie-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
SOURCES

# What a slim image leaves out: now, and of each package that comes later.
cat >"$tree/etc/dpkg/dpkg.cfg.d/slim" <<EXCLUDES
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/groff/*
path-exclude /usr/share/info/*
path-exclude /usr/share/linda/*
path-exclude /usr/share/lintian/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/man/*
EXCLUDES
printf 'APT::Install-Recommends "false";\nAcquire::Languages "none";\n' >"$tree/etc/apt/apt.conf.d/slim"
printf '#!/bin/sh\nexit 101\n' >"$tree/usr/sbin/policy-rc.d" # packages start no services
chmod 755 "$tree/usr/sbin/policy-rc.d"
find "$tree/usr/share/doc" -mindepth 2 ! -name copyright ! -type d -delete
find "$tree/usr/share/doc" -depth -type d -empty -delete
for folder in groff info linda lintian locale man; do
    rm -rf "$tree/usr/share/$folder"/*
done
rm -rf "$tree"/var/cache/apt/*.bin "$tree"/var/cache/apt/archives/*.deb "$tree"/var/lib/apt/lists/* \
    "$tree"/var/cache/ldconfig/aux-cache "$tree"/var/cache/debconf/*-old "$tree"/var/lib/dpkg/*-old \
    "$tree"/var/log/* "$tree"/tmp/* "$tree"/etc/machine-id "$tree"/etc/resolv.conf "$tree"/etc/hostname

tar --numeric-owner --one-file-system -C "$tree" -c . | "$DOCKER" import -c 'CMD ["bash"]' - "$tag" >/dev/null
echo "$tag is made of Debian's packages."
