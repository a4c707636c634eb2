/** A tool call as a person sees it: its closed card, and its progress. */
import "./tab.ts";
import assert from "node:assert/strict";
import { test } from "node:test";
import { renderToString } from "preact-render-to-string";
import type { Progress } from "../src/events.ts";
import type { ToolPart } from "../src/turns.ts";
import { ToolCall } from "../src/views/tool.tsx";

function card(progress: Progress | null, result: ToolPart["result"] = null): string {
  const part: ToolPart = { kind: "tool", callId: "c1", name: "files_copy", title: null, arguments: "{}", approval: null, progress, result };
  return renderToString(<ToolCall part={part} runId="r1" running={true} />);
}

test("a call that tells how far it is has a bar and the words, and one that knows no end has the words", () => {
  assert.match(card({ part: 0.375, message: "3 of 8 files" }), /<progress[^>]* value="0\.375"/);
  assert.match(card({ part: 0.375, message: "3 of 8 files" }), /3 of 8 files/);
  assert.doesNotMatch(card({ part: null, message: "Looking" }), /<progress/);
  assert.match(card({ part: null, message: "Looking" }), /Looking/);
  assert.doesNotMatch(card(null), /<progress/);
});

test("what a tool says of its progress is words, and what is hidden in them is shown", () => {
  const shown = card({ part: null, message: "<b>x</b>\u202e" });
  assert.doesNotMatch(shown, /<b>|\u202e/);
});

test("a call that has ended is not on its way", () => {
  assert.doesNotMatch(card({ part: 0.5, message: "half" }, { text: "ok", isError: false, durationMs: 3 }), /half|<progress/);
});

const closed = (title: string | null) => {
  const result = { text: "ok", isError: false, durationMs: 4 };
  const part = { kind: "tool", callId: "c1", name: "wiki_read", title, arguments: "{}", approval: null, progress: null, result } as const;
  const drawn = renderToString(<ToolCall part={part} runId="r1" running={false} />);
  return (drawn.split("</summary>")[0] ?? "").replace(/<[^>]*>/g, " ");
};

test("a closed call shows the tool's name, whatever title its server chose for it", () => {
  assert.match(closed("Send a mail"), /Send a mail.*wiki_read/);
  assert.match(closed(null), /wiki_read/);
});
