#!/usr/bin/env python3
"""Brings a release to a cluster beside the one that serves, watches the alerts, and finishes or takes it back. docs/pipeline.md says when.

It needs Python 3.11, `kubectl` with rights in the app's namespace, and for `begin` and `watch` the address of Prometheus. What it makes is called
`edge-assistant-next` and is made of what runs: the same variables, secrets, executor and rules for the network, with another image. Each step may be
repeated. It ends with an error if the release must not go on; `back` is right after every error.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import urllib.request

APP = "edge-assistant"
NEXT = f"{APP}-next"
# The service of the page, which always comes from one release.
PAGE = f"{APP}-page"
# The label by which SpinKube's operator and our NetworkPolicy find the app's pods.
LABEL = "core.spinkube.dev/app-name"
# The image that served before, on the SpinApp of the new one.
BEFORE = "edge-assistant/image-before"
# The least hosts of the autoscaler before, beside it.
LEAST_BEFORE = "edge-assistant/min-replicas-before"
# On the main SpinApp: the release that it has, as its tag, and the image that is of it. If the image is another one, somebody else changed it.
RELEASE = "edge-assistant/release"
# Groups of rules whose names begin so are ours.
GROUPS = "edge-assistant"
# A host without compiled components compiles them first.
ROLLOUT = "--timeout=15m"
# For how long SpinKube's operator may take to notice that a SpinApp has another image.
NOTICED_SECONDS = 300
LOOK_EVERY_SECONDS = 2
EVERY_SECONDS = 15
# How long an alert may wait for its time before it counts as one that fires. A canary is to be taken back before people are paged.
PATIENCE_SECONDS = 120


class Refused(Exception):
    """The release must not go on, with the reason for people."""


def kubectl(*arguments, manifest=None):
    """Runs kubectl and returns what it says. What it complains about is shown."""
    given = None if manifest is None else json.dumps(manifest)
    ended = subprocess.run(["kubectl", *arguments], input=given, stdout=subprocess.PIPE, text=True)
    if ended.returncode != 0:
        raise Refused(f"kubectl {' '.join(arguments)} failed")
    return ended.stdout


def read(kind, name):
    """An object as the cluster has it, without what the cluster added; None if there is none."""
    said = kubectl("get", kind, name, "--ignore-not-found", "--output=json")
    if not said:
        return None
    found = json.loads(said)
    annotations = found["metadata"].get("annotations", {})
    # kubectl's own, which repeats the object.
    annotations = {key: value for key, value in annotations.items() if not key.startswith("kubectl.kubernetes.io/")}
    return {**{key: found[key] for key in ("apiVersion", "kind", "spec")}, "metadata": {"name": name, "annotations": annotations}}


def the(kind, name=APP):
    found = read(kind, name)
    if found is None:
        raise Refused(f"there is no {kind} {name}: is the app deployed in this namespace?")
    return found


def apply(manifest):
    kubectl("apply", "--filename=-", manifest=manifest)


def rolled_out(name, image):
    """Returns when all hosts of the app of this name run this image.

    The Deployment is the operator's, and follows the SpinApp a little later. Asked before that, `rollout status` tells of the image before, or fails.
    """
    end = time.monotonic() + NOTICED_SECONDS
    while not runs(read("deployment", name), image):
        if time.monotonic() > end:
            raise Refused(f"the deployment {name} did not get the image {image}: is SpinKube's operator well?")
        time.sleep(LOOK_EVERY_SECONDS)
    kubectl("rollout", "status", f"deployment/{name}", ROLLOUT)


def runs(deployment, image):
    """Whether the pods of a Deployment are to run an image. With the executor `spintainer` it is Spin's argument."""
    containers = deployment["spec"]["template"]["spec"]["containers"] if deployment else []
    return any(image in (container["image"], *container.get("args", [])) for container in containers)


def set_image(image):
    kubectl("patch", "spinapp", APP, "--type=merge", f"--patch={json.dumps({'spec': {'image': image}})}")


def set_least_hosts(number):
    kubectl("patch", "horizontalpodautoscaler", APP, "--type=merge", f"--patch={json.dumps({'spec': {'minReplicas': number}})}")


