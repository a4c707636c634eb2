import assert from "node:assert/strict";
import { test } from "node:test";
import { readEvent, type RunEvent } from "../src/events.ts";
import { type AnswerTurn, answerText, applyEvent, askedFor, newAnswer, type ToolPart, turnsOf } from "../src/turns.ts";
import type { Message } from "../src/types.ts";

/** The event as the page reads it. */
function event(type: string, content: string, metadata: Record<string, unknown>): RunEvent {
  const read = readEvent(JSON.stringify({ type, content, metadata }));
  assert.ok(read);
  return read;
}

type Said = [id: number | null, type: string, content: string, metadata?: Record<string, unknown>];

function told(events: Said[], from: AnswerTurn = newAnswer("run")): AnswerTurn {
  return events.reduce(
    (answer, [id, type, content, metadata = {}]) =>
      applyEvent(answer, event(type, content, metadata), id === null ? null : String(id)),
    from,
  );
}

const CALL = { call_id: "c1", title: "Current time", arguments: '{"zone":"UTC"}' };
const RESULT = { call_id: "c1", name: "now", is_error: false, duration_ms: 12 };
const RUN: Said[] = [
  [null, "state", "processing"],
  [3, "thinking", "Hmm"],
  [8, "token", "Hello"],
  [9, "tool_request", "now", CALL],
  [14, "tool_result", "noon", RESULT],
  [20, "token", " wor"],
  [22, "token", "ld"],
  [23, "complete", "", { finish_reason: "stop" }],
];

test("a run's events become its parts in order", () => {
  const answer = told(RUN);
  assert.deepEqual(answer.parts, [
    { kind: "thinking", text: "Hmm" },
    { kind: "text", text: "Hello" },
    {
      kind: "tool",
      callId: "c1",
      name: "now",
      title: "Current time",
      arguments: '{"zone":"UTC"}',
      approval: null,
      task: null,
      progress: null,
      result: { text: "noon", isError: false, durationMs: 12 },
    },
    { kind: "text", text: " world" },
  ]);
  assert.equal(answer.phase, "ended");
  assert.equal(answer.finishReason, "stop");
});

test("events that come again after a lost connection change nothing", () => {
  for (let seen = 0; seen <= RUN.length; seen++) {
    for (let from = 0; from <= seen; from++) {
      const answer = told(RUN.slice(from), told(RUN.slice(0, seen)));
      assert.deepEqual(answer.parts, told(RUN).parts, `seen ${seen}, again from ${from}`);
    }
  }
});

test("a restarted answer keeps what finished steps said and drops the rest", () => {
  const before: Said[] = RUN.slice(0, 7);
  const answer = told([...before, [30, "thinking", "again"], [31, "state", "restarted"]]);
  assert.deepEqual(answer.parts, told(RUN.slice(0, 5)).parts);
  assert.equal(answerText(told([[40, "token", "Bye"]], answer)), "Hello\n\nBye");
});

test("a restarted answer without tools begins again from nothing", () => {
  const answer = told([
    [5, "token", "Hello"],
    [6, "state", "restarted"],
    [9, "token", "Hi"],
  ]);
  assert.deepEqual(answer.parts, [{ kind: "text", text: "Hi" }]);
});

test("a call that is asked for again after a takeover is one call", () => {
  const answer = told([
    [1, "tool_request", "now", CALL],
    [2, "state", "restarted"],
    [3, "tool_request", "now", CALL],
  ]);
  assert.equal(answer.parts.length, 1);
});

const ASKED = {
  call_id: "c1",
  name: "notes_add",
  server: "notes",
  title: "Add a note",
  arguments: '{"text":"milk"}',
  expires_at: "2026-01-01T00:10:00.000Z",
  always_asks: true,
  may_disclose: true,
};
const WAITING: Said[] = [
  [1, "token", "One moment."],
  [2, "tool_request", "notes_add", { call_id: "c1", title: "Add a note", arguments: "{malformed" }],
  [3, "tool_request", "now", { call_id: "c2", arguments: "{}" }],
  [4, "tool_result", "noon", { call_id: "c2", name: "now", is_error: false, duration_ms: 3 }],
  [5, "tool_approval", "notes_add", ASKED],
];
const calls = (answer: AnswerTurn) => askedFor(answer).map((part) => part.callId);

