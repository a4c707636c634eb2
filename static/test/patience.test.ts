/** Time limits, with a clock under the test's control. */
import { answers, asked, dead, Events, settled, setOnline, silent } from "./tab.ts";
import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { ApiError, conversations, runs } from "../src/api.ts";
import { followRun } from "../src/follow.ts";
import { isOverdue } from "../src/overdue.ts";

let nowMs = 0;

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout"] });
  nowMs = 0;
});

afterEach(async () => {
  mock.timers.reset();
  await settled();
  answers.clear();
  asked.length = 0;
});

/** Lets time pass until a promise has settled, or for this long. */
async function pass(until: Promise<unknown> | number): Promise<void> {
  const state = { isOver: false };
  const end = typeof until === "number" ? nowMs + until : 1_000_000;
  if (typeof until !== "number") void until.finally(() => (state.isOver = true)).catch(() => undefined);
  // Immediate consequences come before the clock advances.
  for (;;) {
    for (let turns = 0; turns < 3; turns++) await new Promise((resolve) => setImmediate(resolve));
    if (state.isOver || nowMs >= end) break;
    mock.timers.tick(50);
    nowMs += 50;
  }
  assert.ok(typeof until === "number" || state.isOver, "waited in vain");
}

test("a dead network is tried six times, and then told", async () => {
  answers.set("GET /api/runs/r", dead);
  const asking = assert.rejects(runs.get("r"), (error) => {
    assert.ok(error instanceof ApiError);
    assert.match(error.message, /could not be reached/);
    return error.status === 0 && error.code === "unreachable";
  });
  await pass(asking);
  await asking;
  assert.equal(asked.length, 6);
  assert.ok(nowMs > 8_000 && nowMs < 20_000, `${nowMs}`);
});

test("without a network nothing is tried again, and one that comes back is not waited for any longer", async () => {
  setOnline(false);
  await assert.rejects(runs.get("r"), /You are offline/);
  setOnline(true);
  answers.set("GET /api/runs/r", dead);
  const asking = runs.get("r");
  await pass(10_000);
  const before = asked.length;
  answers.set("GET /api/runs/r", () => Response.json({ id: "r" }));
  window.dispatchEvent(new Event("online"));
  assert.equal((await asking).id, "r");
  assert.equal(asked.length, before + 1);
});

test("that somebody waits for longer than an answer takes is known, and over with the answer", async () => {
  answers.set("POST /api/conversations", silent);
  const wish = new AbortController();
  const asking = assert.rejects(conversations.create({}, wish.signal), { name: "AbortError" });
  await pass(3_900);
  assert.equal(isOverdue.value, false);
  await pass(200);
  assert.equal(isOverdue.value, true);
  wish.abort();
  await asking;
  assert.equal(isOverdue.value, false);
});

/** Follows a run and collects what was received, and when. */
function follow() {
  const seen: string[] = [];
  const note = (what: string) => seen.push(`${what} ${Math.floor(nowMs / 1000)} s`);
  const ended = followRun(
    "r",
    { onEvent: ({ kind }) => note(kind), onConnection: (is) => note(is ? "there" : "lost") },
    new AbortController().signal,
  );
  return { seen, ended };
}

const EVENTS = "GET /api/runs/r/events";

test("a connection that falls silent is dead, and a server that does not answer is said within seconds", async () => {
  const [first, last] = [new Events(), new Events()];
  answers.set(EVENTS, first.answer);
  const { seen, ended } = follow();
  await pass(0);
  first.say("token", "a");
  await pass(0);
  answers.set(EVENTS, silent);
  await pass(14_000);
  assert.deepEqual(seen, ["there 0 s", "token 0 s", "lost 13 s"]);
  await pass(4_000);
  assert.deepEqual(seen.slice(3), ["lost 17 s"]);
  answers.set(EVENTS, last.answer);
  await pass(12_000);
  last.say("complete", "");
  await pass(ended);
  assert.deepEqual(
    seen.slice(4).map((what) => what.split(" ")[0]),
    ["lost", "there", "complete"],
  );
  assert.deepEqual(
    asked.map(({ headers }) => headers.get("Last-Event-ID")),
    [null, "1", "1"],
  );
});

test("a connection in which the server keeps saying that it is there may last", async () => {
  const events = new Events();
  answers.set(EVENTS, events.answer);
  const { seen, ended } = follow();
  for (let times = 0; times < 6; times++) {
    await pass(10_000);
    events.keepAwake();
  }
  await pass(0);
  events.say("complete", "");
  await pass(ended);
  assert.deepEqual(seen, ["there 0 s", "complete 60 s"]);
});

test("a network that stays dead is tried again at once, then less and less often, for as long as it takes", async () => {
  const times: number[] = [];
  answers.set(EVENTS, () => {
    times.push(nowMs);
    throw new TypeError("fetch failed");
  });
  const { ended } = follow();
  await pass(120_000);
  const waits = times.slice(1).map((time, index) => time - times[index]!);
  assert.ok(waits[0]! <= 150, `${waits[0]}`);
  assert.ok(waits[1]! < 1_000 && waits[3]! > 1_000, waits.join(", "));
  assert.ok(Math.max(...waits) < 20_000 && waits.at(-1)! > 10_000, waits.join(", "));
  const events = new Events();
  answers.set(EVENTS, events.answer);
  // Once the network is back, the next attempt is made at once.
  window.dispatchEvent(new Event("online"));
  await pass(0);
  events.say("complete", "");
  await pass(ended);
});
