/** The page can read the events that the server's own code writes. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { readEvent, type RunEvent } from "../src/events.ts";
import { SseParser } from "../src/sse.ts";

/** One of each kind. A test of the crate `domain` writes this file and says how to renew it. */
const SENT = JSON.parse(await readFile(new URL("events.json", import.meta.url), "utf8")) as {
  kind: string;
  frame: string;
}[];

const call = { callId: "c1", name: "mail_send", title: "Send mail", arguments: '{"to":"a@example.org","sum":10.10}' };

/**
 * The event that the page reads, by the server's name for it. The server has more kinds, some of which look the same
 * here.
 */
const READ: Record<string, RunEvent> = {
  Token: { kind: "token", text: "Hé\n" },
  Thinking: { kind: "thinking", text: "Hmm" },
  ToolRequest: { kind: "tool_request", call },
  ToolApproval: {
    kind: "tool_approval",
    call,
    approval: {
      server: "mail",
      title: "Send mail",
      expiresAt: "2026-01-01T00:00:00.000Z",
      alwaysAsks: true,
      mayDisclose: true,
    },
  },
  ToolTask: { kind: "tool_task", callId: "c1", task: { server: "mail", since: "2026-01-01T00:00:00.000Z" } },
  ToolProgress: { kind: "tool_progress", callId: "c1", progress: { part: 0.375, message: "Looking for a route" } },
  ToolResult: { kind: "tool_result", callId: "c1", text: "No route", isError: true, durationMs: 340 },
  Error: { kind: "error", code: "model_unreachable", message: "The model is away." },
  Complete: { kind: "complete", finishReason: "length" },
  Restarted: { kind: "restarted" },
  Shortened: { kind: "shortened", message: "Older messages were left out." },
  Switched: { kind: "switched", message: "cloud does not answer. near answers instead." },
  Unkept: { kind: "error", code: "unwritable", message: "The disk is full." },
  Processing: { kind: "processing" },
  Retrying: { kind: "retrying", retryAfterMs: 1500 },
};

/** Does not compile if a kind is missing or unknown. */
const KINDS: Record<RunEvent["kind"], true> = {
  token: true,
  thinking: true,
  tool_request: true,
  tool_approval: true,
  tool_task: true,
  tool_progress: true,
  tool_result: true,
  error: true,
  complete: true,
  processing: true,
  retrying: true,
  restarted: true,
  shortened: true,
  switched: true,
};

for (const { kind, frame } of SENT) {
  test(`the event ${kind} is read as it is sent`, () => {
    const [event, ...more] = new SseParser().push(frame);
    assert.deepEqual(more, []);
    assert.deepEqual(readEvent(event?.data ?? ""), READ[kind] ?? `no reading of ${kind}: add it to the union`);
  });
}

test("every kind of event that the page knows is one that is sent", () => {
  assert.deepEqual(Object.keys(READ).sort(), SENT.map(({ kind }) => kind).sort());
  assert.deepEqual(
    new Set(SENT.map(({ frame }) => readEvent(new SseParser().push(frame)[0]?.data ?? "")?.kind)),
    new Set(Object.keys(KINDS)),
  );
});

test("what the page does not know is passed over, and what is missing of an event is not made up", () => {
  for (const data of ["rubbish", "null", "[]", "{}", '{"type":"weather","content":"sunny"}', '{"type":"state"}'])
    assert.equal(readEvent(data), null, data);
  assert.deepEqual(readEvent('{"type":"token","content":"x","metadata":null}'), { kind: "token", text: "x" });
  assert.deepEqual(readEvent('{"type":"complete"}'), { kind: "complete", finishReason: "stop" });
  assert.deepEqual(readEvent('{"type":"tool_request","content":"t"}'), {
    kind: "tool_request",
    call: { callId: "", name: "t", title: null, arguments: "" },
  });
});