test("a call that the person is asked about waits, with what would be called", () => {
  const answer = told(WAITING);
  assert.equal(answer.phase, "approval");
  assert.deepEqual(askedFor(answer), [
    {
      kind: "tool",
      callId: "c1",
      name: "notes_add",
      title: "Add a note",
      arguments: '{"text":"milk"}',
      approval: { server: "notes", title: "Add a note", expiresAt: "2026-01-01T00:10:00.000Z", alwaysAsks: true, mayDisclose: true },
      task: null,
      progress: null,
      result: null,
    },
  ]);
});

test("a question that is told again after a lost connection or a takeover is one question", () => {
  const again = told([...WAITING, [6, "tool_request", "notes_add", CALL], [7, "tool_approval", "notes_add", ASKED]]);
  assert.deepEqual(again.parts, told(WAITING).parts);
  assert.deepEqual(told(WAITING, told(WAITING)).parts, told(WAITING).parts);
});

test("a tool without a title is shown by its name after its question too, as after a reload", () => {
  const request: Said = [1, "tool_request", "mail_send", { call_id: "c1", arguments: "{}" }];
  const asked = told([request, [2, "tool_approval", "mail_send", { ...ASKED, title: "send" }]]);
  assert.deepEqual(
    askedFor(asked).map((part) => [part.title, part.approval?.title]),
    [[null, "send"]],
  );
});

test("a question whose request was not seen is asked all the same", () => {
  assert.deepEqual(calls(told([[5, "tool_approval", "notes_add", ASKED]])), ["c1"]);
});

test("several questions are open until each has its result", () => {
  const two = told([...WAITING, [6, "tool_approval", "mail_send", { ...ASKED, call_id: "c3" }]]);
  assert.deepEqual(calls(two), ["c1", "c3"]);
  const one = told([[7, "tool_result", "sent", { call_id: "c3", is_error: false, duration_ms: 9 }]], two);
  assert.deepEqual(calls(one), ["c1"]);
  assert.equal(one.phase, "tools");
  const none = told([[8, "tool_result", "The person did not allow it.", { call_id: "c1", is_error: true }]], one);
  assert.deepEqual(calls(none), []);
  assert.equal(none.phase, "waiting");
});

test("a call shows how far it is until its result is there, and what is told late changes nothing", () => {
  const half: Said = [null, "tool_progress", "1 of 2", { call_id: "c1", progress: 1, total: 2 }];
  const progress = (answer: AnswerTurn) => 
    answer.parts.flatMap((part) => (part.kind === "tool" && part.callId === "c1" ? [part.progress] : []));
  const working = told([half], told([[null, "state", "processing"]], told(WAITING)));
  assert.deepEqual(progress(working), [{ part: 0.5, message: "1 of 2" }]);
  assert.deepEqual(progress(told([[6, "tool_request", "notes_add", CALL]], working)), [null], "it begins anew");
  const done = told([[6, "tool_result", "Added.", { call_id: "c1", is_error: false, duration_ms: 4 }]], working);
  assert.deepEqual(progress(done), [null]);
  assert.deepEqual(progress(told([half], done)), [null]);
  const wrong: Said = [null, "tool_progress", "", { call_id: "c1", progress: 5, total: 2 }];
  assert.deepEqual(progress(told([wrong], working)), [{ part: 1, message: "" }]);
});

const TASK = { call_id: "c1", name: "notes_add", server: "notes", title: "Add a note", started_at: "2026-01-01T14:02:00.000Z" };
const GOING_ON: Said[] = [
  [1, "tool_request", "notes_add", { call_id: "c1", arguments: "{}" }],
  [2, "tool_task", "notes_add", TASK],
];
const firstCall = (answer: AnswerTurn) => answer.parts.find((part): part is ToolPart => part.kind === "tool");

