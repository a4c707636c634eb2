// MCP clients by other authors against `/mcp` of the whole app, in both revisions: the protocol's own SDKs for Python,
// TypeScript and Rust. Each is a program `client URL REVISION` with the token in MCP_TOKEN. It prints as JSON which
// revision it used and what it received.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ROOT, gatewayToken, serve } from "../host.mjs";

const VERSIONS = ["2026-07-28", "2025-11-25"];
const PYTHON = process.env.EA_PYTHON ?? join(ROOT, "target/dev/python-tests-conformance-clients/bin/python");
const RMCP = process.env.EA_RMCP_CLIENT ?? join(ROOT, "target/debug/rmcp-client");
const CLIENTS = {
  "Python SDK": [PYTHON, join(import.meta.dirname, "client.py")],
  "TypeScript SDK": [process.execPath, join(import.meta.dirname, "client.mjs")],
  "Rust SDK": [RMCP],
};
// The time for a dozen requests on a busy machine.
const CLIENT_LIMIT_MS = 60_000;

let host;
let token;
before(async () => {
  host = await serve("spin.toml");
  token = await gatewayToken(host.url);
});
after(() => host?.end());

/** A client's exit code and all its output. */
function run([program, ...args], revision, token) {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, MCP_TOKEN: token };
    const child = spawn(program, [...args, `${host.url}/mcp`, revision], { env, timeout: CLIENT_LIMIT_MS });
    let output = "";
    let errors = "";
    child.stdout.on("data", (data) => (output += data));
    child.stderr.on("data", (data) => (errors += data));
    child.once("error", reject);
    child.once("close", (code) => resolve({ code, output, errors }));
  });
}

for (const [name, command] of Object.entries(CLIENTS)) {
  // `cargo dev test` builds what it can; Python may be missing.
  const skip = command[0] === PYTHON && !existsSync(PYTHON) && "Python 3.11 or newer with venv is missing";
  for (const revision of VERSIONS) {
    test(`${name}, ${revision}: lists tools and calls them`, { skip }, async () => {
      const { code, output, errors } = await run(command, revision, token);
      assert.equal(code, 0, errors);
      const said = JSON.parse(output);
      assert.equal(said.revision, revision);
      for (const tool of ["clock_now", "calculator_calculate"]) assert.ok(said.tools.includes(tool), output);
      const seconds = (Date.now() - Date.parse(said.clock_now.time)) / 1000;
      assert.ok(Math.abs(seconds) < 60 && said.clock_now.time.endsWith("+09:00"), output);
      assert.equal(said.calculator_calculate.result, "0.3", output);
    });

    test(`${name}, ${revision}: is refused without a token`, { skip }, async () => {
      const { code, output, errors } = await run(command, revision, "");
      assert.notEqual(code, 0, output);
      assert.match(errors, /^401$|status: 401|Auth required/m);
    });
  }
}

test("without a token the answer is 401 and says where to get one", async () => {
  const response = await fetch(`${host.url}/mcp`, { method: "POST", body: "{}" });
  assert.equal(response.status, 401);
  assert.match(response.headers.get("www-authenticate") ?? "", /^Bearer .*resource_metadata=/);
});
