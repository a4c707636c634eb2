"""deploy/pipeline/release.py against a cluster and a Prometheus that are made up here: what a release makes, when it is taken back, and to what."""

import contextlib
import copy
import importlib.util
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import unittest
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from unittest import mock

import yaml
from schemas import validate

ROOT = Path(__file__).resolve().parents[2]
SPEC = importlib.util.spec_from_file_location("release", ROOT / "deploy/pipeline/release.py")
release = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(release)

# kubectl as far as the steps use it, on a file with all objects. Of a SpinApp the operator makes a Deployment, but only after somebody has looked at it
# once more. A rollout of the image `broken` fails.
KUBECTL = '''#!{python}
import json, os, sys
place = os.environ["CLUSTER"]
cluster = json.load(open(place))
verb, *rest = sys.argv[1:]
rights = json.loads(os.environ["RIGHTS"])
def needs(kind, *verbs):
    missing = set(verbs) - set(rights.get(kind, []))
    if missing:
        sys.exit(f"Forbidden: {{missing}} {{kind}}")
flags = [word for word in rest if word.startswith("--")]
names = "/".join(word for word in rest if not word.startswith("--"))
def merged(old, new):
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    return {{**old, **{{key: merged(old.get(key), value) for key, value in new.items()}}}}
def follow(name):
    app, seen = cluster[f"spinapp/{{name}}"], cluster["status"].setdefault(name, None)
    cluster["status"][name] = app["spec"]["image"]
    if seen == app["spec"]["image"]:
        containers = [{{"name": name, **({{"image": seen}} if os.environ["EXECUTOR"] == "shim" else {{"image": "spin", "args": ["up", "-f", seen]}})}}]
        deployment = cluster.setdefault(f"deployment/{{name}}", {{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {{"name": name}}}})
        deployment["spec"] = {{"template": {{"spec": {{"containers": containers}}}}}}
given = json.load(sys.stdin) if verb == "apply" else None
kind = given["kind"].lower() if given else "deployment" if verb == "rollout" else rest[0]
# What kubectl asks Kubernetes for, as far as it is refused without.
asked = {{"apply": ["get", "create", "patch"], "patch": ["get", "patch"], "annotate": ["get", "patch"], "rollout": ["get", "list", "watch"]}}
if verb == "create":
    needs("cronjob", "get")
    needs("job", "create")
else:
    needs(kind, *asked.get(verb, [verb]))
if verb == "get" and kind == "job":
    states = os.environ["JOB"].split(",")
    print(states[min(cluster["status"].setdefault("job", 0), len(states) - 1)], end="")
    cluster["status"]["job"] += 1
elif verb == "get" and names in cluster:
    print(json.dumps(cluster[names]))
elif verb == "get" and "--ignore-not-found" not in flags:
    sys.exit(f"no {{names}}")
elif verb == "apply":
    cluster[f"{{given['kind'].lower()}}/{{given['metadata']['name']}}"] = given
elif verb == "patch":
    (patch,) = [json.loads(flag.removeprefix("--patch=")) for flag in flags if flag.startswith("--patch=")]
    cluster[names] = merged(cluster[names], patch)
elif verb == "annotate":
    name, value = rest[2].split("=", 1)
    cluster["/".join(rest[:2])]["metadata"].setdefault("annotations", {{}})[name] = value
elif verb == "delete":
    cluster.pop(names, None)
elif verb == "rollout":
    deployment = cluster.get(names.removeprefix("status/"))
    if deployment is None or "broken" in json.dumps(deployment):
        sys.exit("not found" if deployment is None else "timed out")
kind, _, name = names.partition("/")
if verb == "get" and kind == "deployment" and f"spinapp/{{name}}" in cluster:
    follow(name)
if verb == "delete" and kind == "spinapp":
    cluster.pop(f"deployment/{{name}}", None)
json.dump(cluster, open(place, "w"))
'''


# What answers for the page, and for the rest, when there is no release.
MAIN = ("edge-assistant-page", "edge-assistant")


