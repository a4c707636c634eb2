/** Requests against a real server that answers as it is told. */
import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { after, before, beforeEach, test } from "node:test";
import { conversations, runs, tools } from "../src/api.ts";
import { followRun } from "../src/follow.ts";

type Answer = (response: ServerResponse, request: IncomingMessage) => void;

let answers: Answer[] = [];
let asked: IncomingMessage[] = [];
const server = createServer((request, response) => {
  asked.push(request);
  const answer = answers.shift();
  if (answer === undefined) response.writeHead(500).end();
  else request.resume().on("end", () => answer(response, request));
});

before(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const send = globalThis.fetch;
  globalThis.fetch = (path, init) => {
    assert.ok(typeof path === "string");
    return send(`http://127.0.0.1:${port}${path}`, init);
  };
});
beforeEach(() => ((answers = []), (asked = [])));
after(() => (server.closeAllConnections(), server.close()));

const json =
  (status: number, body: unknown, headers: Record<string, string> = {}): Answer =>
  (response) =>
    response.writeHead(status, { "Content-Type": "application/json", ...headers }).end(JSON.stringify(body));
const html =
  (status: number, headers: Record<string, string> = {}): Answer =>
  (response) =>
    response.writeHead(status, { "Content-Type": "text/html", ...headers }).end("<h1>Bad Gateway</h1>");
const breaks: Answer = (response) => void response.socket?.destroy();
const anyTime = new AbortController().signal;

for (const [name, away] of [
  ["502", html(502)],
  ["503", json(503, { code: "unavailable" }, { "Retry-After": "0" })],
  ["504", html(504)],
  ["a broken connection", breaks],
  [
    "an answer that breaks off",
    (response) => (response.writeHead(201, { "Content-Length": "99" }).write("{"), response.socket?.destroySoon()),
  ],
] as [string, Answer][]) {
  test(`a message that met ${name} is sent again with the same key`, async () => {
    answers = [away, json(201, { message: { id: "m" }, run: { id: "r" } })];
    const sent = conversations.say("c", "hello", "the-key", anyTime);
    assert.equal((await sent).message.id, "m");
    assert.deepEqual(
      asked.map(({ headers }) => headers["idempotency-key"]),
      ["the-key", "the-key"],
    );
  });
}

test("a server that asks for a moment gets it", async () => {
  for (const wish of [() => "1", () => new Date(Math.ceil(Date.now() / 1000) * 1000 + 1000).toUTCString()]) {
    answers = [json(503, {}, { "Retry-After": wish() }), json(200, { id: "c" })];
    const started = performance.now();
    await conversations.get("c");
    assert.ok(performance.now() - started > 900, wish());
  }
});

test("a long wait is the person's to decide about, and other refusals are final", async () => {
  answers = [json(503, { code: "unavailable", detail: "Come back tomorrow." }, { "Retry-After": "3600" })];
  await assert.rejects(conversations.get("c"), /Come back tomorrow/);
  for (const status of [400, 404, 409, 422, 429, 500]) {
    answers = [json(status, { code: "x", detail: `So it is: ${status}` })];
    await assert.rejects(conversations.get("c"), new RegExp(`So it is: ${status}`));
  }
  assert.equal(asked.length, 7);
});

test("what was deleted, though nobody heard of it, is deleted", async () => {
  answers = [breaks, json(404, { code: "not_found" })];
  await conversations.remove("c");
  answers = [json(404, { code: "not_found", detail: "Not here." })];
  await assert.rejects(tools.removePolicy("x"), /Not here/);
});

test("a person who does not want to wait is let go", async () => {
  const wish = new AbortController();
  answers = [() => setTimeout(() => wish.abort(), 20)];
  await assert.rejects(conversations.say("c", "hello", "k", wish.signal), { name: "AbortError" });
  assert.equal(asked.length, 1);
});

test("a session that ran out is renewed once and the request sent again; if it cannot be, the reason is told", async () => {
  const out = json(401, { code: "unauthenticated", detail: "Log in." });
  answers = [out, out, json(200, {}), json(200, { id: "r" })];
  assert.equal((await runs.get("r")).id, "r");
  assert.deepEqual(
    asked.map(({ method, url }) => `${method} ${url}`),
    ["GET /api/runs/r", "GET /auth/me", "POST /auth/refresh", "GET /api/runs/r"],
  );
  answers = [out, out, json(401, { code: "session_expired", detail: "Long ago." })];
  await assert.rejects(runs.get("r"), { status: 401, code: "session_expired" });
});

const event = (id: number, type: string, content: string) =>
  `id: ${id}\nevent: ${type}\ndata: ${JSON.stringify({ type, content, metadata: {} })}\n\n`;
const stream =
  (text: string, end: (response: ServerResponse) => void): Answer =>
  (response) => {
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    response.write(text, () => end(response));
  };

test("a stream whose connection broke goes on at once after the last event, and meanwhile that is said", async () => {
  answers = [
    stream(event(1, "token", "a") + "id: 2\ndata: {", (response) => response.socket?.destroy()),
    stream(event(2, "token", "b") + event(3, "complete", ""), (response) => response.end()),
  ];
  const seen: string[] = [];
  const started = performance.now();
  await followRun(
    "r",
    {
      onEvent: (it) => seen.push(it.kind === "token" ? `token ${it.text}` : it.kind),
      onConnection: (is) => seen.push(is ? "connected" : "lost"),
    },
    anyTime,
  );
  assert.ok(performance.now() - started < 450, "the shortest wait of one that fails again and again");
  assert.deepEqual(seen, ["connected", "token a", "lost", "connected", "token b", "complete"]);
  assert.equal(asked[1]?.headers["last-event-id"], "1");
});

test("a stream waits as long as a busy server asks, and gives up on what trying cannot repair", async () => {
  answers = [json(503, {}, { "Retry-After": "1" }), html(502), (response) => response.writeHead(204).end()];
  const follower = { onEvent: () => undefined, onConnection: () => undefined };
  const started = performance.now();
  await followRun("r", follower, anyTime);
  assert.ok(performance.now() - started > 1_000);
  answers = [json(404, { code: "not_found", detail: "No such run." })];
  await assert.rejects(followRun("r", follower, anyTime), /No such run/);
});
