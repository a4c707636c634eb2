/** The states of a chat, event by event. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type ChatEvent,
  type ChatState,
  isBusy,
  lastAnswer,
  NEW,
  type Ready,
  reduce,
  retryableRun,
} from "../src/chat.ts";
import type { Piece } from "../src/history.ts";
import { newAnswer, type Turn } from "../src/turns.ts";
import type { Conversation, Message, Run } from "../src/types.ts";

const AT = new Date(1_000);
const LATER = new Date(2_000);

const conversation = (fields: Partial<Conversation> = {}): Conversation => ({
  id: "c",
  title: "Title",
  model: null,
  created_at: "",
  updated_at: "1",
  active_run_id: null,
  ...fields,
});
const run = (id: string): Run => ({
  id,
  conversation_id: "c",
  message_id: "m",
  state: "queued",
  model: "scripted",
  events_url: "",
  created_at: "",
  updated_at: "",
  error: null,
  usage: null,
});
const message = (id: string, runId: string, fields: Partial<Message> = {}): Message => ({
  id,
  conversation_id: "c",
  run_id: runId,
  role: "user",
  content: id,
  created_at: "",
  ...fields,
});
const answered = (runId: string, content: string, finish_reason = "stop") =>
  message(`${runId}-answer`, runId, { role: "assistant", content, finish_reason });
const piece = (messages: Message[], before: Piece["before"] = null): Piece => ({ messages, before });
/** This many messages, each with its answer. */
const talk = (count: number, first = 0): Message[] =>
  Array.from({ length: count }, (_, n) => [
    message(`m${first + n}`, `r${first + n}`),
    answered(`r${first + n}`, `a${first + n}`),
  ]).flat();

const after = (state: ChatState, ...events: ChatEvent[]): ChatState => events.reduce(reduce, state);
function ready(state: ChatState): Ready {
  assert.equal(state.at, "ready");
  return state;
}
const opened: ChatEvent = { type: "opened", id: "c" };
const loaded = (
  messages: Message[],
  fields: Partial<Conversation> = {},
  before: Piece["before"] = null,
): ChatEvent => ({
  type: "loaded",
  conversation: conversation(fields),
  piece: piece(messages, before),
  at: AT,
});
const heard = (runId: string, id: number, event: (ChatEvent & { type: "heard" })["event"]): ChatEvent => ({
  type: "heard",
  runId,
  event,
  id: String(id),
});
const token = (runId: string, id: number, text: string) => heard(runId, id, { kind: "token", text });
const complete = (runId: string, id: number, finishReason = "stop") =>
  heard(runId, id, { kind: "complete", finishReason });
const sending: ChatEvent = { type: "sending", key: "k", text: "Hello", files: [] };
const sent: ChatEvent = { type: "sent", messageId: "m9", run: run("r9") };
const created: ChatEvent = { type: "created", conversation: conversation(), at: AT };

const idle = ready(after(NEW, opened, loaded(talk(2))));
const STATES: Record<string, ChatState> = {
  new: NEW,
  "new, sending": after(NEW, sending),
  loading: after(NEW, opened),
  missing: after(NEW, opened, { type: "failed", reason: null }),
  failed: after(NEW, opened, { type: "failed", reason: "Out of order." }),
  idle,
  sending: after(idle, sending),
  answering: after(idle, sending, sent),
};
/** The names of all states, as in the table below. */
const ALL = Object.keys(STATES);
const READY = ["idle", "sending", "answering"];

