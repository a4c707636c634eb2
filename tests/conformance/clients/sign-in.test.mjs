// Programs by other authors are given nothing but the address of the gateway, and sign in: they find the authorization
// server, register, have their person let them in, call a tool, and go on with a refresh token. The protocol's own SDKs
// for Python and TypeScript, in both revisions; and what the conformance suite has about authorization servers.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, readdir, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { NODE, ROOT, serve } from "../host.mjs";

const VERSIONS = ["2026-07-28", "2025-11-25"];
const PYTHON = process.env.EA_PYTHON ?? join(ROOT, "target/dev/python-tests-conformance-clients/bin/python");
const PROGRAMS = {
  "Python SDK": [PYTHON, join(import.meta.dirname, "sign_in.py")],
  "TypeScript SDK": [process.execPath, join(import.meta.dirname, "sign-in.mjs")],
};
const SUITE = join(import.meta.dirname, "../node_modules/@modelcontextprotocol/conformance/dist/index.js");
// The time for two dozen requests on a busy machine.
const LIMIT_MS = 60_000;

let host;
let session;
before(async () => {
  host = await serve("spin.toml");
  const account = { email: "person@example.org", password: "correct horse battery staple" };
  const answer = await post("/auth/signup", account);
  session = (await answer.json()).access_token;
});
after(() => host?.end());

function post(path, body) {
  const headers = { "content-type": "application/json" };
  return fetch(`${host.url}${path}`, { method: "POST", headers, body: JSON.stringify(body) });
}

/** A program's exit code and all its output. */
function run([program, ...args]) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env: { ...process.env, MCP_SESSION: session }, timeout: LIMIT_MS });
    let output = "";
    let errors = "";
    child.stdout.on("data", (data) => (output += data));
    child.stderr.on("data", (data) => (errors += data));
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, output, errors }));
  });
}

for (const [name, command] of Object.entries(PROGRAMS)) {
  const skip = command[0] === PYTHON && !existsSync(PYTHON) && "Python 3.11 or newer with venv is missing";
  for (const revision of VERSIONS) {
    test(`${name}, ${revision}: signs in with the address alone and stays signed in`, { skip }, async () => {
      const { code, output, errors } = await run([...command, `${host.url}/mcp`, revision]);
      assert.equal(code, 0, errors);
      const said = JSON.parse(output);
      assert.equal(said.revision, revision);
      assert.ok(said.tools.includes("clock_now"), output);
      assert.deepEqual([said.result.result, said.again.result, said.rotated], ["0.3", "0.3", true]);
    });
  }
}

/** Decides for the person whom a program sent to this address. Returns where they are sent back to. */
async function letIn(address) {
  const began = await fetch(address, { redirect: "manual" });
  assert.equal(began.status, 303);
  const { search } = new URL(began.headers.get("location"), host.url);
  const headers = { authorization: `Bearer ${session}` };
  const { request } = await (await fetch(`${host.url}/oauth/authorization${search}`, { headers })).json();
  const decided = await fetch(`${host.url}/oauth/authorization`, {
    method: "POST",
    headers: { ...headers, "content-type": "application/json" },
    body: JSON.stringify({ request, decision: "allow" }),
  });
  return (await decided.json()).redirect_to;
}

/** A port that was free a moment ago. */
async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

/** Goes back to the suite, which prints the address of the log-in before its own server listens. */
async function arrive(address) {
  const until = Date.now() + LIMIT_MS;
  for (;;) {
    try {
      return await fetch(address);
    } catch (error) {
      if (error.cause?.code !== "ECONNREFUSED" || Date.now() > until) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

test("the conformance suite's scenarios about authorization servers pass", async () => {
  const folder = await mkdtemp(join(tmpdir(), "conformance-"));
  const port = await freePort();
  const registered = await post("/oauth/register", { redirect_uris: ["http://127.0.0.1/callback"] });
  const { client_id } = await registered.json();
  const asked = ["--url", host.url, "--client-id", client_id, "--resource", `${host.url}/mcp`, "-p", `${port}`];
  const child = spawn(NODE, [SUITE, "authorization", ...asked, "-o", folder], { timeout: LIMIT_MS });
  const ended = once(child, "close");
  let said = "";
  try {
    for await (const line of createInterface({ input: child.stdout })) {
      said += `${line}\n`;
      if (line.startsWith(`${host.url}/oauth/authorize?`)) await arrive(await letIn(line));
    }
    await ended;
    const files = (await readdir(folder, { recursive: true })).filter((entry) => entry.endsWith("checks.json"));
    const checks = await Promise.all(files.map(async (file) => JSON.parse(await readFile(join(folder, file), "utf8"))));
    const passed = checks.flat().filter(({ status }) => status === "SUCCESS");
    const others = checks.flat().filter(({ status }) => status !== "SUCCESS");
    assert.deepEqual(others, [], said);
    assert.ok(passed.some(({ id }) => id === "authorization-code-grant") && passed.length > 1, said);
  } finally {
    child.kill();
    await rm(folder, { recursive: true });
  }
});
