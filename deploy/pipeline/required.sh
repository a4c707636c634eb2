#!/usr/bin/env bash
# Fails if one of the variables that are named is empty, and says which: what nobody has set for a workflow is empty there.
set -euo pipefail

missing=()
for name in "${@:?name the variables}"; do
  [[ -n ${!name:-} ]] || missing+=("$name")
done
if ((${#missing[@]})); then
  echo "not set: ${missing[*]}. docs/pipeline.md says what they are, and of what." >&2
  exit 1
fi
