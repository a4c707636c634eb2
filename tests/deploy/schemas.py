"""The schemas of what a cluster reads: Kubernetes' own, and in deploy/schemas those of other kinds for the parts that we use."""

import json
from pathlib import Path

import jsonschema
import kubernetes_validate

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
# The version whose schemas the manifests are checked against. They use nothing newer than Kubernetes 1.23.
KUBERNETES = "1.37"
# Kinds that are not Kubernetes' own, with schemas for the parts that we use.
OURS = {
    "SpinApp": "spinapp.schema.json",
    "SpinAppExecutor": "spinappexecutor.schema.json",
    "Kustomization": "kustomization.schema.json",
}


def schema(name):
    return json.loads((DEPLOY / "schemas" / name).read_text())


def validate(document):
    """Raises jsonschema.ValidationError if the cluster would refuse the document or drop a field of it."""
    if document["kind"] in OURS:
        jsonschema.validate(document, schema(OURS[document["kind"]]))
    else:
        kubernetes_validate.validate(document, KUBERNETES, strict=True)
