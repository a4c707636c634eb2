/** The messages of a conversation, page by page, newest first. A page begins with what a person said: no answer is cut in two. */
import { conversations as api } from "./api.ts";
import type { Turn } from "./turns.ts";
import type { Message } from "./types.ts";

/** What fills some screens. */
const PAGE_MESSAGES = 50;

/** A part of the history, oldest first, and where what came before it is. */
export type Piece = { messages: Message[]; before: Before | null };

/** `rest`: the end of an answer whose beginning is further back. */
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

/** What is shown with the newest piece in its place; null if there is a gap between them. What has not changed is the same object. */
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

/** How a turn is told from all others of its conversation. */
export function keyOf(turn: Turn): string {
  return turn.kind === "user" ? turn.id : turn.runId;
}

/** An answer that ended does not change, and who saw it being written knows more of it than is stored. */
function isSame(a: Turn, b: Turn): boolean {
  if (a.kind === "user" || b.kind === "user") return a.kind === b.kind;
  return a.phase === "ended" && a.finishReason === b.finishReason;
}
