/** What a person sees of a tool call before they open it. */
import "./tab.ts";
import assert from "node:assert/strict";
import { test } from "node:test";
import { renderToString } from "preact-render-to-string";
import { ToolCall } from "../src/views/tool.tsx";

const closed = (title: string | null) => {
  const result = { text: "ok", isError: false, durationMs: 4 };
  const part = { kind: "tool", callId: "c1", name: "wiki_read", title, arguments: "{}", approval: null, result } as const;
  const drawn = renderToString(<ToolCall part={part} runId="r1" running={false} />);
  return (drawn.split("</summary>")[0] ?? "").replace(/<[^>]*>/g, " ");
};

test("a closed call shows the tool's name, whatever title its server chose for it", () => {
  assert.match(closed("Send a mail"), /Send a mail.*wiki_read/);
  assert.match(closed(null), /wiki_read/);
});
