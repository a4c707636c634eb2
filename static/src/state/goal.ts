/** The turn to which somebody wants to go that they found by searching. It is forgotten once it is on the screen, or when there is none. */
import { signal } from "@preact/signals";
import type { SearchResult } from "../types.ts";

/** `turn`: its key in the conversation, as `keyOf` has it. */
export type Goal = { conversationId: string; turn: string };

export const goal = signal<Goal | null>(null);

/** Where a result is; null if it is a conversation as a whole. */
export function goalOf(result: SearchResult): Goal | null {
  const turn = result.role === "user" ? result.id : result.run_id;
  return result.kind === "message" && typeof turn === "string"
    ? { conversationId: result.conversation_id, turn }
    : null;
}
