// An MCP server elsewhere, as an operator adds one: the suite's fixture, in a process of its own. Its tools ask first whatever they say of
// themselves, go by the policies of whoever calls, and are still listed when it is down.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ROOT, serve } from "../host.mjs";

const FIXTURE = process.env.EA_MCP_FIXTURE ?? join(ROOT, "target/host/mcp-fixture");
const VERSION = "2026-07-28";

let elsewhere;
let host;
let token;
before(async () => {
  elsewhere = spawn(FIXTURE, [], { stdio: ["ignore", "pipe", "inherit"] });
  const [url] = await once(createInterface({ input: elsewhere.stdout }), "line");
  const servers = JSON.stringify([{ name: "elsewhere", url, authorization: "Bearer not-to-be-seen" }]);
  const variables = [`remote_mcp_servers=${servers}`, `remote_mcp_host=${new URL(url).origin}`];
  // Each request meets a new instance, which knows only what the database does.
  const options = ["--model-server", "--max-instance-reuse-count", "1"];
  host = await serve("spin.toml", ...options, ...variables.flatMap((variable) => ["--variable", variable]));
  const response = await ask("POST", "/auth/signup", { email: "a@example.org", password: "correct horse battery staple" });
  assert.equal(response.status, 201);
  token = (await response.json()).access_token;
});
after(async () => {
  elsewhere?.kill();
  await host?.end();
});

function ask(method, path, body, headers = {}) {
  const authorization = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const json = body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } };
  return fetch(host.url + path, { method, ...json, headers: { ...json.headers, ...authorization, ...headers } });
}

async function listed() {
  const { items } = await (await ask("GET", "/api/tools")).json();
  return items.filter((tool) => tool.server === "elsewhere");
}

async function call(name) {
  const meta = {
    "io.modelcontextprotocol/protocolVersion": VERSION,
    "io.modelcontextprotocol/clientInfo": { name: "test", version: "1" },
    "io.modelcontextprotocol/clientCapabilities": {},
  };
  const headers = {
    accept: "application/json, text/event-stream",
    "mcp-protocol-version": VERSION,
    "mcp-method": "tools/call",
    "mcp-name": name,
  };
  const params = { name, arguments: {}, _meta: meta };
  const response = await ask("POST", "/mcp", { jsonrpc: "2.0", id: 1, method: "tools/call", params }, headers);
  const { result } = await response.json();
  return { isError: result.isError, text: result.content[0].text };
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
  assert.match(refused.text, /sets the tool policy elsewhere:test_simple_text to allow/);
  const policy = await ask("PUT", "/api/tools/policies", { pattern: "elsewhere:test_*", effect: "allow" });
  assert.equal(policy.status, 200);
  assert.equal((await call("elsewhere_test_simple_text")).isError, false);
  const failed = await call("elsewhere_test_error_handling");
  assert.equal(failed.isError, true);
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
