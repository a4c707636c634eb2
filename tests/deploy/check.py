"""Checks the deployment files against the schemas of their readers, and against each other. Changes nothing, needs no network.

Prints TAP: a line for each case, and at the end how many passed and failed.
"""

import copy
import re
import subprocess
import sys
import tomllib
import traceback
import unittest
from pathlib import Path

import dashboards
import jsonschema
import releases
import workflows
import yaml
from schemas import DEPLOY, schema, validate

ROOT = Path(__file__).resolve().parents[2]
# Placeholders for secrets in the example.
PLACEHOLDERS = ("PLACEHOLDER", "USER:PASSWORD@")
# How many lines of a failure are shown. A schema's message would repeat the whole schema.
TOLD_LINES = 6
# Files for people to copy, not for the cluster.
EXAMPLES = {"secret.example.yaml"}


def manifests():
    """Every document of every YAML file: (file, document)."""
    files = sorted([*DEPLOY.rglob("*.yaml"), *DEPLOY.rglob("*.yml")])
    # The operator's own file, which git ignores.
    files = [file for file in files if file.name != "secret.yaml"]
    return [(file, document) for file in files for document in yaml.safe_load_all(file.read_text())]


def of_kind(kind):
    return [document for _, document in manifests() if document["kind"] == kind]


def spinapp():
    (app,) = of_kind("SpinApp")
    return app


def spin_toml():
    return tomllib.loads((ROOT / "spin.toml").read_text())


def objects(value, path=()):
    """The paths of all objects in a document whose fields are known to a schema."""
    if isinstance(value, dict):
        # Labels, annotations and the data of a Secret have arbitrary names. A Service's selector is labels.
        yield path
        for key, inner in value.items():
            is_labels = key == "selector" and "matchLabels" not in inner
            if not is_labels and key not in ("matchLabels", "annotations", "labels", "stringData"):
                yield from objects(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from objects(inner, (*path, index))


class Manifests(unittest.TestCase):
    def test_every_manifest_fits_its_schema(self):
        self.assertTrue(manifests())
        for file, document in manifests():
            with self.subTest(file=str(file.relative_to(ROOT)), kind=document["kind"]):
                validate(document)

    def test_an_unknown_field_is_refused_wherever_it_stands(self):
        for file, document in manifests():
            for path in objects(document):
                wrong = copy.deepcopy(document)
                place = wrong
                for step in path:
                    place = place[step]
                place["unknownField"] = "x"
                with self.subTest(file=file.name, path=path), self.assertRaises(jsonschema.ValidationError):
                    validate(wrong)

    def test_a_wrong_spinapp_is_refused(self):
        wrongs = {
            "both replicas and an autoscaler": lambda spec: spec.update(replicas=2),
            "neither replicas nor an autoscaler": lambda spec: spec.pop("enableAutoscaling"),
            "an executor that is not there": lambda spec: spec.update(executor="containerd-shim"),
            "a variable without a value": lambda spec: spec["variables"].append({"name": "x"}),
            "a path without a slash": lambda spec: spec["checks"]["liveness"]["httpGet"].update(path="health"),
        }
        for name, change in wrongs.items():
            wrong = copy.deepcopy(spinapp())
            change(wrong["spec"])
            with self.subTest(name), self.assertRaises(jsonschema.ValidationError):
                validate(wrong)

    def test_kustomizations_name_every_manifest_and_only_files_that_exist(self):
        for file in DEPLOY.rglob("kustomization.yaml"):
            kustomization = yaml.safe_load(file.read_text())
            listed = set(kustomization["resources"])
            files = {path.name for path in file.parent.glob("*.yaml")} - EXAMPLES - {file.name, "secret.yaml"}
            self.assertEqual({name for name in listed if not name.startswith("../")}, files, file)
            for generator in kustomization.get("secretGenerator", []):
                listed.update(generator["files"])
            for name in listed:
                self.assertTrue((file.parent / name).exists(), f"{file}: {name}")


class TheAppAndItsManifest(unittest.TestCase):
    def test_variables_are_those_of_the_app_and_secrets_come_from_a_secret(self):
        declared = spin_toml()["variables"]
        for variable in spinapp()["spec"]["variables"]:
            name = variable["name"]
            with self.subTest(name):
                self.assertIn(name, declared, "spin.toml does not declare it")
                if declared[name].get("secret"):
                    self.assertIn("valueFrom", variable, "a secret must not stand in a manifest")

    def test_probes_ask_routes_that_the_app_has(self):
        routes = [trigger["route"] for trigger in spin_toml()["trigger"]["http"]]
        for probe in spinapp()["spec"]["checks"].values():
            self.assertIn(probe["httpGet"]["path"], routes)

    def test_the_example_secret_has_the_keys_that_are_asked_for_and_no_real_values(self):
        (secret,) = of_kind("Secret")
        asked = [v["valueFrom"]["secretKeyRef"] for v in spinapp()["spec"]["variables"] if "valueFrom" in v]
        self.assertEqual({reference["name"] for reference in asked}, {secret["metadata"]["name"]})
        self.assertEqual({reference["key"] for reference in asked}, set(secret["stringData"]))
        for key, value in secret["stringData"].items():
            self.assertTrue(any(placeholder in value for placeholder in PLACEHOLDERS), key)

    def test_what_selects_the_app_selects_this_one(self):
        name = spinapp()["metadata"]["name"]
        # The SpinKube operator gives the app's name to its Deployment and its Service, and this label to its pods.
        label = {"core.spinkube.dev/app-name": name}
        (autoscaler,) = of_kind("HorizontalPodAutoscaler")
        self.assertEqual(autoscaler["spec"]["scaleTargetRef"]["name"], name)
        (disruption,) = of_kind("PodDisruptionBudget")
        self.assertEqual(disruption["spec"]["selector"]["matchLabels"], label)
        selectors = [policy["spec"]["podSelector"] for policy in of_kind("NetworkPolicy")]
        self.assertCountEqual(selectors, [{}, {"matchLabels": label}])
        (ingress,) = of_kind("Ingress")
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                service = f"{name}-page" if path["path"] == "/" else name
                self.assertEqual(path["backend"]["service"], {"name": service, "port": {"number": 80}})
        (service,) = of_kind("Service")
        self.assertEqual((service["metadata"]["name"], service["spec"]["selector"]), (f"{name}-page", label))

    def test_all_routes_but_those_of_the_page_can_be_tried_with_a_part_of_the_requests(self):
        (ingress,) = of_kind("Ingress")
        named = {path["path"] for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]} - {"/"}
        routes = [trigger["route"] for trigger in spin_toml()["trigger"]["http"] if isinstance(trigger["route"], str)]
        begins = {f"/{route.split('/')[1]}" for route in routes}
        # Those at the top, which say little: documents about the app, and what hosts say about themselves.
        self.assertEqual(begins - named, {"/...", "/.well-known", "/health", "/ready", "/metrics"})
        self.assertLessEqual(named, begins)

    def test_the_executor_and_the_runtime_configuration_are_deployed_with_the_app(self):
        self.assertIn(spinapp()["spec"]["executor"], {executor["metadata"]["name"] for executor in of_kind("SpinAppExecutor")})
        generated = [generator["name"] for document in of_kind("Kustomization") for generator in document.get("secretGenerator", [])]
        self.assertIn(spinapp()["spec"]["runtimeConfig"]["loadFromSecret"], generated)