test("a call that goes on at its server waits, with what the server says of it, until its result is there", () => {
  const waits = told([...GOING_ON, [null, "tool_progress", "half of it", { call_id: "c1" }]]);
  assert.equal(waits.phase, "task");
  assert.deepEqual(firstCall(waits)?.task, { server: "notes", since: "2026-01-01T14:02:00.000Z" });
  assert.deepEqual(firstCall(waits)?.progress, { part: null, message: "half of it" });
  assert.deepEqual(askedFor(waits), [], "there is nothing to decide");
  const done = told([[3, "tool_result", "Added.", { call_id: "c1", is_error: false, duration_ms: 4 }]], waits);
  assert.equal(done.phase, "waiting");
  assert.equal(firstCall(done)?.result?.text, "Added.");
  assert.equal(firstCall(done)?.progress, null);
});

test("an answer waits for the second of two calls that go on when the first has ended", () => {
  const second = { ...TASK, call_id: "c2" };
  const both = told([
    [1, "tool_request", "notes_add", { call_id: "c1", arguments: "{}" }],
    [2, "tool_request", "notes_add", { call_id: "c2", arguments: "{}" }],
    [3, "tool_task", "notes_add", TASK],
    [4, "tool_task", "notes_add", second],
  ]);
  const one = told([[5, "tool_result", "Added.", { call_id: "c1", is_error: false, duration_ms: 4 }]], both);
  assert.equal(one.phase, "task");
  const all = told([[6, "tool_result", "Added.", { call_id: "c2", is_error: false, duration_ms: 4 }]], one);
  assert.equal(all.phase, "waiting");
});

test("whoever comes back sees that a call goes on, and a question beside it is what the answer waits for", () => {
  assert.deepEqual(told(GOING_ON, told(GOING_ON)).parts, told(GOING_ON).parts);
  const asked = told([...GOING_ON, [3, "tool_approval", "mail_send", { ...ASKED, call_id: "c2" }]]);
  assert.equal(asked.phase, "approval");
  assert.deepEqual(calls(asked), ["c2"]);
});

test("a decided call is at work when the run goes on, and keeps its place", () => {
  const going = told([[null, "state", "processing"]], told(WAITING));
  assert.equal(going.phase, "tools");
  const done = told([[6, "tool_result", "Added.", { call_id: "c1", is_error: false, duration_ms: 4 }]], going);
  assert.deepEqual(
    done.parts.map((part) => (part.kind === "tool" ? [part.name, part.result?.text] : part.text)),
    ["One moment.", ["notes_add", "Added."], ["now", "noon"]],
  );
});

test("nobody is asked any more when the answer has been stopped", () => {
  const stopped = told([[6, "complete", "", { finish_reason: "cancelled" }]], told(WAITING));
  assert.deepEqual(calls(stopped), []);
  assert.equal((stopped.parts[1] as ToolPart).result, null);
});

test("a busy provider is told, and forgotten when the answer comes", () => {
  const busy = told([[null, "state", "retrying", { attempt: 1, retry_after_ms: 3000 }]]);
  assert.equal(busy.phase, "retrying");
  assert.equal(busy.retryAfterMs, 3000);
  assert.equal(told([[1, "token", "Hi"]], busy).phase, "writing");
});

test("what a person should know of how an answer came about stays with it", () => {
  const answer = told([[1, "state", "shortened", { message: "Older messages were left out." }], ...RUN]);
  assert.equal(answer.note, "Older messages were left out.");
  const other = told([[1, "state", "switched", { message: "near answers instead.", provider: "near" }], ...RUN]);
  assert.equal(other.note, "near answers instead.");
});

test("an error ends the answer and keeps what was written", () => {
  const answer = told([
    [2, "token", "Hi"],
    [3, "error", "The provider is down.", { code: "upstream", retryable: true }],
    [4, "token", "!"],
  ]);
  assert.equal(answer.phase, "error");
  assert.equal(answer.error?.message, "The provider is down.");
  assert.equal(answerText(answer), "Hi");
});

function message(fields: Partial<Message>): Message {
  return { id: "m", conversation_id: "c", run_id: "r1", role: "user", content: "", created_at: "", ...fields };
}

