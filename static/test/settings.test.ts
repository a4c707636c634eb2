/** The settings for tools: the person's choices and secrets. */
import { answers, asked, held, refusal } from "./tab.ts";
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { keyOf } from "../src/secrets.ts";
import * as secrets from "../src/state/secrets.ts";
import * as tools from "../src/state/tools.ts";
import type { Secret, Tool } from "../src/types.ts";

const tool = (name: string, fields: Partial<Tool> = {}): Tool => ({
  server: "notes",
  name,
  title: name,
  description: "",
  read_only: false,
  destructive: false,
  idempotent: false,
  open_world: false,
  remote: false,
  policy: "ask",
  always_asks: false,
  own_policy: null,
  input_schema: {},
  ...fields,
});
const password: Secret = {
  server: "mail",
  name: "password",
  title: "Password",
  description: "",
  visible: false,
  optional: false,
  is_set: false,
};
const listAt = () => tools.toolList.value.at;
const broken = () => refusal(500, "internal", "Out of order.");

afterEach(() => {
  tools.forgetTools();
  secrets.forgetSecrets();
  answers.clear();
  asked.length = 0;
});

test("the tools are listed with what is missing of them", async () => {
  const problem = { server: "web", tool: null, message: "Away.", advice: null };
  answers.set("GET /api/tools", () => Response.json({ items: [tool("a")], next_cursor: null, problems: [problem] }));
  assert.equal(listAt(), "loading");
  await tools.loadTools();
  assert.deepEqual(tools.toolList.value, { at: "ready", items: [tool("a")], problems: [problem] });
});

test("a list of tools that cannot be had says why, and is loading again when it is asked for again", async () => {
  answers.set("GET /api/tools", broken);
  await tools.loadTools();
  assert.deepEqual(tools.toolList.value, { at: "failed", reason: "Out of order." });
  answers.set("GET /api/tools", () => Response.json({ items: [], next_cursor: null, problems: [] }));
  const loading = tools.loadTools();
  assert.equal(listAt(), "loading");
  await loading;
  assert.equal(listAt(), "ready");
});

test("a choice is saved once, and what it comes to is the server's to say", async () => {
  answers.set("GET /api/tools", () =>
    Response.json({ items: [tool("a", { own_policy: "deny", policy: "deny" })], next_cursor: null, problems: [] }),
  );
  const late = held();
  answers.set("PUT /api/tools/policies", late.answer);
  const choosing = tools.choose(tool("a"), "deny");
  assert.deepEqual(tools.saving.value.get("notes:a"), { at: "sending" });
  assert.equal(await tools.choose(tool("a"), "allow"), false);
  late.give(Response.json({}));
  assert.equal(await choosing, true);
  assert.equal(tools.saving.value.size, 0);
  assert.ok(tools.toolList.value.at === "ready");
  assert.equal(tools.toolList.value.items[0]?.policy, "deny");
  assert.deepEqual(asked[0]?.body, { pattern: "notes:a", effect: "deny" });
});

test("a choice is taken back by removing it, and one that was not saved says why", async () => {
  answers.set("DELETE /api/tools/policies", broken);
  assert.equal(await tools.choose(tool("a"), null), false);
  assert.deepEqual(tools.saving.value.get("notes:a"), { at: "failed", reason: "Out of order." });
  assert.match(asked[0]?.path ?? "", /pattern=notes%3Aa/);
});

test("a secret is sent, known to be there, and not kept", async () => {
  answers.set("GET /api/tools/secrets", () => Response.json({ items: [password] }));
  await secrets.loadSecrets();
  answers.set("PUT /api/tools/secrets", () => Response.json({ ...password, is_set: true }));
  assert.equal(await secrets.saveSecret(password, "hunter2"), true);
  assert.deepEqual(asked.at(-1)?.body, { server: "mail", name: "password", value: "hunter2" });
  assert.deepEqual(secrets.secretList.value, { at: "ready", items: [{ ...password, is_set: true }] });
  answers.set("DELETE /api/tools/secrets", () => new Response(null, { status: 204 }));
  assert.equal(await secrets.removeSecret({ ...password, is_set: true }), true);
  assert.deepEqual(secrets.secretList.value, { at: "ready", items: [password] });
  assert.equal(secrets.savingSecrets.value.size, 0);
});

test("a secret that was not saved says why, and one at a time is on its way", async () => {
  const late = held();
  answers.set("PUT /api/tools/secrets", late.answer);
  const saving = secrets.saveSecret(password, "x");
  assert.equal(await secrets.removeSecret(password), false);
  late.give(broken());
  assert.equal(await saving, false);
  assert.deepEqual(secrets.savingSecrets.value.get(keyOf(password)), { at: "failed", reason: "Out of order." });
});

test("what was entrusted to tools and cannot be read says why", async () => {
  answers.set("GET /api/tools/secrets", broken);
  await secrets.loadSecrets();
  assert.deepEqual(secrets.secretList.value, { at: "failed", reason: "Out of order." });
});
