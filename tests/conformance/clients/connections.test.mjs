// A protected server of the Python SDK, which each person connects for themselves: discovery, registration, PKCE, tokens
// that are renewed, and what people see when they are lost. Each request gets a new instance, as if each came to another
// host: it knows only what is in the database.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { ROOT, serve } from "../host.mjs";

// `cargo dev test` makes the environment if it can.
const PYTHON = process.env.EA_PYTHON ?? join(ROOT, "target/dev/python-tests-conformance-clients/bin/python");
const skip = !existsSync(PYTHON) && "Python 3.11 or newer with venv is missing";
const SERVER = join(import.meta.dirname, "protected.py");
const NAME = "protected";

let elsewhere;
let control;
let host;
before(async () => {
  if (skip) return;
  elsewhere = spawn(PYTHON, [SERVER], { stdio: ["ignore", "pipe", "inherit"] });
  const [url] = await once(createInterface({ input: elsewhere.stdout }), "line");
  control = async (said = "") => (await fetch(new URL(`/control?${said}`, url))).json();
  const variables = [
    `remote_mcp_servers=${JSON.stringify([{ name: NAME, url }])}`,
    "remote_mcp_host=http://127.0.0.1:*",
    `tool_policies=allow ${NAME}:*`,
    "tool_calls_per_minute=600",
    "tool_changes_per_minute=600",
  ];
  const options = ["--max-instance-reuse-count", "1"];
  host = await serve("spin.toml", ...options, ...variables.flatMap((variable) => ["--variable", variable]));
});
after(async () => {
  elsewhere?.kill();
  await host?.end();
});

/** Asks until it is so; half a minute is longer than anything here takes. */
async function until(isSo) {
  const end = Date.now() + 30_000;
  while (!(await isSo())) assert.ok(Date.now() < end, `still not so: ${isSo}`);
}

/** Somebody with an account, and their browser. */
async function person(email) {
  const ask = (token, method, path, body) =>
    fetch(host.url + path, {
      method,
      headers: { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) },
      ...(body && { body: JSON.stringify(body) }),
    });
  const made = await ask(null, "POST", "/auth/signup", { email, password: "correct horse battery staple" });
  const session = (await made.json()).access_token;
  const program = (await (await ask(session, "POST", "/auth/mcp-token")).json()).access_token;
  const json = async (path) => (await ask(session, "GET", path)).json();
  return {
    connection: async () => (await json("/api/tools/connections")).items.find(({ server }) => server === NAME),
    tools: async () => (await json("/api/tools")).items.filter(({ server }) => server === NAME),
    disconnect: () => ask(session, "DELETE", `/api/tools/connections?server=${NAME}`),
    /** Begins, agrees there, comes back, and returns where the browser ends up. */
    async connect() {
      const begun = await ask(session, "POST", "/api/tools/connections", { server: NAME });
      assert.equal(begun.status, 200, await begun.clone().text());
      const [cookie] = begun.headers.getSetCookie()[0].split(";");
      const there = await fetch((await begun.json()).authorization_url, { redirect: "manual" });
      assert.equal(there.status, 302, await there.text());
      const back = await fetch(there.headers.get("location"), { redirect: "manual", headers: { cookie } });
      return back.headers.get("location");
    },
    async call() {
      const message = { jsonrpc: "2.0", id: 1, method: "tools/call", params: { name: "whoami", arguments: {} } };
      const response = await fetch(`${host.url}/mcp/${NAME}`, {
        method: "POST",
        headers: {
          authorization: `Bearer ${program}`,
          accept: "application/json, text/event-stream",
          "content-type": "application/json",
          "mcp-protocol-version": "2025-11-25",
        },
        body: JSON.stringify(message),
      });
      const { result, error } = await response.json();
      return result ? result.content[0].text : error.message;
    },
  };
}

test("each person connects it for themselves, and has it until the connection is lost", { skip }, async () => {
  const [ada, eve] = [await person("ada@example.org"), await person("eve@example.org")];
  assert.equal((await ada.connection()).state, "not_connected");
  assert.equal(await ada.connect(), `/settings/tools?connected=${NAME}`);
  assert.equal((await ada.connection()).state, "connected");
  assert.deepEqual((await ada.tools()).map(({ name }) => name), ["whoami"]);
  assert.equal(await ada.call(), "you are person 1");
  assert.deepEqual([await eve.tools(), (await eve.connection()).state], [[], "not_connected"]);
  assert.match(await eve.call(), /Unknown/);
  assert.equal(await eve.connect(), `/settings/tools?connected=${NAME}`);
  assert.deepEqual([await eve.call(), await ada.call()], ["you are person 2", "you are person 1"]);

  await control("forget=all");
  assert.match(await ada.call(), /connect it again/);
  assert.equal((await ada.connection()).state, "lost");
  assert.deepEqual((await ada.tools()).map(({ name }) => name), ["whoami"]);
  assert.match((await ada.connection()).message, /lost/);
  assert.equal(await ada.connect(), `/settings/tools?connected=${NAME}`);
  assert.equal(await ada.call(), "you are person 3");

  // The server takes her token no more: it is renewed once, however many ask at once.
  const { refreshed } = await control("forget=access");
  const said = await Promise.all([1, 2, 3, 4].map(() => ada.call()));
  assert.deepEqual(new Set(said), new Set(["you are person 3"]));
  assert.equal((await control()).refreshed, refreshed + 1);

  const before = await control();
  assert.equal((await ada.disconnect()).status, 204);
  // They are revoked beside.
  await until(async () => {
    const left = await control();
    return left.access === before.access - 1 && left.refresh === before.refresh - 1;
  });
  assert.deepEqual([await ada.tools(), (await ada.connection()).state], [[], "not_connected"]);
});

test("a token that expires is renewed and no call fails over it", { skip }, async () => {
  const ida = await person("ida@example.org");
  await control("lifetime=4");
  await ida.connect();
  const { refreshed } = await control("lifetime=3600");
  await until(async () => {
    assert.match(await ida.call(), /^you are/);
    return (await control()).refreshed !== refreshed;
  });
  assert.match(await ida.call(), /^you are/);
  assert.equal((await ida.connection()).state, "connected");
});