const STORED = [
  message({ id: "m1", content: "What time is it?" }),
  message({ role: "assistant", tool_calls: [{ id: "c1", name: "now", arguments: "{}" }] }),
  message({ role: "tool", tool_call_id: "c1", tool_error: false, duration_ms: 12, title: "Current time", content: "noon" }),
  message({ role: "assistant", content: "It is noon.", finish_reason: "stop" }),
];

test("what the model thought is there after a reload, before what it said", () => {
  const [answer] = turnsOf([message({ role: "assistant", reasoning: "Hmm", content: "Hello" })], null);
  assert.ok(answer?.kind === "answer");
  assert.deepEqual(answer.parts, [
    { kind: "thinking", text: "Hmm" },
    { kind: "text", text: "Hello" },
  ]);
});

test("a call is shown after a reload as it was shown while it was made", () => {
  for (const isError of [false, true]) {
    const live = told(RUN.map((said) => (said[1] === "tool_result" ? [14, said[1], "noon", { ...RESULT, is_error: isError }] : said)));
    const stored = [
      message({ role: "assistant", reasoning: "Hmm", content: "Hello", tool_calls: [{ id: "c1", name: "now", arguments: CALL.arguments }] }),
      message({ role: "tool", tool_call_id: "c1", tool_error: isError, duration_ms: 12, title: "Current time", content: "noon" }),
      message({ role: "assistant", content: " world", finish_reason: "stop" }),
    ];
    const [answer] = turnsOf(stored, null);
    assert.ok(answer?.kind === "answer");
    assert.deepEqual(answer.parts, live.parts);
  }
});

test("a call that an earlier release stored is shown by its name, without how long it took", () => {
  const stored = [
    message({ role: "assistant", tool_calls: [{ id: "c1", name: "now", arguments: "{}" }] }),
    message({ role: "tool", tool_call_id: "c1", tool_error: true, content: "It failed." }),
  ];
  const [answer] = turnsOf(stored, null);
  assert.ok(answer?.kind === "answer" && answer.parts[0]?.kind === "tool");
  assert.deepEqual([answer.parts[0].title, answer.parts[0].result], [null, { text: "It failed.", isError: true, durationMs: null }]);
});

test("the messages of one run are one answer, with the results at their calls", () => {
  const [question, answer, ...rest] = turnsOf(STORED, null);
  assert.deepEqual(question, { kind: "user", id: "m1", text: "What time is it?", files: [], sending: false });
  assert.ok(answer?.kind === "answer");
  assert.deepEqual(answer.parts, [
    {
      kind: "tool",
      callId: "c1",
      name: "now",
      title: "Current time",
      arguments: "{}",
      approval: null,
      task: null,
      progress: null,
      result: { text: "noon", isError: false, durationMs: 12 },
    },
    { kind: "text", text: "It is noon." },
  ]);
  assert.deepEqual(rest, []);
});

test("an answer that was tried again takes the place of the broken one's words, but not of the tools it used", () => {
  const broken = [...STORED.slice(0, 3), message({ role: "assistant", content: "It is", finish_reason: "error" })];
  const again = message({ run_id: "r2", role: "assistant", content: "Noon.", finish_reason: "stop" });
  const texts = (messages: Message[], live: string | null) =>
    turnsOf(messages, live).map((turn) =>
      turn.kind === "user"
        ? turn.text
        : turn.parts.map((part) => (part.kind === "tool" ? part.name : part.text)).join(" "),
    );
  assert.deepEqual(texts([...broken, again], null), ["What time is it?", "now", "Noon."]);
  assert.deepEqual(texts(broken, "r2"), ["What time is it?", "now"]);
  assert.deepEqual(texts([broken[0]!, broken[3]!, again], null), ["What time is it?", "Noon."]);
  assert.deepEqual(texts([broken[0]!, broken[3]!], null), ["What time is it?", "It is"]);
});

test("what a running answer has stored is left to its events", () => {
  assert.deepEqual(
    turnsOf(STORED, "r1").map((turn) => turn.kind),
    ["user"],
  );
});
