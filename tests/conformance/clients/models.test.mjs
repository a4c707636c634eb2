// Clients by other authors against `/v1` of the whole app: OpenAI's SDKs for Python and JavaScript, and LiteLLM's client, for models and for an assistant.
// The model behind it is by other authors, too. What they used is counted, also what a client left in the middle.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { ROOT, serve } from "../host.mjs";

const PYTHON = process.env.EA_PYTHON ?? join(ROOT, "target/dev/python-tests-conformance-clients/bin/python");
const MODEL = join(import.meta.dirname, "../node_modules/.bin/llmock");
const HELLO = "Hello from elsewhere: é, 漢, 🦀, in pieces of a few characters.";
// What the model is told in a turn of the assistant: the assistant's instructions, and the program's.
const CLOCK = { systemMessage: ["You are a clock.", "Be exact."] };
const LONG = "Word after word after word. ".repeat(200);
// The time for two dozen requests and for loading LiteLLM on a busy machine.
const LIMIT_MS = 180_000;

let folder;
let model;
let host;
let key;
let assistantsKey;
let session;

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "edge-assistant-model-"));
  const answer = (userMessage, response) => ({ match: { userMessage }, response });
  const calls = (userMessage, name, args, more) => ({
    match: { userMessage, hasToolResult: false, ...more },
    response: { content: "Let me look.", toolCalls: [{ name, arguments: args }] },
  });
  const fixtures = [
    answer("hello", { content: HELLO }),
    answer("use a tool", { toolCalls: [{ name: "weather", arguments: "{}" }] }),
    answer("as JSON", { content: '{"is":"JSON"}' }),
    answer("at length", { content: LONG }),
    // An assistant's turn: its model calls a tool of the installation, and answers with what it came to.
    calls("what time is it", "clock_now", "{}", CLOCK),
    { match: { userMessage: "what time is it", hasToolResult: true }, response: { content: "It is noon." } },
    calls("work it out", "calculator_calculate", '{"expression":"6*7"}'),
    {
      match: { userMessage: "work it out", hasToolResult: true, toolResultContains: "nobody can be asked here" },
      response: { content: "It needs an approval." },
    },
  ];
  await writeFile(join(folder, "fixtures.json"), JSON.stringify({ fixtures }));
  const port = await freePort();
  const options = ["--port", `${port}`, "--chunk-size", "7", "--latency", "5", "--log-level", "silent"];
  model = spawn(MODEL, [...options, "--fixtures", folder], { stdio: "ignore" });
  for (;;) {
    if (await fetch(`http://127.0.0.1:${port}/v1/models`).catch(() => undefined)) break;
    assert.equal(model.exitCode, null, "the model ended");
  }
  const variables = [
    `openai_base_url=http://127.0.0.1:${port}/v1`,
    "openai_api_key=any",
    "openai_model=gpt-test",
    "openai_models=text-embedding-test",
    "session_requests_per_minute=0",
    "person_requests_per_minute=0",
    "tool_policies=ask calculator:*",
  ];
  host = await serve("spin.toml", ...variables.flatMap((variable) => ["--variable", variable]));
  const account = { email: "client@example.org", password: "correct horse battery staple" };
  session = (await post("/auth/signup", account)).access_token;
  const scopes = ["models:call", "models:use:*"];
  key = (await post("/auth/api-keys", { name: "models", scopes })).key;
  const more = [...scopes, "conversations:write", "tools:call:*"];
  assistantsKey = (await post("/auth/api-keys", { name: "assistants", scopes: more })).key;
  await post("/api/assistants", { name: "Timekeeper", settings: { instructions: "You are a clock." } });
});

after(async () => {
  await host?.end();
  model?.kill();
  if (folder) await rm(folder, { recursive: true });
});

