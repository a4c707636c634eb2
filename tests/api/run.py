"""Tests the API against its description with schemathesis: with a session of an administrator, with an API key, and with nothing.

Whatever it sends, no answer may be a server's error, and none may be one that `static/public/openapi.json` does not describe. What is sent is the same in
each run.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOST = os.environ.get("EA_HOST", str(ROOT / "target/host/embedded-host"))
DOCUMENT = ROOT / "static/public/openapi.json"
# Compiling the components for the first time takes minutes on a busy machine.
START_LIMIT_S = 300
# Not the one of the examples, which would change it.
PASSWORD = "an unexampled secret 7"
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
]
# What would end the test itself: the caller's session ends, or their roles change. Or it asks servers elsewhere.
LEFT_OUT = ["rotateKey", "endSession", "addGroupMember", "removeGroupMember", "eraseOwnAccount", "setModelProvider"]
# Limits of attempts would be all that most requests met.
VARIABLES = {
    "requests_per_minute": "0",
    "person_requests_per_minute": "0",
    "session_requests_per_minute": "0",
}


def ask(url, path, body, token=None, status=201):
    """Posts JSON; the answer must have this status."""
    headers = {"Content-Type": "application/json"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(url + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        if answer.status != status:
            raise SystemExit(f"{path} answered {answer.status}")
        return json.load(answer)


def address(host, output):
    """Where the host serves, as it says."""
    began = time.monotonic()
    while host.poll() is None and time.monotonic() - began < START_LIMIT_S:
        at = re.search(r"^Serving (http:\S+)\n", output.read_text(), re.MULTILINE)
        if at:
            return at[1].rstrip("/")
        time.sleep(0.1)
    raise SystemExit(f"{HOST} did not say that it serves:\n{output.read_text()}")


def schemathesis(url, name, token, seconds):
    """One run; what it finds is printed. Returns whether it found nothing."""
    program = Path(sys.executable).parent / "schemathesis"
    command = [program, "run", DOCUMENT, "--url", url, "--checks", ",".join(CHECKS), "--max-time", str(seconds)]
    command += ["--generation-deterministic", "--generation-with-security-parameters", "false", "--no-color"]
    command += ["--warnings", "off", "--output-sanitize", "true"]
    for operation in LEFT_OUT:
        command += ["--exclude-operation-id", operation]
    if token is not None:
        command += ["--header", f"Authorization: Bearer {token}"]
    print(f"== {name}", flush=True)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "SCHEMATHESIS_HOOKS": "schemathesis_hooks"}
    return subprocess.run(command, cwd=tempfile.gettempdir(), env=environment).returncode == 0


def main():
    with tempfile.TemporaryDirectory(prefix="edge-assistant-") as state:
        command = [HOST, "up", "--from", ROOT / "spin.toml", "--listen", "127.0.0.1:0", "--quiet", "--state-dir", state]
        command += ["--cache-dir", ROOT / "target/embedded-host", "--model-server"]
        for name, value in VARIABLES.items():
            command += ["--variable", f"{name}={value}"]
        # A file: nobody would empty a pipe.
        output = Path(state) / "host.out"
        with output.open("w") as stdout:
            host = subprocess.Popen(command, cwd=ROOT, stdout=stdout)
        try:
            url = address(host, output)
            person = {"email": "ada@example.org", "password": PASSWORD}
            session = ask(url, "/auth/signup", person)["access_token"]
            key = ask(url, "/auth/api-keys", {"name": "schemathesis", "scopes": ["*"]}, session)["key"]
            # With a session, keys can be revoked.
            # How long each goes on, in seconds: the examples and the edges of all operations take half of it.
            runs = [("with a key", key, 6), ("with a session", session, 13), ("with nothing", None, 5)]
            failed = [name for name, token, seconds in runs if not schemathesis(url, name, token, seconds)]
        finally:
            host.terminate()
            host.wait()
    # As `cargo dev test` counts.
    for name in failed:
        print(f"not ok - {name}")
    print(f"# pass {len(runs) - len(failed)}\n# fail {len(failed)}")
    sys.exit(1 if failed else 0)


main()
