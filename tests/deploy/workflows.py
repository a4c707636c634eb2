"""The pipeline for a public forge: its workflows are safe, its scripts have no slips, and what it is given is described. `npm run workflows` lints them."""

import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = ROOT / ".github/workflows"
SCRIPTS = ROOT / "deploy/pipeline"


def run(program, *arguments, folder=ROOT):
    """Runs a program of our environment: (exit code, what it said)."""
    ended = subprocess.run([program, *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return ended.returncode, ended.stdout


def beside_python(program):
    return Path(sys.executable).with_name(program)


class Workflows(unittest.TestCase):
    def test_they_give_nobody_more_than_they_must(self):
        # Below: a syntax that is newer than the linters.
        code, said = run(beside_python("zizmor"), "--offline", "--no-progress", "--min-severity=medium", WORKFLOWS)
        self.assertEqual(code, 0, said)

    def test_a_workflow_that_runs_what_strangers_write_is_noticed(self):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, ".github/workflows/wrong.yml")
            file.parent.mkdir(parents=True)
            file.write_text(
                "on: pull_request\npermissions: {}\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n"
                '      - run: echo "${{ github.event.pull_request.title }}"\n'
            )
            code, said = run(beside_python("zizmor"), "--offline", "--no-progress", "--min-severity=medium", folder)
            self.assertIn("template-injection", said)
            self.assertNotEqual(code, 0)

    def test_what_they_are_given_is_described(self):
        given = set()
        for file in WORKFLOWS.glob("*.yml"):
            given.update(re.findall(r"\b(?:vars|secrets)\.(\w+)", file.read_text()))
        described = set(re.findall(r"^\| `([A-Z_0-9]+)` \|", (ROOT / "docs/pipeline.md").read_text(), re.M))
        self.assertEqual(given, described)

    def test_a_workflow_that_is_called_gets_every_secret_that_it_reads(self):
        # Also those of its environment are empty there unless they are passed by name.
        files = {file.name: file.read_text() for file in WORKFLOWS.glob("*.yml")}
        called = 0
        for caller in files.values():
            for name, job in yaml.safe_load(caller)["jobs"].items():
                if "uses" not in job:
                    continue
                callee = files[Path(job["uses"]).name]
                read = set(re.findall(r"\bsecrets\.(\w+)", callee))
                with self.subTest(job=name):
                    # YAML 1.1 takes `on` for true.
                    declared = (yaml.safe_load(callee)[True]["workflow_call"] or {}).get("secrets", {})
                    self.assertEqual(set(declared), read)
                    self.assertEqual(job.get("secrets", {}), {secret: f"${{{{ secrets.{secret} }}}}" for secret in read})
                called += len(read)
        self.assertGreater(called, 0)

    def test_what_is_published_is_built_as_it_was_tested(self):
        tested, published = ((WORKFLOWS / name).read_text() for name in ("ci.yml", "release.yml"))
        container = (ROOT / "deploy/Containerfile").read_text()
        (rust,) = set(re.findall(r"\brust:(\d+\.\d+)", tested))
        self.assertEqual({rust}, set(re.findall(r"rustup default (\S+)", published)))
        self.assertIn(f"rust:{rust}", container)
        node = r"node-version: (\d+)"
        self.assertEqual(set(re.findall(node, tested)), set(re.findall(node, published)))

    def test_what_they_run_is_there(self):
        for file in WORKFLOWS.glob("*.yml"):
            for script in re.findall(r"\bdeploy/pipeline/[\w.-]+", file.read_text()):
                with self.subTest(script):
                    self.assertTrue((ROOT / script).stat().st_mode & 0o111, "it cannot be run")


class Scripts(unittest.TestCase):
    def test_they_have_no_slips(self):
        code, said = run(beside_python("shellcheck"), *SCRIPTS.glob("*.sh"), ROOT / ".ci/run")
        self.assertEqual(code, 0, said)

    def test_what_is_not_set_is_named_at_once(self):
        script = SCRIPTS / "required.sh"
        self.assertEqual(run("env", "A=1", "B=2", script, "A", "B"), (0, ""))
        code, said = run("env", "A=1", "B=", script, "A", "B", "C")
        self.assertEqual((code, said.split(".")[0]), (1, "not set: B C"))

    def test_a_release_with_other_migrations_than_that_of_an_environment_changes_the_schema(self):
        with tempfile.TemporaryDirectory() as folder:
            script = Path(folder, "deploy/pipeline/changes-schema.sh")
            script.parent.mkdir(parents=True)
            script.write_bytes((SCRIPTS / script.name).read_bytes())

            def git(*arguments):
                code, said = run("git", "-c", "user.name=A", "-c", "user.email=a@example.org", *arguments, folder=folder)
                self.assertEqual(code, 0, said)

            def release(tag, file):
                Path(folder, file).parent.mkdir(exist_ok=True)
                Path(folder, file).write_text(tag)
                git("add", ".")
                git("commit", "--quiet", "--message", tag)
                git("tag", tag)

            def changes(before):
                return run("bash", script, *before)

            git("init", "--quiet")
            release("v1", "a")
            release("v2", "migrations/0002.sql")
            release("v3", "b")
            self.assertEqual(changes(["v2"]), (0, "false\n"))
            self.assertEqual(changes(["v1"]), (0, "true\n"), "v2 did not get there")
            for unknown in ([""], [], ["v0"], ["--quiet"]):
                self.assertEqual(changes(unknown), (0, "true\n"), unknown)