async function post(path, body) {
  const headers = { "content-type": "application/json", ...(session && { authorization: `Bearer ${session}` }) };
  const response = await fetch(`${host.url}${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  assert.equal(response.status, 201, path);
  return response.json();
}

/** What a program says that it received. */
function run(program, ...args) {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, MODELS_KEY: key, ASSISTANTS_KEY: assistantsKey };
    const child = spawn(program, [...args, `${host.url}/v1`], { env, timeout: LIMIT_MS });
    let output = "";
    let errors = "";
    child.stdout.on("data", (data) => (output += data));
    child.stderr.on("data", (data) => (errors += data));
    child.once("error", reject);
    child.once("close", (code) => (code === 0 ? resolve(JSON.parse(output)) : reject(new Error(errors))));
  });
}

async function usage() {
  const response = await fetch(`${host.url}/api/usage`, { headers: { authorization: `Bearer ${session}` } });
  return (await response.json()).programs;
}

const skip = !existsSync(PYTHON) && "Python 3.11 or newer with venv is missing";
test("OpenAI's SDK for Python, and LiteLLM's client", { skip }, async () => {
  const before = await usage();
  const said = await run(PYTHON, join(import.meta.dirname, "models.py"));
  assert.deepEqual(said, {
    answer: HELLO,
    usage: true,
    stream: HELLO,
    reported: true,
    call: "weather",
    structured: { is: "JSON" },
    response: HELLO,
    embedding: 2,
    models: ["gpt-test", "text-embedding-test"],
    owner: "default",
    unknown: ["NotFoundError", "model_not_found"],
    wrong_key: ["AuthenticationError", "invalid_api_key"],
    kept: ["BadRequestError", "invalid_request"],
    cancelled: true,
    litellm: HELLO,
    litellm_stream: HELLO,
    assistants: ["assistant:Timekeeper"],
    assistant: ["Let me look.\n\nIt is noon.", "stop", true],
    assistant_stream: ["Let me look.\n\nIt is noon.", "stop", true],
    unapproved: "Let me look.\n\nIt needs an approval.",
    own_tools: ["BadRequestError", "invalid_request"],
    without_scope: ["PermissionDeniedError", "insufficient_scope"],
    nothing_there: ["NotFoundError", "not_found"],
  });
  assert.equal((await usage()).requests - before.requests, 10);
});

test("OpenAI's SDK for JavaScript", async () => {
  assert.deepEqual(await run(process.execPath, join(import.meta.dirname, "models.mjs")), {
    answer: HELLO,
    stream: HELLO,
    response: HELLO,
    models: ["gpt-test", "text-embedding-test"],
    unknown: ["NotFoundError", "model_not_found"],
    wrong_key: ["AuthenticationError", "invalid_api_key"],
  });
});

// It waits for the settlement, which must come.
const limit = { timeout: LIMIT_MS };
test("an assistant is stopped when the program has left", async () => {
  const leaving = new AbortController();
  const body = { model: "assistant:Timekeeper", stream: true, messages: [{ role: "user", content: "at length" }] };
  const headers = { authorization: `Bearer ${assistantsKey}`, "content-type": "application/json" };
  const init = { method: "POST", headers, body: JSON.stringify(body), signal: leaving.signal };
  const response = await fetch(`${host.url}/v1/chat/completions`, init);
  let said = "";
  for await (const chunk of response.body) {
    said += new TextDecoder().decode(chunk);
    if (said.includes("Word")) break;
  }
  leaving.abort();
  const id = /"id":"chatcmpl-([^"]+)"/.exec(said)[1];
  const until = Date.now() + LIMIT_MS;
  let state;
  do {
    const run = await fetch(`${host.url}/api/runs/${id}`, { headers: { authorization: `Bearer ${session}` } });
    state = (await run.json()).state;
  } while (!["cancelled", "complete", "error"].includes(state) && Date.now() < until);
  assert.equal(state, "cancelled");
});

test("what a program has got of an answer that it leaves is charged, and the rest is not fetched", limit, async () => {
  const before = await usage();
  const leaving = new AbortController();
  const body = { model: "gpt-test", stream: true, messages: [{ role: "user", content: "at length" }] };
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  const init = { method: "POST", headers, body: JSON.stringify(body), signal: leaving.signal };
  const { body: stream } = await fetch(`${host.url}/v1/chat/completions`, init);
  let said = "";
  for await (const chunk of stream) {
    said += new TextDecoder().decode(chunk);
    if (said.includes("Word")) break;
  }
  leaving.abort();
  let used;
  do used = await usage();
  while (used.prompt_tokens === before.prompt_tokens);
  const tokens = used.completion_tokens - before.completion_tokens;
  // The whole answer has more than a thousand.
  assert.ok(tokens > 0 && tokens < 500, `${tokens}`);
});
