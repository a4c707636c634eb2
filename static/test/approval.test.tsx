/** The question about a call, as a person reads it. */
import "./tab.ts";
import assert from "node:assert/strict";
import { test } from "node:test";
import { renderToString } from "preact-render-to-string";
import { ApprovalCard } from "../src/views/approval.tsx";

const question = (mayDisclose: boolean, alwaysAsks = false) => {
  const approval = { server: "web", title: "Read a page", expiresAt: "", alwaysAsks, mayDisclose };
  const part = { kind: "tool", callId: "c1", name: "web_fetch", title: "Read a page", arguments: "{}", approval, progress: null, result: null } as const;
  return renderToString(<ApprovalCard part={part} runId="r1" onLeft={() => {}} />);
};

test("a question says that it is asked because others would hear what may be private", () => {
  assert.match(question(true), /Others would hear this/);
  assert.match(question(true), /whatever was read before it/);
  assert.doesNotMatch(question(false), /Others would hear|read before/);
});

test("a tool that asks before every call cannot be allowed once and for all", () => {
  assert.match(question(false), /Always allow/);
  assert.doesNotMatch(question(false, true), /Always allow/);
  assert.match(question(false, true), /only this one can be allowed/);
});
