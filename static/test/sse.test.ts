import assert from "node:assert/strict";
import { test } from "node:test";
import { SseParser } from "../src/sse.ts";

const STREAM =
  'retry: 1000\n\n: awake\n\nid: 5\nevent: token\ndata: {"a":1}\n\nevent: state\ndata: one\ndata: two\n\nid: 7\r\ndata:x\r\n\r\n';
const EVENTS = [
  { id: "5", event: "token", data: '{"a":1}' },
  { id: null, event: "state", data: "one\ntwo" },
  { id: "7", event: "message", data: "x" },
];

test("events are the same wherever the stream is cut", () => {
  for (let size = 1; size <= STREAM.length; size++) {
    const parser = new SseParser();
    const events = [];
    for (let at = 0; at < STREAM.length; at += size) events.push(...parser.push(STREAM.slice(at, at + size)));
    assert.deepEqual(events, EVENTS, `in pieces of ${size}`);
  }
});

test("an event that the stream's end cut off is not given", () => {
  assert.deepEqual(new SseParser().push("id: 1\ndata: x\n"), []);
});

test("a line without end is refused instead of kept", () => {
  const parser = new SseParser();
  assert.throws(() => {
    for (let piece = 0; piece < 20; piece++) parser.push("x".repeat(1024 * 1024));
  }, /too long/);
});
