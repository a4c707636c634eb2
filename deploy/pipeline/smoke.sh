#!/usr/bin/env bash
# Does the app work? Asks a service of the cluster, or an address: whether it is ready, the page, and what people read; with EA_MODEL, also that
# model for one answer. EA_API_KEY is a key of an account for this (docs/load.md).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

url=${1:?name a service, or an address}
: "${EA_API_KEY:?name an API key for the smoke test: docs/pipeline.md}"
if [[ $url == service/* ]]; then
  kubectl port-forward "$url" 3000:80 > /dev/null &
  trap 'kill $!' EXIT
  url=http://127.0.0.1:3000
fi
curl --fail --silent --show-error --retry 10 --retry-delay 1 --retry-all-errors --output /dev/null "$url/health"
curl --fail --silent --show-error "$url/ready" | jq --exit-status '.status == "ready"' > /dev/null
curl --fail --silent --show-error "$url/" | grep --quiet 'Edge Assistant'
export EA_URL=$url
EA_SECONDS=10 EA_PEOPLE=1 "${K6:-k6}" run --no-usage-report --quiet tests/load/reading.js
if [[ -n ${EA_MODEL:-} ]]; then
  EA_ONCE=1 "${K6:-k6}" run --no-usage-report --quiet tests/load/turns.js
fi
