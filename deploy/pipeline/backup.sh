#!/usr/bin/env bash
# Copies the database before its schema changes: runs the CronJob BACKUP_CRONJOB of the namespace once and waits for it. docs/runbooks/backup.md
set -euo pipefail

job="before-$(date --utc +%Y%m%d-%H%M%S)"
kubectl create job "$job" --from="cronjob/${BACKUP_CRONJOB:?name the CronJob that copies the database}"
kubectl wait "job/$job" --for=condition=complete --timeout=60m
