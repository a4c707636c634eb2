#!/usr/bin/env bash
# Copies the database before its schema changes: runs the CronJob BACKUP_CRONJOB of the namespace once and waits for it, an hour at most.
# docs/runbooks/backup.md
set -euo pipefail

job="before-$(date --utc +%Y%m%d-%H%M%S)"
kubectl create job "$job" --from="cronjob/${BACKUP_CRONJOB:?name the CronJob that copies the database}"
# `kubectl wait` waits for one condition, and would wait an hour for a copy that has failed.
while ((SECONDS < 3600)); do
  case $(kubectl get job "$job" --output=jsonpath='{.status.conditions[?(@.status=="True")].type}') in
    *Complete*) exit 0 ;;
    *Failed*)
      echo "$job has failed: kubectl logs job/$job" >&2
      exit 1
      ;;
  esac
  sleep "${EVERY_SECONDS:-5}"
done
echo "$job takes longer than an hour" >&2
exit 1