class Hosts(unittest.TestCase):
    def test_runtime_configurations_fit_their_schema(self):
        files = list(DEPLOY.rglob("runtime-config.toml"))
        self.assertTrue(files)
        for file in files:
            with self.subTest(str(file.relative_to(ROOT))):
                jsonschema.validate(tomllib.loads(file.read_text()), schema("runtime-config.schema.json"))

    def test_all_hosts_together_fit_into_the_database(self):
        def asked_for(document):
            said = re.search(r"`max_connections` (?:is to be|to) ([\d,]+)", (ROOT / "docs" / document).read_text())
            return int(said[1].replace(",", ""))

        def held(runtime_configuration):
            pools = sum("sqlite_databases" in component for component in spin_toml()["component"].values())
            return pools * tomllib.loads((DEPLOY / runtime_configuration).read_text())["outbound_pg"]["max_connections"]

        for_administrators = 3
        (autoscaler,) = of_kind("HorizontalPodAutoscaler")
        all_hosts = autoscaler["spec"]["maxReplicas"] * held("spinkube/runtime-config.toml")
        self.assertLessEqual(all_hosts, asked_for("deploy.md") - for_administrators)
        self.assertLessEqual(2 * all_hosts, asked_for("pipeline.md") - for_administrators)
        # PostgreSQL's own number.
        self.assertLessEqual(held("runtime-config.toml"), 100 - for_administrators)

    def test_the_container_file_is_clean(self):
        linter = Path(sys.executable).with_name("hadolint")
        ended = subprocess.run([linter, "--no-color", DEPLOY / "Containerfile"], capture_output=True, text=True)
        self.assertEqual((ended.returncode, ended.stdout), (0, ""))

    def test_the_container_has_the_files_that_the_manifest_names(self):
        containerfile = (DEPLOY / "Containerfile").read_text()
        for component in spin_toml()["component"].values():
            folder = Path(component["source"]).parent
            self.assertIn(f"COPY --from=app /app/{folder}/*.wasm {folder}/\n", containerfile)


def name(test):
    return test.id().removeprefix(f"{__name__}.")


class Tap(unittest.TestResult):
    """Prints the result of each case."""

    def addSuccess(self, test):
        print(f"ok - {name(test)}")

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.tell(test, err)

    def addError(self, test, err):
        super().addError(test, err)
        self.tell(test, err)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.tell(subtest, err)

    @staticmethod
    def tell(test, err):
        told = "".join(traceback.format_exception_only(err[1])).splitlines()
        print("\n".join([f"not ok - {name(test)}", *told[:TOLD_LINES], "  ..."]))


def main():
    load = unittest.defaultTestLoader.loadTestsFromModule
    suite = unittest.TestSuite(load(module) for module in (sys.modules[__name__], dashboards, releases, workflows))
    # A suite forgets its cases while it runs them.
    cases = suite.countTestCases()
    result = suite.run(Tap())
    failed = {case.test_case if hasattr(case, "test_case") else case for case, _ in result.failures + result.errors}
    print(f"# pass {cases - len(failed)}\n# fail {len(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