class Cluster:
    """The manifests of deploy/spinkube as a cluster has them, and a `kubectl` for it in the path."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.place = Path(self.folder.name, "cluster.json")
        program = Path(self.folder.name, "kubectl")
        program.write_text(KUBECTL.format(python=sys.executable))
        program.chmod(0o755)
        self.environment = dict(os.environ)
        role = yaml.safe_load((ROOT / "deploy/pipeline/role.yaml").read_text())
        plurals = {"networkpolicies": "networkpolicy", "ingresses": "ingress"}
        rights = {plurals.get(name, name.removesuffix("s")): rule["verbs"] for rule in role["rules"] for name in rule["resources"]}
        os.environ.update(CLUSTER=str(self.place), RIGHTS=json.dumps(rights), EXECUTOR="shim", PATH=f"{self.folder.name}:{os.environ['PATH']}")
        documents = [document for file in (ROOT / "deploy/spinkube").glob("*.yaml") for document in yaml.safe_load_all(file.read_text())]
        objects = {f"{document['kind'].lower()}/{document['metadata']['name']}": document for document in documents if "metadata" in document}
        for added in objects.values():
            added["status"] = {}
            added["metadata"]["uid"] = "of the cluster"
        image = objects["spinapp/edge-assistant"]["spec"]["image"]
        objects["deployment/edge-assistant"] = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "edge-assistant"},
            "spec": {"template": {"spec": {"containers": [{"name": "edge-assistant", "image": image}]}}},
            "status": {"readyReplicas": 4},
        }
        objects["status"] = {"edge-assistant": image}
        self.place.write_text(json.dumps(objects))
        return self

    def __exit__(self, *_):
        os.environ.clear()
        os.environ.update(self.environment)
        self.folder.cleanup()

    def objects(self):
        return json.loads(self.place.read_text())

    def image(self):
        """What all hosts run, and not only what they are to run."""
        objects = self.objects()
        asked = objects["spinapp/edge-assistant"]["spec"]["image"]
        return asked if asked in json.dumps(objects["deployment/edge-assistant"]["spec"]) else f"not yet {asked}"

    def least_hosts(self):
        return self.objects()["horizontalpodautoscaler/edge-assistant"]["spec"]["minReplicas"]

    def served_by(self, ingress="edge-assistant"):
        """What answers: the page, and everything else."""
        (rule,) = self.objects()[f"ingress/{ingress}"]["spec"]["rules"]
        services = {path["path"]: path["backend"]["service"]["name"] for path in rule["http"]["paths"]}
        page = services.pop("/", None)
        (rest,) = set(services.values())
        return page, rest


def rules(*alerts, group="edge-assistant"):
    """What Prometheus says about its rules: one with these alerts, as (state, since)."""
    said = [{"labels": {"alertname": "RequestsFail"}, "state": state, "activeAt": since} for state, since in alerts]
    return {"status": "success", "data": {"groups": [{"name": group, "rules": [{"name": "RequestsFail", "alerts": said}]}]}}


class Prometheus:
    """Answers with each of these in turn, and with the last one from then on. A number is a status."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def __enter__(self):
        answers = self.answers

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                answer = answers.pop(0) if len(answers) > 1 else answers[0]
                is_answer = self.path == "/api/v1/rules?type=alert" and not isinstance(answer, int)
                self.send_response(200 if is_answer else answer if isinstance(answer, int) else 404)
                self.end_headers()
                self.wfile.write(json.dumps(answer).encode())

            def log_message(self, *_):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.server.server_port}/"

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


