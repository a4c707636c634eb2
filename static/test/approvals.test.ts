/** A person's decisions about tool calls: here, in another tab, or too late. */
import { answers, asked, conversationOf, Events, held, otherTab, refusal, runOf, said, settled, until } from "./tab.ts";
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { decide, deciding, forgetDecisions, isOpen, undecided } from "../src/state/approvals.ts";
import * as chat from "../src/state/chat.ts";
import { session } from "../src/state/session.ts";

const DECIDE = "POST /api/runs/r/approvals";
const heard: unknown[] = [];
otherTab.addEventListener("message", ({ data }) => heard.push(data));

afterEach(async () => {
  chat.leave();
  await settled();
  forgetDecisions();
  answers.clear();
  heard.length = asked.length = 0;
});

test("a decision is sent once, kept, and told to the other tabs", async () => {
  const late = held();
  answers.set(DECIDE, late.answer);
  const first = decide("r", "c1", "allow_once");
  assert.deepEqual(deciding("r", "c1"), { at: "sending", decision: "allow_once" });
  assert.equal(await decide("r", "c1", "deny"), false);
  late.give(Response.json({}));
  assert.equal(await first, true);
  assert.deepEqual(deciding("r", "c1"), { at: "decided", decision: "allow_once" });
  assert.deepEqual(
    asked.map(({ body }) => body),
    [{ call_id: "c1", decision: "allow_once" }],
  );
  await until(() => heard.length > 0, "news");
  assert.deepEqual(heard, [{ kind: "decided", runId: "r", callId: "c1", decision: "allow_once" }]);
});

test("a decision is about one call of one run", async () => {
  answers.set(DECIDE, () => Response.json({}));
  await decide("r", "c1", "deny");
  assert.deepEqual([deciding("r", "c2").at, deciding("r2", "c1").at], ["open", "open"]);
});

for (const [code, at, open] of [
  ["already_decided", "elsewhere", false],
  ["approval_expired", "expired", false],
  ["internal", "failed", true],
] as const) {
  test(`a decision that is refused with ${code} can${open ? "" : "not"} be made again`, async () => {
    answers.set(DECIDE, () => refusal(409, code, "So it is."));
    assert.equal(await decide("r", "c1", "deny"), false);
    const state = deciding("r", "c1");
    assert.deepEqual([state.at, isOpen(state)], [at, open]);
    if (state.at === "failed") assert.equal(state.reason, "So it is.");
  });
}

test("a session that ends on the way leaves the question open", async () => {
  for (const path of [DECIDE, "GET /auth/me", "POST /auth/refresh"])
    answers.set(path, () => refusal(401, "session_ended", "No."));
  assert.equal(await decide("r", "c1", "deny"), false);
  assert.deepEqual([deciding("r", "c1").at, session.value.at], ["open", "out"]);
});

test("what another tab decided is decided here", async () => {
  otherTab.postMessage({ kind: "decided", runId: "r", callId: "c1", decision: "deny" });
  await until(() => deciding("r", "c1").at === "decided", "news");
  forgetDecisions();
  assert.equal(deciding("r", "c1").at, "open");
});

test("the questions of the answer on the screen are open until they are decided, and only while it runs", async () => {
  const events = new Events();
  answers.set("GET /api/conversations/c", () => Response.json(conversationOf("c", { active_run_id: "r" })));
  answers.set("GET /api/conversations/c/messages", () =>
    Response.json({ items: said("c", "r", "Do"), next_cursor: null }),
  );
  answers.set("GET /api/runs/r", () => Response.json(runOf("r", "c")));
  answers.set("GET /api/runs/r/events", events.answer);
  answers.set(DECIDE, () => Response.json({}));
  await chat.open("c");
  await until(() => events.isHeard, "the run");
  const ask = (callId: string) =>
    events.say("tool_approval", "note", { call_id: callId, arguments: {}, server: "notes" });
  ask("c1");
  ask("c2");
  const open = () => undecided.value.map(({ callId }) => callId);
  await until(() => open().length === 2, "two questions");
  const before = undecided.value;
  events.say("state", "processing");
  await until(() => chat.live.value?.phase === "tools", "something else");
  assert.equal(undecided.value, before, "the same list");
  await decide("r", "c1", "deny");
  assert.deepEqual(open(), ["c2"]);
  events.say("complete", "", { finish_reason: "cancelled" });
  await until(() => !chat.busy.value, "the end");
  assert.deepEqual(open(), []);
});
