/**
 * Loads the messages of a conversation page by page, newest first. A piece begins with a message of the person, so no
 * answer is cut in two.
 */
import { conversations as api } from "./api.ts";
import type { Turn } from "./turns.ts";
import type { Message } from "./types.ts";

/** Enough to fill some screens. */
const PAGE_MESSAGES = 50;

/** A part of the history, oldest first, and the position of the part before it. */
export type Piece = { messages: Message[]; before: Before | null };

/** `rest`: the end of an answer whose beginning is on the page before. */
type Before = { cursor: string; rest: Message[] };

/** The newest messages, or those before a piece. */
export async function loadPiece(id: string, before: Before | null = null): Promise<Piece> {
  let cursor = before?.cursor ?? null;
  let messages = before?.rest ?? [];
  for (;;) {
    const { items, next_cursor } = await api.messages(id, cursor, PAGE_MESSAGES);
    messages = [...items.reverse(), ...messages];
    if (next_cursor === null) return { messages, before: null };
    cursor = next_cursor;
    const start = messages.findIndex((message) => message.role === "user");
    if (start >= 0) return { messages: messages.slice(start), before: { cursor, rest: messages.slice(0, start) } };
  }
}

/**
 * Merges the newest turns into the shown ones; null if there is a gap between them. Unchanged turns stay the same
 * objects.
 */
export function withNewest(shown: Turn[], newest: Turn[]): Turn[] | null {
  const first = newest[0];
  if (first === undefined) return shown.length === 0 ? shown : null;
  const at = shown.findIndex((turn) => turn.kind === "user" && first.kind === "user" && turn.id === first.id);
  if (at < 0) return null;
  const known = new Map(shown.slice(at).map((turn) => [keyOf(turn), turn]));
  const merged = newest.map((turn) => {
    const before = known.get(keyOf(turn));
    return before !== undefined && isSame(before, turn) ? before : turn;
  });
  return [...shown.slice(0, at), ...merged];
}

/** A turn's unique key in its conversation. */
export function keyOf(turn: Turn): string {
  return turn.kind === "user" ? turn.id : turn.runId;
}

/** A finished answer does not change, and a page that received its events knows more of it than is stored. */
function isSame(a: Turn, b: Turn): boolean {
  if (a.kind === "user" || b.kind === "user") return a.kind === b.kind;
  return a.phase === "ended" && a.finishReason === b.finishReason;
}
