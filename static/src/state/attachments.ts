/** The files that are attached to each unsent message. They are uploaded as soon as they are chosen, and go on where a connection broke. */
import { signal } from "@preact/signals";
import { describe, files as api } from "../api.ts";
import { scaled } from "../pictures.ts";
import type { AttachedFile } from "../types.ts";

/** As many as the server takes with a message. */
export const MAX_FILES = 10;

export type Attachment = {
  /** Unique in this tab. */
  key: number;
  name: string;
  size: number;
  /** How many bytes the server has. */
  sent: number;
  /** The file at the server; null until all of it is there. */
  file: AttachedFile | null;
  /** Why it could not be uploaded. */
  problem: string | null;
};

const all = signal<ReadonlyMap<string, readonly Attachment[]>>(new Map());
const uploads = new Map<number, AbortController>();
let nextKey = 1;

/** What is attached to the draft of a conversation. */
export function attachedTo(draftId: string): readonly Attachment[] {
  return all.value.get(draftId) ?? NONE;
}
const NONE: readonly Attachment[] = [];

function set(draftId: string, attachments: readonly Attachment[]): void {
  const changed = new Map(all.peek());
  if (attachments.length === 0) changed.delete(draftId);
  else changed.set(draftId, attachments);
  all.value = changed;
}

/** Changes an attachment, to whichever draft it belongs by now. */
function change(key: number, fields: Partial<Attachment>): void {
  for (const [draftId, attachments] of all.peek())
    if (attachments.some((one) => one.key === key))
      set(draftId, attachments.map((one) => (one.key === key ? { ...one, ...fields } : one)));
}

/** Attaches files and begins to upload them. Returns false if there are too many. */
export function attach(draftId: string, chosen: readonly File[]): boolean {
  const attachments = all.peek().get(draftId) ?? NONE;
  const taken = chosen.slice(0, MAX_FILES - attachments.length);
  const added = taken.map((file) => ({ key: nextKey++, name: file.name, size: file.size, sent: 0, file: null, problem: null }));
  set(draftId, [...attachments, ...added]);
  added.forEach(({ key }, index) => void upload(key, taken[index] as File));
  return taken.length === chosen.length;
}

async function upload(key: number, file: File): Promise<void> {
  const giveUp = new AbortController();
  uploads.set(key, giveUp);
  try {
    const ready = await scaled(file);
    change(key, { name: ready.name, size: ready.size });
    const stored = await api.upload(ready, (sent) => change(key, { sent }), giveUp.signal);
    const { id, name, type, size } = stored;
    change(key, { file: { id, name, type, size }, sent: size });
  } catch (error) {
    if (!giveUp.signal.aborted) change(key, { problem: describe(error) });
  } finally {
    uploads.delete(key);
  }
}

/** Takes a file away. What was uploaded of it is deleted. */
export function detach(draftId: string, key: number): void {
  const attachments = all.peek().get(draftId) ?? NONE;
  const file = attachments.find((one) => one.key === key)?.file;
  uploads.get(key)?.abort();
  set(draftId, attachments.filter((one) => one.key !== key));
  // If that fails, the server deletes it on the next day.
  if (file) void api.remove(file.id).catch(() => undefined);
}

/** The message was sent, and its files belong to it. */
export function sentAttached(draftId: string): void {
  set(draftId, NONE);
}

/** The new chat has become a conversation. */
export function moveAttached(from: string, to: string): void {
  const attachments = all.peek().get(from) ?? NONE;
  set(from, NONE);
  set(to, attachments);
}

/** At the end of a session, the next person at this browser sees none of them. */
export function forgetAttached(): void {
  for (const giveUp of uploads.values()) giveUp.abort();
  all.value = new Map();
}
