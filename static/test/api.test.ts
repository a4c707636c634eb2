/** Requests to a real server that gives scripted responses. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ApiError, auth, conversations, describe, runs, tools } from "../src/api.ts";
import { type Answer, answer, breaks, empty, html, json, requests, startServer } from "./server.ts";

startServer();

const anyTime = new AbortController().signal;
const lines = () => requests().map(({ method, url }) => `${method} ${url}`);
const asApiError = async (request: Promise<unknown>): Promise<ApiError> => {
  const error: unknown = await request.then(
    () => assert.fail("it was answered"),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof ApiError, describe(error));
  return error;
};

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
    answer(away, json(201, { message: { id: "m" }, run: { id: "r" } }));
    const sent = conversations.say("c", "hello", [], "the-key", anyTime);
    assert.equal((await sent).message.id, "m");
    assert.deepEqual(
      requests().map(({ headers }) => headers["idempotency-key"]),
      ["the-key", "the-key"],
    );
  });
}

test("a server that asks for a moment gets it", async () => {
  for (const wish of [() => "1", () => new Date(Math.ceil(Date.now() / 1000) * 1000 + 1000).toUTCString()]) {
    answer(json(503, {}, { "Retry-After": wish() }), json(200, { id: "c" }));
    const started = performance.now();
    await conversations.get("c");
    assert.ok(performance.now() - started > 900, wish());
  }
});

test("a long wait is the person's to decide about, and other refusals are final", async () => {
  answer(json(503, { code: "unavailable", detail: "Come back tomorrow." }, { "Retry-After": "3600" }));
  await assert.rejects(conversations.get("c"), /Come back tomorrow/);
  for (const status of [400, 404, 409, 422, 429, 500]) {
    answer(json(status, { code: "x", detail: `So it is: ${status}` }));
    await assert.rejects(conversations.get("c"), new RegExp(`So it is: ${status}`));
  }
  assert.equal(requests().length, 7);
});

test("a refusal has the server's words, its code, the field it is about and how long to wait", async () => {
  answer(json(422, { code: "invalid_field", detail: "Too short.", field: "password" }, { "Retry-After": "7" }));
  const { status, code, message, field, retryAfterMs } = await asApiError(
    auth.signup({ email: "a@example.org", password: "x" }),
  );
  assert.deepEqual(
    [status, code, message, field, retryAfterMs],
    [422, "invalid_field", "Too short.", "password", 7_000],
  );
});

for (const [name, refusal] of [
  ["nothing", empty(500)],
  ["a page", html(500)],
  ["JSON that is no problem", json(500, null)],
  ["a list", json(500, ["x"])],
] as [string, Answer][]) {
  test(`a refusal that says ${name} is told in words of ours`, async () => {
    answer(refusal);
    const { status, code, message } = await asApiError(conversations.get("c"));
    assert.deepEqual([status, code], [500, "unexpected"]);
    assert.match(message, /The server answered 500 without a reason/);
  });
}

test("what was deleted, though nobody heard of it, is deleted", async () => {
  answer(breaks, json(404, { code: "not_found" }));
  await conversations.remove("c");
  answer(json(404, { code: "not_found", detail: "Not here." }));
  await assert.rejects(tools.removePolicy("x"), /Not here/);
});

test("an account is not made twice: a sign-up whose answer was lost is not sent again", async () => {
  answer(breaks);
  assert.equal((await asApiError(auth.signup({ email: "a@example.org", password: "x" }))).status, 0);
  assert.equal(requests().length, 1);
});

test("a person who does not want to wait is let go", async () => {
  const wish = new AbortController();
  answer(() => setTimeout(() => wish.abort(), 20));
  await assert.rejects(conversations.say("c", "hello", [], "k", wish.signal), { name: "AbortError" });
  assert.equal(requests().length, 1);
});

const out = json(401, { code: "unauthenticated", detail: "Log in." });

test("a session that ran out is renewed once and the request sent again; if it cannot be, the reason is told", async () => {
  answer(out, out, json(200, {}), json(200, { id: "r" }));
  assert.equal((await runs.get("r")).id, "r");
  assert.deepEqual(lines(), ["GET /api/runs/r", "GET /auth/me", "POST /auth/refresh", "GET /api/runs/r"]);
  answer(out, out, json(401, { code: "session_expired", detail: "Long ago." }));
  await assert.rejects(runs.get("r"), { status: 401, code: "session_expired" });
});

test("requests that find the session over at the same time renew it once", async () => {
  const done = json(200, { id: "x" });
  answer(out, out, out, out, done, done, done, done);
  await Promise.all([runs.get("a"), runs.get("b"), runs.get("c")]);
  assert.equal(lines().filter((line) => line === "POST /auth/refresh").length, 1);
  assert.equal(lines().length, 8);
});

test("a session that another tab has renewed meanwhile is not renewed again", async () => {
  answer(out, json(200, { id: "u" }), json(200, { id: "r" }));
  await runs.get("r");
  assert.deepEqual(lines(), ["GET /api/runs/r", "GET /auth/me", "GET /api/runs/r"]);
});

test("a session that only some instances refuse, because the account has just changed, is renewed all the same", async () => {
  answer(json(401, {}), json(200, {}), json(401, {}), json(200, {}), json(200, { id: "r" }));
  assert.equal((await runs.get("r")).id, "r");
  assert.deepEqual(lines(), ["GET /api/runs/r", "GET /auth/me", "GET /api/runs/r", "POST /auth/refresh", "GET /api/runs/r"]);
});

test("a server that cannot renew a session for now has not ended it", async () => {
  answer(out, out, json(500, { code: "internal", detail: "Out of order." }));
  await assert.rejects(runs.get("r"), { status: 500, message: "Out of order." });
});

test("whoever logs in is asked for nothing else first, and a wrong password is no session that ran out", async () => {
  answer(json(401, { code: "unauthenticated", detail: "Wrong." }));
  await assert.rejects(auth.login({ email: "a@example.org", password: "x" }), { status: 401, message: "Wrong." });
  assert.equal(requests().length, 1);
});

test("of several tabs one renews the session, and none while one logs out", async () => {
  // As in browsers: one at a time among all tabs.
  let last: Promise<unknown> = Promise.resolve();
  const request = <T>(_name: string, work: () => Promise<T>): Promise<T> => {
    const turn = last.then(work);
    last = turn.catch(() => undefined);
    return turn;
  };
  const usual = Object.getOwnPropertyDescriptor(globalThis, "navigator");
  Object.defineProperty(globalThis, "navigator", { value: { onLine: true, locks: { request } }, configurable: true });
  try {
    const second = (await import(String(new URL("../src/api.ts?second", import.meta.url)))) as { runs: typeof runs };
    const states: string[] = [];
    let isOver = true;
    const server: Answer = (response, { method, url }) => {
      states.push(`${method} ${url}`);
      if (url === "/auth/refresh") isOver = false;
      if (url === "/auth/logout") return empty(204)(response, requests()[0]!);
      return (isOver ? out : json(200, { id: "x" }))(response, requests()[0]!);
    };
    answer(...Array.from({ length: 20 }, () => server));
    await Promise.all([runs.get("a"), second.runs.get("b"), auth.logout()]);
    assert.equal(states.filter((line) => line === "POST /auth/refresh").length, 1);
    const [refreshed, left] = [states.indexOf("POST /auth/refresh"), states.indexOf("POST /auth/logout")];
    assert.ok(left < states.indexOf("GET /auth/me") || left > refreshed, states.join(", "));
  } finally {
    if (usual === undefined) Reflect.deleteProperty(globalThis, "navigator");
    else Object.defineProperty(globalThis, "navigator", usual);
  }
});

test("a message and the events of its run are asked for in one trace, and another run in another", async () => {
  const traces = () => requests().map(({ headers }) => String(headers["traceparent"]));
  answer(json(201, { message: { id: "m" }, run: { id: "traced" } }), empty(204), empty(204), empty(204));
  await conversations.say("c", "hello", [], "k", anyTime);
  for (const run of ["traced", "traced", "another"]) await runs.events(run, null, anyTime);
  const [said, events, again, another] = traces();
  assert.match(String(said), /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-01$/);
  assert.deepEqual([events, again], [said, said]);
  assert.notEqual(another, said);
});
