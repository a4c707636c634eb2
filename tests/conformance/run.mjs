// Runs the protocol's own conformance suite in both revisions: against the suite's fixture behind the adapter, which this
// program serves, against the same fixture at the gateway of the app, as far as the gateway passes something on, and
// against the client of the crate `mcp`. The scenarios about tasks run against the same fixture in a process (server.rs):
// a component does not outlive its request, so it makes no tasks.
//
// MCP_SERVER_URL is another server to test instead; it must offer what tests/conformance/provider offers.
// MCP_CLIENT_COMMAND is the client (clients/ours.rs), EA_MCP_FIXTURE the process with the fixture. A required scenario
// passes if no check failed and at least one of its own checks succeeded. Scenarios in the baseline must not pass, so that
// the baseline cannot become outdated.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { createServer, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { NODE, ROOT, gatewayToken, serve } from "./host.mjs";

const VERSIONS = ["2026-07-28", "2025-11-25"];
// The suite has scenarios about tasks in the newer revision only, and requires none: they are an extension.
const TASKS_VERSION = "2026-07-28";
const OF_TASKS = /^ +- scenario: (tasks-[\w-]+)$/gm;
const SUITE = join(import.meta.dirname, "node_modules/@modelcontextprotocol/conformance");
// In these the client signs in. They are the same in both revisions, and the newer one has more of them.
const SIGNS_IN = /^auth\//;
// The gateway has tokens, limits and names of its own; what it passes on to a server is the server's.
const PASSED_ON = /^(resources-|sep-2164|prompts-|completion-|input-required-|tools-call-embedded|server-stateless)/;
// `cargo dev test` writes it: the app with the fixture among its tool servers.
const GATEWAY = "target/dev/gateway.toml";
const GATEWAY_SETTINGS = ["tool_policies=allow conformance:*", "tool_calls_per_minute=1000", "tool_changes_per_minute=1000"];
// Every scenario has this check, so it says nothing about a scenario.
const COMMON_CHECK = "wire-schema-valid";
// The whole suite takes ten seconds. A client scenario that hangs is ended.
const DEADLINE_MS = 120_000;
const CLIENT_DEADLINE_MS = 20_000;

/** The names in a section of one of the suite's lists: `server:` and then lines `  - name`. */
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
    // The suite writes its results into files.
    const child = spawn(NODE, [join(SUITE, "dist/index.js"), ...args], { stdio: "ignore" });
    const timer = setTimeout(() => child.kill(), deadlineMs);
    child.on("error", reject);
    child.on("close", () => resolve(clearTimeout(timer)));
  });
}

/** The checks of each scenario, from the suite's folders `[server-]<scenario>-<time>`. */
async function results(folder) {
  const found = new Map();
  for (const entry of await readdir(folder, { recursive: true })) {
    const scenario = entry.match(/^(?:server-|client-)?(.+)-\d{4}-\d\d-\d\dT[\dZ-]+\/checks\.json$/)?.[1];
    if (scenario) found.set(scenario, JSON.parse(await readFile(join(folder, entry), "utf8")));
  }
  return found;
}