def serve_with(name):
    """Has the ingress send everything to the app of this name."""
    ingress = the("ingress")
    has_page = name == APP and read("service", PAGE) is not None
    for rule in ingress["spec"]["rules"]:
        for path in rule["http"]["paths"]:
            path["backend"]["service"]["name"] = PAGE if has_page and path["path"] == "/" else name
    kubectl("patch", "ingress", APP, "--type=merge", f"--patch={json.dumps({'spec': {'rules': ingress['spec']['rules']}})}")


# ---- Prometheus ----


def address(text):
    if not text.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError("it is not an address: set the variable PROMETHEUS of the environment, docs/pipeline.md")
    return text


def alerts(prometheus):
    """Our alerts that are pending or fire: {(name, labels, since): state}."""
    request = urllib.request.Request(f"{prometheus.rstrip('/')}/api/v1/rules?type=alert")
    if token := os.environ.get("PROMETHEUS_TOKEN"):
        request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=10) as answer:
        groups = json.load(answer)["data"]["groups"]
    rules = [rule for group in groups if group["name"].startswith(GROUPS) for rule in group["rules"]]
    if not rules:
        raise Refused("Prometheus has none of our alert rules, so it would notice nothing: docs/runbooks/find-a-fault.md has them")
    return {
        (rule["name"], json.dumps(alert["labels"], sort_keys=True), alert["activeAt"]): alert["state"]
        for rule in rules
        for alert in rule.get("alerts", [])
    }


def refuse_in_a_fire(prometheus):
    firing = sorted({name for (name, _, _), state in alerts(prometheus).items() if state == "firing"})
    if firing:
        raise Refused(f"{', '.join(firing)} fires already: mend that first, or nobody can say what the release did")


def watch(prometheus, minutes, every=EVERY_SECONDS, patience=PATIENCE_SECONDS):
    """Returns if no alert began meanwhile. What fired before does not count, what cannot be seen does."""
    # One that is only about to fire may be about what the release did a moment ago, so it counts.
    before = {alert for alert, state in alerts(prometheus).items() if state == "firing"}
    end = time.monotonic() + minutes * 60
    seen_at, first_seen = time.monotonic(), {}
    while (now := time.monotonic()) < end:
        try:
            active, seen_at = alerts(prometheus), now
        except (OSError, ValueError, KeyError) as error:
            if now - seen_at > patience:
                raise Refused(f"Prometheus does not say how it goes: {error}") from error
            active = None
        for alert, state in (active or {}).items():
            since = first_seen.setdefault(alert, now)
            if alert not in before and (state == "firing" or now - since >= patience):
                raise Refused(f"{alert[0]} {'fires' if state == 'firing' else 'has begun'}: {alert[1]}")
        time.sleep(every)


# ---- Steps ----


def begin(image, hosts):
    """Starts hosts of the new release, to which nobody sends anything yet."""
    app = the("spinapp")
    marks = {BEFORE: app["spec"]["image"]}
    if (other := read("spinapp", NEXT)) is not None:
        if other["spec"]["image"] != image:
            raise Refused(f"{other['spec']['image']} is on its way already: finish it, or take it back")
        # What was before this step was begun for the first time.
        marks = other["metadata"]["annotations"]
    autoscaler = None
    if hosts == "same":
        status = json.loads(kubectl("get", "deployment", APP, "--output=json")).get("status", {})
        hosts, autoscaler = status.get("readyReplicas", 1), read("horizontalpodautoscaler", APP)
    if autoscaler is not None:
        least = autoscaler["spec"].get("minReplicas", 1)
        marks.setdefault(LEAST_BEFORE, str(least))
    app["metadata"] = {"name": NEXT, "annotations": marks}
    app["spec"].pop("enableAutoscaling", None)
    app["spec"].update(image=image, replicas=int(hosts))
    policy = the("networkpolicy")
    policy["metadata"] = {"name": NEXT}
    policy["spec"]["podSelector"]["matchLabels"] = {LABEL: NEXT}
    apply(policy)
    apply(app)
    if autoscaler is not None:
        # Nobody asks the hosts of before for a while, and at the end everybody does: as many as now must be there then.
        set_least_hosts(max(hosts, least))
    rolled_out(NEXT, image)


