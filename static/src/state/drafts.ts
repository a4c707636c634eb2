/**
 * What was typed and not sent, for each conversation, for as long as the tab lives. With it goes the idempotency key of
 * a message whose sending failed, so that sending the same text again can never store it twice.
 */

type Draft = { text: string; key: string };

/** The draft of a conversation that does not exist yet. */
export const NEW_CHAT = "new";

const storageKey = (id: string) => `ea.draft.${id}`;

export function readDraft(id: string): string {
  return read(id).text;
}

export function writeDraft(id: string, text: string): void {
  if (text === "") sessionStorage.removeItem(storageKey(id));
  else save(id, { text, key: read(id).text === text ? read(id).key : newKey() });
}

/** The key to send this text with: the same one as long as the text stays the same. */
export function draftKey(id: string, text: string): string {
  if (read(id).text !== text) writeDraft(id, text);
  return read(id).key;
}

/** The new chat has become a conversation: what was typed goes with it. */
export function moveDraft(from: string, to: string): void {
  const draft = read(from);
  sessionStorage.removeItem(storageKey(from));
  if (draft.text !== "") save(to, draft);
}

const OWNER = "ea.owner";

/** Somebody signed in: drafts of somebody else are not for them. */
export function ownDrafts(userId: string): void {
  if (sessionStorage.getItem(OWNER) !== userId) forgetDrafts();
  sessionStorage.setItem(OWNER, userId);
}

/** At the end of a session: the next person at this browser reads nothing. */
export function forgetDrafts(): void {
  for (const key of Object.keys(sessionStorage)) if (key.startsWith("ea.")) sessionStorage.removeItem(key);
}

function read(id: string): Draft {
  const stored = sessionStorage.getItem(storageKey(id));
  return stored === null ? { text: "", key: newKey() } : (JSON.parse(stored) as Draft);
}

/** 128 random bits. (`crypto.randomUUID` is not there on plain http to another machine.) */
function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function save(id: string, draft: Draft): void {
  try {
    sessionStorage.setItem(storageKey(id), JSON.stringify(draft));
  } catch {
    // The storage is full (a very long text): the composer still holds it, only a reload would lose it.
  }
}