/** One event of each type, and the states that it changes. */
const EVENTS: { [T in ChatEvent["type"]]: { event: ChatEvent & { type: T }; where: string[] } } = {
  opened: { event: { type: "opened", id: "d" }, where: ALL },
  loaded: {
    event: { type: "loaded", conversation: conversation(), piece: piece(talk(1)), at: LATER },
    where: ["loading", "idle"],
  },
  failed: { event: { type: "failed", reason: "So it is." }, where: ["loading"] },
  copied: { event: { type: "copied", copy: idle }, where: ["loading"] },
  renewed: { event: { type: "renewed", conversation: conversation({ title: "Other" }) }, where: READY },
  confirmed: { event: { type: "confirmed", at: LATER }, where: READY },
  unreachable: { event: { type: "unreachable" }, where: ["idle"] },
  model: { event: { type: "model", model: "m" }, where: READY },
  filled: { event: { type: "filled", whole: true }, where: READY },
  unfolded: { event: { type: "unfolded" }, where: READY },
  earlier: { event: { type: "earlier", asked: true }, where: READY },
  earlier_loaded: { event: { type: "earlier_loaded", piece: piece(talk(1, 90)) }, where: READY },
  sending: { event: { type: "sending", key: "k2", text: "Again", files: [] }, where: ["new", "idle"] },
  created: { event: { type: "created", conversation: conversation(), at: AT }, where: ["new, sending"] },
  sent: { event: { type: "sent", messageId: "m9", run: run("r9") }, where: ["sending"] },
  unsent: { event: { type: "unsent" }, where: ["new, sending", "sending"] },
  retried: { event: { type: "retried", run: run("r10") }, where: ["idle"] },
  connection: { event: { type: "connection", runId: "r9", connected: false }, where: ["answering"] },
  heard: {
    event: { type: "heard", runId: "r9", event: { kind: "token", text: "Hi" }, id: "1" },
    where: ["answering"],
  },
  stopping: { event: { type: "stopping", asked: true }, where: ["answering"] },
  caught_up: { event: { type: "caught_up", runId: "r9", piece: piece(talk(2)) }, where: ["answering"] },
  concluded: {
    event: { type: "concluded", runId: "r9", piece: piece(talk(2)), error: null },
    where: ["answering"],
  },
  broke: { event: { type: "broke", runId: "r9", reason: "Gone." }, where: ["answering"] },
  problem: { event: { type: "problem", text: "No." }, where: ["new", "new, sending", ...READY] },
};

for (const [type, { event, where }] of Object.entries(EVENTS)) {
  test(`${type} changes something in ${where.join(", ")} and nowhere else`, () => {
    for (const [name, state] of Object.entries(STATES)) {
      assert.equal(reduce(state, event) !== state, where.includes(name), name);
    }
  });
}

test("whatever was open, what is opened begins with nothing of it", () => {
  const full = after(idle, sending, { type: "problem", text: "x" }, { type: "model", model: "x" });
  for (const state of [...Object.values(STATES), full]) {
    assert.deepEqual(reduce(state, { type: "opened", id: "d" }), { at: "loading" });
    assert.deepEqual(reduce(state, { type: "opened", id: null }), NEW);
  }
});

test("of what was left, nothing comes through: it is another run's, or of no state that hears it", () => {
  const other = after(
    NEW,
    { type: "opened", id: "d" },
    loaded([message("m1", "d1")], { id: "d", active_run_id: "d1" }),
  );
  for (const type of ["connection", "heard", "caught_up", "concluded", "broke"] as const)
    assert.equal(reduce(other, EVENTS[type].event), other, type);
});

test("what is loaded is shown: finished turns, and nothing going on", () => {
  assert.deepEqual(
    idle.turns.map((turn) => (turn.kind === "user" ? turn.text : turn.finishReason)),
    ["m0", "stop", "m1", "stop"],
  );
  assert.equal(idle.now.at, "idle");
  assert.equal(idle.loadedAt, AT);
});

for (const [name, messages, active] of [
  ["a run that is at work", [...talk(1), message("m5", "r5")], "r5"],
  ["a run whose answer is not there", [...talk(1), message("m5", "r5")], null],
  ["a run that ended in the middle of its tools", [message("m5", "r5"), answered("r5", "", "tool_calls")], null],
  ["a run that failed", [message("m5", "r5"), answered("r5", "Half of", "error")], null],
] as [string, Message[], string | null][]) {
  test(`${name} is followed from its first event, and nothing of it is taken from the messages`, () => {
    const state = ready(after(NEW, opened, loaded(messages, { active_run_id: active })));
    assert.deepEqual(state.now, { at: "answering", answer: newAnswer("r5"), connected: true, stopping: false });
    assert.equal(state.turns.at(-1)?.kind, "user");
  });
}

test("a failed answer that is on the screen is not followed anew by looking around", () => {
  const messages = [message("m5", "r5"), answered("r5", "Half of", "error")];
  const failed = ready(
    after(NEW, opened, loaded(messages), token("r5", 7, "Half of"), {
      type: "broke",
      runId: "r5",
      reason: "Out of order.",
    }),
  );
  const again = ready(after(failed, loaded(messages, { updated_at: "2" })));
  assert.equal(again.now.at, "idle");
  assert.equal(again.turns.at(-1), failed.turns.at(-1));
});

