// Remote MCP servers, as an operator adds them, in separate processes: the suite's fixture, and the protocol's own
// example server, which uses the older revision with sessions. Their tools ask first, whatever they declare. They follow
// the caller's policies, and stay listed when a server is down.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { createInterface } from "node:readline";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { NODE, ROOT, serve } from "../host.mjs";

const FIXTURE = process.env.EA_MCP_FIXTURE ?? join(ROOT, "target/debug/mcp-fixture");
const EVERYTHING = join(import.meta.dirname, "../node_modules/@modelcontextprotocol/server-everything/dist/index.js");
const VERSION = "2026-07-28";

let elsewhere;
let everything;
let host;
let token;
let programsToken;
before(async () => {
  elsewhere = spawn(FIXTURE, [], { stdio: ["ignore", "pipe", "inherit"] });
  const [url] = await once(createInterface({ input: elsewhere.stdout }), "line");
  const PORT = await freePort();
  everything = spawn(NODE, [EVERYTHING, "streamableHttp"], {
    stdio: ["ignore", "ignore", "pipe"],
    env: { ...process.env, PORT },
  });
  await new Promise((resolve, reject) => {
    createInterface({ input: everything.stderr }).on("line", (line) => line.includes("listening on port") && resolve());
    everything.once("close", (code) => reject(new Error(`${EVERYTHING} ended with ${code}`)));
  });
  const servers = JSON.stringify([
    { name: "elsewhere", url, authorization: "Bearer not-to-be-seen" },
    { name: "everything", url: `http://127.0.0.1:${PORT}/mcp` },
  ]);
  const variables = [`remote_mcp_servers=${servers}`, "remote_mcp_host=http://127.0.0.1:*"];
  // Each request gets a new instance, which knows only what is in the database.
  const options = ["--max-instance-reuse-count", "1"];
  host = await serve("spin.toml", ...options, ...variables.flatMap((variable) => ["--variable", variable]));
  const response = await ask("POST", "/auth/signup", { email: "a@example.org", password: "correct horse battery staple" });
  assert.equal(response.status, 201);
  token = (await response.json()).access_token;
  programsToken = (await (await ask("POST", "/auth/mcp-token")).json()).access_token;
});
after(async () => {
  elsewhere?.kill();
  everything?.kill();
  await host?.end();
});

function ask(method, path, body, headers = {}) {
  const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const json = body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } };
  return fetch(host.url + path, { method, ...json, headers: { ...json.headers, ...authorization, ...headers } });
}

/** A port that was free just now. */
async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

async function listed(server = "elsewhere") {
  const { items } = await (await ask("GET", "/api/tools")).json();
  return items.filter((tool) => tool.server === server);
}

/** What a program hears at the gateway. `about` is the tool or the task. */
async function gateway(method, about, params, capabilities) {
  const meta = {
    "io.modelcontextprotocol/protocolVersion": VERSION,
    "io.modelcontextprotocol/clientInfo": { name: "test", version: "1" },
    "io.modelcontextprotocol/clientCapabilities": capabilities,
  };
  const headers = {
    authorization: `Bearer ${programsToken}`,
    accept: "application/json, text/event-stream",
    "mcp-protocol-version": VERSION,
    "mcp-method": method,
    "mcp-name": about,
  };
  const message = { jsonrpc: "2.0", id: 1, method, params: { ...params, _meta: meta } };
  return (await ask("POST", "/mcp", message, headers)).json();
}

async function call(name, args = {}) {
  const { result } = await gateway("tools/call", name, { name, arguments: args }, {});
  return { isError: result.isError, text: result.content[0].text, structured: result.structuredContent };
}

test("its tools are listed under its name, and ask first", async () => {
  const tools = await listed();
  const tool = tools.find(({ name }) => name === "test_simple_text");
  assert.deepEqual([tool.remote, tool.policy], [true, "ask"]);
  assert.ok(tools.every(({ policy }) => policy === "ask"), "whatever they say of themselves");
});

test("a call goes by the policies of whoever calls, and is made with the operator's authorization", async () => {
  const refused = await call("elsewhere_test_simple_text");
  assert.equal(refused.isError, true);
  assert.match(refused.text, /set the tool policy elsewhere:test_simple_text to allow/);
  const policy = await ask("PUT", "/api/tools/policies", { pattern: "elsewhere:test_*", effect: "allow" });
  assert.equal(policy.status, 200);
  assert.equal((await call("elsewhere_test_simple_text")).isError, false);
  const failed = await call("elsewhere_test_error_handling");
  assert.equal(failed.isError, true);
});

test("a server of the revision before, with sessions, is one like others", async () => {
  const tools = await listed("everything");
  assert.ok(tools.some(({ name }) => name === "echo"), JSON.stringify(tools.map(({ name }) => name)));
  assert.ok(tools.every(({ policy, remote }) => policy === "ask" && remote));
  const policy = await ask("PUT", "/api/tools/policies", { pattern: "everything:*", effect: "allow" });
  assert.equal(policy.status, 200);
  const echoed = await call("everything_echo", { message: "Hello" });
  assert.deepEqual([echoed.isError, echoed.text], [false, "Echo: Hello"]);
  const weather = await call("everything_get-structured-content", { location: "Chicago" });
  assert.equal(typeof weather.structured?.temperature, "number", JSON.stringify(weather));
  // Its progress comes before the result.
  const slow = await call("everything_trigger-long-running-operation", { duration: 1, steps: 4 });
  assert.match(slow.text, /completed/);
  const refused = await call("everything_echo", { message: 1 });
  assert.equal(refused.isError, true);
});

test("a call that goes on there is asked about in the session in which it was made, by instances that know nothing of it", async () => {
  const name = "everything_simulate-research-query";
  const waited = await call(name, { topic: "tea" });
  assert.deepEqual([waited.isError, /tea/.test(waited.text)], [false, true], waited.text);
  const tasks = { extensions: { "io.modelcontextprotocol/tasks": {} } };
  const { result: made } = await gateway("tools/call", name, { name, arguments: { topic: "rice" } }, tasks);
  assert.equal(made.resultType, "task");
  const { taskId } = made;
  let task = made;
  for (let asked = 0; task.status === "working" && asked < 60; asked++) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    task = (await gateway("tasks/get", taskId, { taskId }, tasks)).result;
  }
  assert.deepEqual([task.status, /rice/.test(task.result?.content[0].text)], ["completed", true], JSON.stringify(task));
});

test("when it is down its tools are still there, and a call says what is wrong", async () => {
  const before = await listed();
  elsewhere.kill("SIGKILL");
  if (elsewhere.signalCode === null) await once(elsewhere, "exit");
  assert.deepEqual(await listed(), before);
  const failed = await call("elsewhere_test_simple_text");
  assert.equal(failed.isError, true);
  assert.match(failed.text, /cannot be reached/);
  assert.doesNotMatch(failed.text, /not-to-be-seen/);
  assert.equal((await call("clock_now")).isError, false, "others do not notice");
});
