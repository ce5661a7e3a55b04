#!/bin/sh
# Removes what a package installation leaves that no image needs, and what differs from one build to the next.
set -eu
apt-get clean
rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/debconf/*-old /var/cache/ldconfig/aux-cache \
    /var/lib/dpkg/*-old /var/log/* /tmp/* /root/.cache /root/.wget-hsts