/** The gateway at an address that wants no token: the suite has none to send. */
async function withToken(app) {
  const authorization = `Bearer ${await gatewayToken(app)}`;
  const proxy = createServer((asked, answer) => {
    const { method, headers } = asked;
    const passed = request(`${app}/mcp/conformance`, { method, headers: { ...headers, authorization } }, (answered) => {
      answer.writeHead(answered.statusCode, answered.headers);
      answered.pipe(answer);
    });
    passed.once("error", (error) => answer.destroy(error));
    asked.pipe(passed);
  });
  await new Promise((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  const end = () => {
    proxy.close();
    proxy.closeAllConnections();
  };
  return { url: `http://127.0.0.1:${proxy.address().port}/mcp`, end };
}

/** What the suite has about tasks. */
async function tasks() {
  const list = await readFile(join(SUITE, "requirements", `${TASKS_VERSION}.yaml`), "utf8");
  return [...list.matchAll(OF_TASKS)].map(([, name]) => name);
}

async function run(leg, target, version) {
  const section = leg === "gateway" ? "server" : leg;
  const required =
    leg === "tasks" ? await tasks() : await names(join(SUITE, "requirements", `${version}.yaml`), section);
  const baseline = await names(join(import.meta.dirname, `baseline-${version}.yml`), leg);
  const folder = await mkdtemp(join(tmpdir(), "conformance-"));
  const isRun = {
    server: () => true,
    gateway: (name) => PASSED_ON.test(name),
    client: (name) => version === VERSIONS[0] || !SIGNS_IN.test(name),
    tasks: () => true,
  };
  const scenarios = required.filter(isRun[leg]);
  try {
    if (leg === "tasks") {
      for (const name of scenarios) {
        await suite(["server", "--url", target, "--scenario", name, "-o", folder], CLIENT_DEADLINE_MS);
      }
    } else if (leg !== "client") {
      await suite(["server", "--url", target, "--requirements", version, "-o", folder], DEADLINE_MS);
    } else {
      for (const name of scenarios) {
        const args = ["--command", target, "--scenario", name, "--spec-version", version];
        await suite(["client", ...args, "--timeout", String(CLIENT_DEADLINE_MS / 2), "-o", folder], CLIENT_DEADLINE_MS);
      }
    }
    const found = await results(folder);
    if (leg === "gateway") for (const name of found.keys()) if (!PASSED_ON.test(name)) found.delete(name);
    return report(`${leg} ${version}`, scenarios, baseline, found);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Prints one line for each scenario and counts them. Scenarios that are not required are printed but not counted. */
function report(title, required, baseline, checks) {
  const counts = { pass: 0, fail: 0, todo: 0 };
  for (const name of [...required, ...[...checks.keys()].filter((name) => !required.includes(name))]) {
    const ofStatus = (status) => (checks.get(name) ?? []).filter((check) => check.status === status);
    const failed = ofStatus("FAILURE");
    const own = ofStatus("SUCCESS").filter((check) => check.id !== COMMON_CHECK);
    const passes = failed.length === 0 && own.length > 0;
    const detail = `${ofStatus("SUCCESS").length} passed, ${failed.length} failed, ${ofStatus("WARNING").length} warnings`;
    if (!required.includes(name)) {
      console.log(`not required: ${title} ${name} (${detail})`);
    } else if (passes !== baseline.includes(name)) {
      counts[passes ? "pass" : "todo"] += 1;
      console.log(`${passes ? "ok" : "fails as known:"} ${title} ${name} (${detail})`);
    } else {
      counts.fail += 1;
      console.log(`not ok ${title} ${name} (${detail})`);
      if (passes) console.log("  It passes: take it out of the baseline.");
      for (const check of failed) console.log(`  ${check.id}: ${check.errorMessage ?? ""}`);
      console.log("  ...");
    }
  }
  return counts;
}

const served = [];
async function adapter() {
  const host = await serve("tests/conformance/spin.toml");
  served.push(host);
  return `${host.url}/mcp`;
}
async function gateway() {
  const app = await serve(GATEWAY, ...GATEWAY_SETTINGS.flatMap((setting) => ["--variable", setting]));
  served.push(app);
  const proxy = await withToken(app.url);
  served.push(proxy);
  return proxy.url;
}
async function fixture() {
  const child = spawn(process.env.EA_MCP_FIXTURE ?? join(ROOT, "target/debug/mcp-fixture"), {
    stdio: ["ignore", "pipe", "inherit"],
  });
  served.push({ end: () => child.kill() });
  const [url] = await once(createInterface({ input: child.stdout }), "line");
  return url;
}

async function targets() {
  const other = process.env.MCP_SERVER_URL;
  const servers = other ? { server: other } : { server: await adapter(), gateway: await gateway() };
  const client = process.env.MCP_CLIENT_COMMAND ?? join(ROOT, "target/debug/mcp-client");
  return { ...servers, client, tasks: await fixture() };
}

const total = { pass: 0, fail: 0, todo: 0 };
try {
  for (const [leg, target] of Object.entries(await targets())) {
    for (const version of leg === "tasks" ? [TASKS_VERSION] : VERSIONS) {
      for (const [how, count] of Object.entries(await run(leg, target, version))) total[how] += count;
    }
  }
} finally {
  for (const { end } of served) await end();
}
// In the form of node's own test runner, for `cargo dev test` to count.
for (const [how, count] of Object.entries(total)) console.log(`# ${how} ${count}`);
if (total.fail > 0) process.exitCode = 1;