def canary(percent):
    """Sends this share of the requests to the new release, none of the page's. For ingress-nginx, which divides the requests of a service."""
    ingress = the("ingress")
    for rule in ingress["spec"]["rules"]:
        paths = [path for path in rule["http"]["paths"] if path["backend"]["service"]["name"] == APP]
        if not paths or any(path["path"] == "/" for path in paths):
            raise Refused(f"the page has no service of its own, {PAGE}, so it would break: apply deploy/spinkube first")
        for path in paths:
            path["backend"]["service"]["name"] = NEXT
        rule["http"]["paths"] = paths
    marks = {"canary": "true", "canary-weight": str(percent)}
    ingress["metadata"]["name"] = NEXT
    ingress["metadata"]["annotations"].update({f"nginx.ingress.kubernetes.io/{key}": value for key, value in marks.items()})
    # The certificate is the main one's.
    ingress["spec"].pop("tls", None)
    apply(ingress)


def deployed():
    """Says which release serves, as its tag; nothing if that is not known."""
    app = the("spinapp")
    tag, _, image = app["metadata"]["annotations"].get(RELEASE, "").partition(" ")
    print(tag if image == app["spec"]["image"] else "")


def finish(tag):
    """Has all hosts be of the new release, and sends everything to them. What is beside stays, and so does the way back, until `remove`."""
    new = the("spinapp", NEXT)
    image = new["spec"]["image"]
    set_image(image)
    rolled_out(APP, image)
    kubectl("annotate", "spinapp", APP, f"{RELEASE}={tag} {image}", "--overwrite")
    serve_with(APP)
    kubectl("delete", "ingress", NEXT, "--ignore-not-found")


def back():
    """Has all be as it was before `begin`."""
    new = read("spinapp", NEXT)
    serve_with(APP)
    kubectl("delete", "ingress", NEXT, "--ignore-not-found")
    if new is None:
        return
    before = new["metadata"]["annotations"][BEFORE]
    if the("spinapp")["spec"]["image"] != before:
        set_image(before)
        rolled_out(APP, before)
    remove()


def remove():
    """Removes what is beside: from then on there is no way back."""
    new = read("spinapp", NEXT)
    if new is not None and (least := new["metadata"]["annotations"].get(LEAST_BEFORE)):
        set_least_hosts(int(least))
    for kind in ("ingress", "spinapp", "networkpolicy"):
        kubectl("delete", kind, NEXT, "--ignore-not-found")


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    prometheus = argparse.ArgumentParser(add_help=False)
    # A variable that nobody has set is an empty one.
    prometheus.add_argument("--prometheus", required=True, type=address, metavar="URL", help="with PROMETHEUS_TOKEN, if it wants a token")
    steps = parser.add_subparsers(dest="step", required=True)
    step = steps.add_parser("begin", parents=[prometheus], help=begin.__doc__)
    step.add_argument("image")
    step.add_argument("--hosts", default="1", metavar="N|same")
    step = steps.add_parser("canary", help=canary.__doc__)
    step.add_argument("--percent", type=int, default=10)
    steps.add_parser("switch", help="Sends everything to the new release.")
    step = steps.add_parser("watch", parents=[prometheus], help=watch.__doc__)
    step.add_argument("--minutes", type=float, default=15)
    step = steps.add_parser("finish", help=finish.__doc__)
    step.add_argument("tag")
    steps.add_parser("deployed", help=deployed.__doc__)
    steps.add_parser("remove", help=remove.__doc__)
    steps.add_parser("back", help=back.__doc__)
    given = parser.parse_args(arguments)
    try:
        match given.step:
            case "begin":
                refuse_in_a_fire(given.prometheus)
                begin(given.image, given.hosts)
            case "canary":
                canary(given.percent)
            case "switch":
                serve_with(NEXT)
            case "watch":
                watch(given.prometheus, given.minutes)
            case "finish":
                finish(given.tag)
            case "deployed":
                deployed()
            case "remove":
                remove()
            case "back":
                back()
    except (Refused, OSError, ValueError, KeyError) as error:
        print(f"{given.step}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