test("what was loaded again takes its place, and what did not change is the same object", () => {
  const again = ready(reduce(idle, loaded(talk(3), { title: "Other" })));
  assert.equal(again.turns.length, 6);
  assert.ok(idle.turns.every((turn, index) => turn.kind === "user" || turn === again.turns[index]));
  assert.equal(again.conversation.title, "Other");
});

test("a gap between what is shown and what is new is not hidden", () => {
  const before = { cursor: "20", rest: [] };
  const again = ready(reduce(idle, loaded(talk(2, 50), {}, before)));
  assert.deepEqual([again.turns.length, again.before], [4, before]);
});

test("a copy is shown as old, and as what it is once the server says so", () => {
  const copy = ready(
    reduce(STATES["loading"]!, { type: "copied", copy: { ...idle, problem: "x", loadingEarlier: true } }),
  );
  assert.deepEqual([copy.turns, copy.stale, copy.loadedAt], [idle.turns, true, AT]);
  assert.deepEqual([copy.problem, copy.loadingEarlier], [null, false]);
  const confirmed = ready(reduce(copy, { type: "confirmed", at: LATER }));
  assert.deepEqual([confirmed.stale, confirmed.loadedAt], [false, LATER]);
  assert.equal(ready(reduce(copy, loaded(talk(2)))).stale, false);
});

test("what cannot be confirmed is old, but nothing is while an answer is coming", () => {
  assert.equal(ready(reduce(idle, { type: "unreachable" })).stale, true);
  assert.equal(reduce(STATES["answering"]!, { type: "unreachable" }), STATES["answering"]);
});

test("a message is shown before the server has it, and is the stored one afterwards", () => {
  const state = ready(reduce({ ...idle, problem: "Old." }, sending));
  assert.deepEqual(state.now, { at: "sending", turn: { kind: "user", id: "k", text: "Hello", files: [], sending: true } });
  assert.equal(state.problem, null);
  assert.ok(isBusy(state));
  const next = ready(reduce(state, sent));
  assert.deepEqual(next.turns.at(-1), { kind: "user", id: "m9", text: "Hello", files: [], sending: false });
  assert.deepEqual([next.now.at, next.model], ["answering", "scripted"]);
});

test("a message that was not sent is gone, and all else as before", () => {
  assert.deepEqual(after(idle, sending, { type: "unsent" }), idle);
  assert.deepEqual(after(NEW, sending, { type: "unsent" }), NEW);
});

test("the first message stays on its way while its conversation is made", () => {
  const state = ready(after(NEW, sending, created));
  assert.deepEqual([state.now.at, state.turns], ["sending", []]);
  assert.equal(ready(reduce(state, sent)).turns.length, 1);
});

test("an answer grows with its events, and is a turn like others when it has ended", () => {
  const state = ready(after(idle, sending, sent, token("r9", 2, "Hi"), token("r9", 8, " there")));
  assert.ok(state.now.at === "answering");
  assert.deepEqual(state.now.answer.parts, [{ kind: "text", text: "Hi there" }]);
  const ended = ready(reduce(state, complete("r9", 9)));
  assert.equal(ended.now.at, "idle");
  assert.deepEqual(ended.turns.at(-1), { ...state.now.answer, phase: "ended", finishReason: "stop", lastEventId: "9" });
  assert.equal(reduce(ended, token("r9", 12, "late")), ended);
});

test("an error ends an answer, and so does not being able to follow it", () => {
  const error = heard("r9", 3, { kind: "error", code: "model_error", message: "Out of order." });
  const reasons = [error, { type: "broke", runId: "r9", reason: "Gone." } as const].map((event) => {
    const state = ready(after(STATES["answering"]!, token("r9", 2, "Hi"), event));
    const last = lastAnswer(state);
    assert.deepEqual(last?.parts, [{ kind: "text", text: "Hi" }]);
    assert.equal(retryableRun(state), "r9");
    return last.error?.message;
  });
  assert.deepEqual(reasons, ["Out of order.", "Gone."]);
});

test("a lost connection and a wish to stop belong to the run, and go with it", () => {
  const state = ready(
    after(
      STATES["answering"]!,
      { type: "connection", runId: "r9", connected: false },
      { type: "stopping", asked: true },
    ),
  );
  assert.ok(state.now.at === "answering");
  assert.deepEqual([state.now.connected, state.now.stopping], [false, true]);
  const failed = ready(reduce(state, { type: "stopping", asked: false }));
  assert.ok(failed.now.at === "answering" && !failed.now.stopping);
  assert.deepEqual(ready(reduce(state, complete("r9", 9, "cancelled"))).now, { at: "idle" });
});

