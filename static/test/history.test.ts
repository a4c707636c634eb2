/** A conversation in pages, newest first, as a server returns them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { keyOf, loadPiece, type Piece, withNewest } from "../src/history.ts";
import { newAnswer, type Turn, turnsOf } from "../src/turns.ts";
import type { Message } from "../src/types.ts";

const message = (index: number, role: Message["role"], run: number): Message => ({
  id: `m${index}`,
  conversation_id: "c",
  run_id: `r${run}`,
  role,
  content: `${index}`,
  created_at: "",
  ...(role === "tool" && { tool_call_id: "t" }),
});

/** A server with these messages. Returns its list of requests. */
function serve(messages: Message[]): string[] {
  const asked: string[] = [];
  globalThis.fetch = async (path) => {
    assert.ok(typeof path === "string");
    const query = new URL(path, "http://x").searchParams;
    asked.push(path);
    const end = Number(query.get("cursor") ?? messages.length);
    const start = Math.max(0, end - Number(query.get("limit")));
    const items = query.get("order") === "desc" ? messages.slice(start, end).reverse() : [];
    return Response.json({ items, next_cursor: start > 0 ? String(start) : null });
  };
  return asked;
}

async function all(): Promise<Piece[]> {
  const pieces = [await loadPiece("c")];
  for (let last = pieces[0]!; last.before !== null; pieces.unshift(last)) last = await loadPiece("c", last.before);
  return pieces;
}

test("page by page everything comes once, and no answer is cut in two", async () => {
  for (const length of [1, 3, 7]) {
    const messages = Array.from({ length: 300 }, (_, index) =>
      message(
        index,
        index % length === 0 ? "user" : index % 2 === 0 ? "assistant" : "tool",
        Math.floor(index / length),
      ),
    );
    serve(messages);
    const pieces = await all();
    assert.deepEqual(
      pieces.flatMap((piece) => piece.messages.map(({ id }) => id)),
      messages.map(({ id }) => id),
    );
    assert.ok(
      pieces.every((piece) => piece.messages[0]?.role === "user"),
      `answers of ${length}`,
    );
  }
});

test("an answer that is longer than a page is loaded as a whole, and the first page is all that opening takes", async () => {
  const long = Array.from({ length: 130 }, (_, index) => message(index, index === 0 ? "user" : "assistant", 0));
  serve(long);
  assert.equal((await loadPiece("c")).messages.length, 130);
  const asked = serve(
    Array.from({ length: 5_000 }, (_, index) => message(index, index % 2 ? "assistant" : "user", index >> 1)),
  );
  const { messages } = await loadPiece("c");
  assert.equal(messages.at(-1)?.id, "m4999");
  assert.equal(asked.length, 1);
});

const said = (...ids: string[]): Turn[] => ids.map((id) => ({ kind: "user", id, text: id, files: [], sending: false }));

test("what was said elsewhere takes its place, and what was here is not made anew", () => {
  const answer: Turn = { ...newAnswer("r1"), phase: "ended", finishReason: "stop" };
  const shown = [...said("m1"), answer, ...said("m5")];
  const newest = [...said("m1"), { ...answer }, ...said("m3"), { ...answer, runId: "r3" }, ...said("m5")];
  const merged = withNewest(shown, newest)!;
  assert.deepEqual(merged.map(keyOf), ["m1", "r1", "m3", "r3", "m5"]);
  assert.equal(merged[1], answer);
  assert.equal(merged[4], shown[2]);
  assert.deepEqual(withNewest([...said("m0"), ...shown], newest)?.map(keyOf), ["m0", ...merged.map(keyOf)]);
});

test("a gap is not hidden", () => {
  assert.equal(withNewest(said("m1", "m2"), said("m8", "m9")), null);
  assert.deepEqual(withNewest([], []), []);
  assert.deepEqual(withNewest([], turnsOf([], null)), []);
});
