/**
 * The unsent text of each conversation, until the tab is closed. The idempotency key of a message whose sending failed is
 * kept with it, so that sending the same text again never stores it twice.
 */

type Draft = { text: string; key: string; files?: string };

/** The draft for a conversation that does not exist yet. */
export const NEW_CHAT = "new";

const storageKey = (id: string) => `ea.draft.${id}`;

export function readDraft(id: string): string {
  return read(id).text;
}

export function writeDraft(id: string, text: string): void {
  if (text === "") sessionStorage.removeItem(storageKey(id));
  else if (read(id).text !== text) save(id, { text, key: newKey() });
}

/** The idempotency key for this text and the ids of these files. It stays the same as long as they do. */
export function draftKey(id: string, text: string, files: readonly string[] = []): string {
  const draft = read(id);
  const ids = files.join(" ");
  const isEmpty = text === "" && ids === "";
  if (draft.text === text && (draft.files ?? "") === ids && !isEmpty) return draft.key;
  const key = newKey();
  if (!isEmpty) save(id, { text, key, ...(ids !== "" && { files: ids }) });
  return key;
}

/** The new chat has become a conversation, and its draft moves there. */
export function moveDraft(from: string, to: string): void {
  const draft = read(from);
  sessionStorage.removeItem(storageKey(from));
  if (draft.text !== "" || draft.files !== undefined) save(to, draft);
}

const OWNER = "ea.owner";

/** A person has signed in. Drafts of another person are deleted. */
export function ownDrafts(userId: string): void {
  if (sessionStorage.getItem(OWNER) !== userId) forgetDrafts();
  sessionStorage.setItem(OWNER, userId);
}

/** Deletes all drafts at the end of a session, so that the next person at this browser cannot read them. */
export function forgetDrafts(): void {
  for (const key of Object.keys(sessionStorage)) if (key.startsWith("ea.")) sessionStorage.removeItem(key);
}

function read(id: string): Draft {
  const stored = sessionStorage.getItem(storageKey(id));
  return stored === null ? { text: "", key: newKey() } : (JSON.parse(stored) as Draft);
}

/** 128 random bits. (`crypto.randomUUID` does not exist on plain http to another machine.) */
function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function save(id: string, draft: Draft): void {
  try {
    sessionStorage.setItem(storageKey(id), JSON.stringify(draft));
  } catch {
    // The storage is full (a very long text). The composer still has the text; only a reload would lose it.
  }
}
