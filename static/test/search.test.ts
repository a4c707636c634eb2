/** Results of a search. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { withoutTitlesOfMessages } from "../src/state/results.ts";
import type { SearchResult } from "../src/types.ts";

function found(kind: "message" | "conversation", id: string, conversation_id: string): SearchResult {
  const place = { role: null, position: null, run_id: null, created_at: "2026-01-01T12:00:00.000Z" };
  return { kind, id, conversation_id, title: "", snippet: [], ...place };
}

test("a conversation is shown by its messages that were found, or else by its title", () => {
  const title = found("conversation", "a", "a");
  const message = found("message", "m", "a");
  const other = found("conversation", "b", "b");
  assert.deepEqual(withoutTitlesOfMessages([title, message, other]), [message, other]);
  assert.deepEqual(withoutTitlesOfMessages([title, other]), [title, other]);
});