test("what was said elsewhere before one's own message takes its place, and the answer goes on", () => {
  const talked = [...talk(3), message("m9", "r9")];
  const state = ready(
    after(STATES["answering"]!, token("r9", 2, "Hi"), { type: "caught_up", runId: "r9", piece: piece(talked) }),
  );
  assert.deepEqual(
    state.turns.map((turn) => (turn.kind === "user" ? turn.id : turn.runId)),
    ["m0", "r0", "m1", "r1", "m2", "r2", "m9"],
  );
  assert.equal(lastAnswer(state)?.parts.length, 1);
});

test("a run whose events did not say how it ended is what it left behind", () => {
  const messages = [...talk(2), message("m9", "r9"), answered("r9", "All of it")];
  const well = ready(
    reduce(STATES["answering"]!, { type: "concluded", runId: "r9", piece: piece(messages), error: null }),
  );
  assert.deepEqual([well.now.at, lastAnswer(well)?.parts], ["idle", [{ kind: "text", text: "All of it" }]]);
  const error = { code: "run_abandoned", message: "Nobody came." };
  const badly = ready(
    reduce(STATES["answering"]!, { type: "concluded", runId: "r9", piece: piece(messages.slice(0, -1)), error }),
  );
  assert.deepEqual([badly.now.at, lastAnswer(badly)?.error, badly.turns.length], ["idle", error, 6]);
});

test("what is tried again takes the place of the broken answer", () => {
  const stopped = ready(after(STATES["answering"]!, token("r9", 2, "Hi"), complete("r9", 3, "cancelled")));
  assert.equal(retryableRun(stopped), "r9");
  const again = ready(reduce(stopped, { type: "retried", run: run("r10") }));
  assert.equal(again.turns.at(-1)?.kind, "user");
  assert.deepEqual([lastAnswer(again)?.runId, retryableRun(again)], ["r10", null]);
});

test("only the last answer, and only one that was broken off, can be tried again", () => {
  assert.equal(retryableRun(idle), null);
  const broken: Turn = { ...newAnswer("r1"), phase: "error" };
  assert.equal(retryableRun({ ...idle, turns: [broken] }), "r1");
  assert.equal(retryableRun({ ...idle, turns: [broken, ...idle.turns] }), null);
  assert.equal(retryableRun(ready(reduce({ ...idle, turns: [broken] }, sending))), null);
});

test("while a message is on its way no answer is the last", () => {
  assert.equal(lastAnswer(ready(STATES["sending"]!)), null);
});

test("of many turns the last are on the page at once, and those before them little by little", () => {
  let state = ready(after(NEW, opened, loaded(talk(50))));
  assert.deepEqual([state.turns.length, state.wanted, state.drawn], [100, 40, 94]);
  state = ready(reduce(state, { type: "filled", whole: false }));
  assert.equal(state.drawn, 92);
  state = ready(reduce(state, { type: "filled", whole: true }));
  assert.equal(state.drawn, 40);
  state = ready(after(state, { type: "unfolded" }, { type: "filled", whole: false }));
  assert.deepEqual([state.wanted, state.drawn], [0, 38]);
});

test("what came before is put before, without moving what is on the page", () => {
  const state = ready(
    after(NEW, opened, loaded(talk(25, 25), {}, { cursor: "50", rest: [] }), { type: "earlier", asked: true }),
  );
  assert.equal(state.loadingEarlier, true);
  const first = state.turns[state.drawn];
  const more = ready(reduce(state, { type: "earlier_loaded", piece: piece(talk(25)) }));
  assert.deepEqual([more.turns.length, more.wanted, more.before, more.loadingEarlier], [100, 0, null, false]);
  assert.equal(more.turns[more.drawn], first);
  assert.equal(ready(reduce(state, { type: "earlier", asked: false })).loadingEarlier, false);
});

test("a new message takes what is far above off the page", () => {
  const state = ready(after(NEW, opened, loaded(talk(50)), { type: "unfolded" }, { type: "filled", whole: true }));
  assert.equal(state.drawn, 0);
  const next = ready(reduce(state, sending));
  assert.deepEqual([next.wanted, next.drawn], [40, 40]);
});
