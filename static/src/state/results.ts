/** What of the results of a search is shown. */
import type { SearchResult } from "../types.ts";

/** Titles are left out where messages of their conversations were found, too: the first message often is the title. */
export function withoutTitlesOfMessages(results: SearchResult[]): SearchResult[] {
  const conversations = new Set(
    results.filter(({ kind }) => kind === "message").map(({ conversation_id }) => conversation_id),
  );
  return results.filter(({ kind, conversation_id }) => kind !== "conversation" || !conversations.has(conversation_id));
}
