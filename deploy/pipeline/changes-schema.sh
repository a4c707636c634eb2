#!/usr/bin/env bash
# Says `true` if the release has other migrations than the one before, which is the nearest tag `v...`; also if there is none before.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

if before=$(git describe --tags --abbrev=0 --match 'v*' HEAD^ 2> /dev/null) && git diff --quiet "$before" HEAD -- migrations; then
  echo false
else
  echo true
fi
