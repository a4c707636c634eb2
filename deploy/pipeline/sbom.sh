#!/usr/bin/env bash
# Writes what the app consists of, as CycloneDX: a file for each component, and one for the page. Into the folder that is named.
set -euo pipefail
folder=$(realpath --canonicalize-missing "${1:?name a folder}")
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

mkdir --parents "$folder"
cargo install --quiet --locked cargo-cyclonedx@0.5.9
# It writes a file beside each Cargo.toml of the workspace. Those of what does not run in production are not wanted.
cargo cyclonedx --quiet --format json --spec-version 1.5 --target wasm32-wasip2 --override-filename sbom
while IFS= read -r file; do
  mv "$file" "$folder/$(basename "$(dirname "$file")").cdx.json"
done < <(find components -name sbom.json)
find crates host tests -name sbom.json -not -path '*/node_modules/*' -delete
npm --prefix static sbom --package-lock-only --omit dev --sbom-format cyclonedx > "$folder/page.cdx.json"
