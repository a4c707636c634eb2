#!/usr/bin/env bash
# Says `true` if what is checked out has other migrations than a release, which is a tag `v...`: that of an environment. Also if it has none yet.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

before=${1-}
if [[ -n $before ]] && git diff --quiet "refs/tags/$before" HEAD -- migrations 2> /dev/null; then
  echo false
else
  echo true
fi
