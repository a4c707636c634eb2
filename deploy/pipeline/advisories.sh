#!/usr/bin/env bash
# Says which dependencies have known faults: those of Rust from RustSec's database, those of npm and Python from their registries.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

failed=()
echo "== Rust"
cargo install --quiet --locked cargo-audit@0.22.2
cargo audit || failed+=(Cargo.lock)
while IFS= read -r lock; do
  echo "== $lock"
  npm audit --prefix "$(dirname "$lock")" --package-lock-only || failed+=("$lock")
done < <(git ls-files '*package-lock.json')
python3 -m venv target/pip-audit
target/pip-audit/bin/pip install --quiet pip-audit==2.10.1
while IFS= read -r lock; do
  echo "== $lock"
  target/pip-audit/bin/pip-audit --require-hashes --disable-pip --requirement "$lock" || failed+=("$lock")
done < <(git ls-files '*requirements.txt')

if ((${#failed[@]})); then
  echo "known faults in: ${failed[*]}" >&2
  exit 1
fi