class Releases(unittest.TestCase):
    def setUp(self):
        self.cluster = self.enterContext(Cluster())
        self.enterContext(mock.patch.object(release, "LOOK_EVERY_SECONDS", 0))
        self.before = self.cluster.objects()

    def is_as_before(self):
        names = [name for name in self.cluster.objects() if name.endswith("-next")]
        self.assertEqual((names, self.cluster.image(), self.cluster.served_by()), ([], self.before_image(), MAIN))
        self.assertEqual(self.cluster.least_hosts(), 2)

    def before_image(self):
        return self.before["spinapp/edge-assistant"]["spec"]["image"]

    def test_a_canary_is_the_app_with_another_image_and_gets_a_share(self):
        release.begin("new", "1")
        release.canary(10)
        objects = self.cluster.objects()
        app, old = objects["spinapp/edge-assistant-next"], self.before["spinapp/edge-assistant"]
        self.assertEqual((app["spec"].pop("image"), app["spec"].pop("replicas")), ("new", 1))
        old = copy.deepcopy(old["spec"])
        del old["image"], old["enableAutoscaling"]
        self.assertEqual(app["spec"], old)
        policy = objects["networkpolicy/edge-assistant-next"]["spec"]
        self.assertEqual(policy["podSelector"], {"matchLabels": {"core.spinkube.dev/app-name": "edge-assistant-next"}})
        self.assertEqual(policy["egress"], self.before["networkpolicy/edge-assistant"]["spec"]["egress"])
        annotations = objects["ingress/edge-assistant-next"]["metadata"]["annotations"]
        self.assertEqual(annotations["nginx.ingress.kubernetes.io/canary-weight"], "10")
        # The page is the old one's, or its files would be looked for where they are not.
        self.assertEqual((self.cluster.served_by("edge-assistant-next"), self.cluster.served_by()), ((None, "edge-assistant-next"), MAIN))

    def test_there_is_no_canary_where_the_page_would_be_divided_too(self):
        release.begin("new", "1")
        cluster = self.cluster.objects()
        (rule,) = cluster["ingress/edge-assistant"]["spec"]["rules"]
        rule["http"]["paths"] = [{**rule["http"]["paths"][0], "path": "/"}]
        self.cluster.place.write_text(json.dumps(cluster))
        with self.assertRaisesRegex(release.Refused, "no service of its own"):
            release.canary(10)

    def test_what_is_made_is_what_a_cluster_takes(self):
        release.begin("new", "1")
        release.canary(10)
        made = [document for name, document in self.cluster.objects().items() if name.endswith("-next") and "deployment" not in name]
        self.assertEqual(len(made), 3)
        for document in made:
            validate(document)

    def test_a_canary_that_is_well_becomes_the_app(self):
        release.begin("new", "1")
        release.canary(10)
        release.finish("v2")
        release.remove()
        names = [name for name in self.cluster.objects() if name.endswith("-next")]
        self.assertEqual((names, self.cluster.image(), self.cluster.served_by()), ([], "new", MAIN))

    def test_the_executor_that_runs_spin_in_a_container_is_waited_for_as_well(self):
        os.environ["EXECUTOR"] = "spintainer"
        release.begin("new", "1")
        release.finish("v2")
        self.assertEqual(self.cluster.image(), "new")

    def test_an_operator_that_does_nothing_ends_it(self):
        self.enterContext(mock.patch.object(release, "NOTICED_SECONDS", -1))
        with self.assertRaisesRegex(release.Refused, "did not get the image"):
            release.begin("new", "1")

    def test_a_canary_is_taken_back(self):
        release.begin("new", "1")
        release.canary(10)
        release.back()
        self.is_as_before()
        # Once more, as after a step that failed before it had made anything.
        release.back()
        self.is_as_before()

    def test_all_is_sent_to_as_many_hosts_of_the_new_release_and_back(self):
        release.begin("new", "same")
        self.assertEqual(self.cluster.objects()["spinapp/edge-assistant-next"]["spec"]["replicas"], 4)
        release.serve_with(release.NEXT)
        self.assertEqual((self.cluster.served_by(), self.cluster.image()), (("edge-assistant-next",) * 2, self.before_image()))
        release.back()
        self.is_as_before()

    def test_the_hosts_of_before_stay_as_many_as_they_were_until_all_is_sent_to_them(self):
        release.begin("new", "same")
        self.assertEqual(self.cluster.least_hosts(), 4)
        # Once more, as by hand after a failure.
        release.begin("new", "same")
        release.serve_with(release.NEXT)
        release.finish("v2")
        self.assertEqual(self.cluster.least_hosts(), 4)
        release.remove()
        self.assertEqual((self.cluster.image(), self.cluster.served_by(), self.cluster.least_hosts()), ("new", MAIN, 2))

    def test_a_canary_leaves_the_autoscaler_alone(self):
        release.begin("new", "1")
        self.assertEqual(self.cluster.least_hosts(), 2)

    def test_nothing_begins_while_another_release_is_on_its_way(self):
        release.begin("new", "1")
        with self.assertRaisesRegex(release.Refused, "new is on its way already"):
            release.begin("newer", "1")

    def test_a_release_that_does_not_work_after_all_is_taken_back(self):
        for hosts in ("1", "same"):
            release.begin("new", hosts)
            release.finish("v2")
            self.assertEqual((self.cluster.image(), self.cluster.served_by()), ("new", MAIN))
            release.back()
            self.is_as_before()

    def test_it_is_known_which_release_serves(self):
        def deployed():
            with contextlib.redirect_stdout(io.StringIO()) as said:
                self.assertEqual(release.main(["deployed"]), 0)
            return said.getvalue().strip()

        self.assertEqual(deployed(), "")
        release.begin("new", "1")
        release.finish("v2")
        self.assertEqual(deployed(), "v2")
        release.remove()
        release.begin("newer", "1")
        self.assertEqual(deployed(), "v2")
        release.finish("v3")
        self.assertEqual(deployed(), "v3")
        # Not which one it is, but that it is not the one that was written down.
        release.back()
        self.assertEqual((self.cluster.image(), deployed()), ("new", ""))

    def test_a_release_that_does_not_start_is_taken_back(self):
        self.assertEqual(self.step("begin", "broken"), 1)
        release.back()
        self.is_as_before()

    def test_a_release_that_does_not_start_on_all_hosts_is_taken_back(self):
        release.begin("new", "1")
        cluster = self.cluster.objects()
        cluster["spinapp/edge-assistant-next"]["spec"]["image"] = "broken"
        self.cluster.place.write_text(json.dumps(cluster))
        with self.assertRaises(release.Refused):
            release.finish("v2")
        self.assertEqual(self.cluster.image(), "broken")
        release.back()
        self.is_as_before()

    def test_nothing_begins_while_an_alert_fires(self):
        self.assertEqual(self.step("begin", "new", prometheus=[rules(("firing", "1"))]), 1)
        self.is_as_before()
        self.assertEqual(self.step("begin", "new", prometheus=[rules(("pending", "1"))]), 0)

    def step(self, *arguments, prometheus=(rules(),)):
        with Prometheus(*prometheus) as url:
            return release.main([*arguments, "--prometheus", url])


