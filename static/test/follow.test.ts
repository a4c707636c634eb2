/** Following a run over a real connection that breaks, falls silent, or is refused. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { followRun } from "../src/follow.ts";
import { type Answer, answer, empty, event, html, json, requests, startServer, stream } from "./server.ts";

startServer();

/** Follows a run and collects what was received. */
function follow(signal = new AbortController().signal) {
  const seen: string[] = [];
  const ended = followRun(
    "r",
    {
      onEvent: (it) => seen.push("text" in it ? `${it.kind} ${it.text}` : it.kind),
      onConnection: (is) => seen.push(is ? "connected" : "lost"),
    },
    signal,
  );
  return { seen, ended };
}

const resumedAfter = () => requests().map(({ headers }) => headers["last-event-id"] ?? null);
const ends: Answer = stream(event(9, "complete", ""), (response) => response.end());

test("a stream whose connection broke goes on at once after the last event, and meanwhile that is said", async () => {
  answer(
    stream(event(1, "token", "a") + "id: 2\ndata: {", (response) => response.socket?.destroy()),
    stream(event(2, "token", "b") + event(3, "complete", ""), (response) => response.end()),
  );
  const started = performance.now();
  const { seen, ended } = follow();
  await ended;
  assert.ok(performance.now() - started < 450, "the shortest wait of one that fails again and again");
  assert.deepEqual(seen, ["connected", "token a", "lost", "connected", "token b", "complete"]);
  assert.deepEqual(resumedAfter(), [null, "1"]);
});

test("a connection that the server ends because it is old is made again without a word", async () => {
  answer(
    stream(event(1, "token", "a"), (response) => response.end()),
    ends,
  );
  const { seen, ended } = follow();
  await ended;
  assert.deepEqual(seen, ["connected", "token a", "connected", "complete"]);
  assert.deepEqual(resumedAfter(), [null, "1"]);
});

test("one goes on after the last event that had an id", async () => {
  answer(
    stream(event(5, "token", "a") + event(null, "state", "processing"), (response) => response.end()),
    ends,
  );
  await follow().ended;
  assert.deepEqual(resumedAfter(), [null, "5"]);
});

test("what is no event of ours is passed over", async () => {
  answer(
    stream(
      "id: 1\ndata: rubbish\n\n" + event(2, "weather", "sunny") + ": awake\n\n" + event(3, "complete", ""),
      (response) => response.end(),
    ),
  );
  const { seen, ended } = follow();
  await ended;
  assert.deepEqual(seen, ["connected", "complete"]);
});

test("an error of the run ends it, and is not tried to be repaired", async () => {
  answer(stream(event(1, "error", "Out of order.")));
  const { seen, ended } = follow();
  await ended;
  assert.deepEqual(seen, ["connected", "error"]);
  assert.equal(requests().length, 1);
});

test("a stream waits as long as a busy server asks, and gives up on what trying cannot repair", async () => {
  answer(json(503, {}, { "Retry-After": "1" }), html(502), empty(204));
  const started = performance.now();
  await follow().ended;
  assert.ok(performance.now() - started > 1_000);
  answer(json(404, { code: "not_found", detail: "No such run." }));
  await assert.rejects(follow().ended, /No such run/);
});

test("a session that ran out is renewed, and the run goes on", async () => {
  const out = json(401, { code: "unauthenticated" });
  answer(out, out, json(200, {}), ends);
  const { seen, ended } = follow();
  await ended;
  assert.deepEqual(seen, ["connected", "complete"]);
  answer(out, out, json(401, { code: "session_ended", detail: "Elsewhere." }));
  await assert.rejects(follow().ended, { status: 401, code: "session_ended" });
});

test("whoever does not want to know any more is left alone", async () => {
  const wish = new AbortController();
  answer(stream(event(1, "token", "a"), () => wish.abort()));
  const { ended } = follow(wish.signal);
  await ended;
  assert.equal(requests().length, 1);
});
