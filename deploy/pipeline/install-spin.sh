#!/usr/bin/env bash
# Installs Spin as released, SPIN_VERSION, if its archive has the hash SPIN_SHA256: that of deploy/Containerfile.
set -euo pipefail

archive="spin-${SPIN_VERSION:?}-static-linux-amd64.tar.gz"
folder=$(mktemp --directory)
curl --fail --silent --show-error --location --output "$folder/$archive" \
  "https://github.com/spinframework/spin/releases/download/$SPIN_VERSION/$archive"
echo "${SPIN_SHA256:?}  $folder/$archive" | sha256sum --check --strict
sudo tar --extract --gzip --file "$folder/$archive" --directory /usr/local/bin spin
spin --version