class Copies(unittest.TestCase):
    def copy(self, *states):
        self.enterContext(Cluster())
        settings = {**os.environ, "BACKUP_CRONJOB": "backup", "EVERY_SECONDS": "0", "JOB": ",".join(states)}
        ended = subprocess.run([ROOT / "deploy/pipeline/backup.sh"], env=settings, capture_output=True, text=True, timeout=60)
        return ended.returncode, ended.stderr

    def test_a_copy_is_waited_for(self):
        self.assertEqual(self.copy("", "", "SuccessCriteriaMet Complete"), (0, ""))

    def test_a_copy_that_fails_ends_it_at_once(self):
        code, said = self.copy("", "FailureTarget Failed")
        self.assertEqual(code, 1)
        self.assertIn("has failed", said)


class Watching(unittest.TestCase):
    def watch(self, *answers, patience=60.0):
        with Prometheus(*answers) as url:
            release.watch(url, minutes=0.005, every=0.01, patience=patience)

    def test_no_alert_is_well(self):
        self.watch(rules())

    def test_an_alert_that_fires_ends_it(self):
        with self.assertRaisesRegex(release.Refused, "RequestsFail fires"):
            self.watch(rules(), rules(), rules(("firing", "2")))

    def test_an_alert_that_was_there_before_does_not(self):
        self.watch(rules(("firing", "1")))

    def test_one_that_was_about_to_fire_and_does_ends_it(self):
        with self.assertRaisesRegex(release.Refused, "RequestsFail fires"):
            self.watch(rules(("pending", "1")), rules(("pending", "1")), rules(("firing", "1")))

    def test_one_that_begins_anew_does(self):
        with self.assertRaises(release.Refused):
            self.watch(rules(("firing", "1")), rules(), rules(("firing", "2")))

    def test_one_that_is_about_to_fire_ends_it_after_a_while(self):
        self.watch(rules(), rules(("pending", "2")), rules())
        with self.assertRaisesRegex(release.Refused, "RequestsFail has begun"):
            self.watch(rules(), rules(("pending", "2")), patience=0.05)

    def test_a_prometheus_that_does_not_answer_ends_it_after_a_while(self):
        self.watch(rules(), 503, 503, rules())
        with self.assertRaisesRegex(release.Refused, "does not say"):
            self.watch(rules(), 503, patience=0.05)

    def test_a_prometheus_without_our_rules_ends_it(self):
        with self.assertRaisesRegex(release.Refused, "none of our alert rules"):
            self.watch(rules(group="another"))
