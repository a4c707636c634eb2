/** The files that are attached to each unsent message. They are uploaded as soon as they are chosen, and go on where a connection broke. */
import { signal } from "@preact/signals";
import { ApiError, describe, files as api } from "../api.ts";
import { pause } from "../network.ts";
import { scaled } from "../pictures.ts";
import type { AttachedFile, FileReading } from "../types.ts";

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
  /** How the server reads it for models; null: it need not. */
  reading: FileReading | null;
  /** Why it could not be uploaded. */
  problem: string | null;
};

/** The pauses before it is asked again whether a document is read; the last one goes on. Most are within a second. */
const READING_PAUSES_MS = [500, 1_000, 2_000, 5_000];

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
  const added = taken.map((file) => ({ key: nextKey++, name: file.name, size: file.size, sent: 0, file: null, reading: null, problem: null }));
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
    change(key, { file: { id, name, type, size }, sent: size, reading: stored.reading });
    await follow(key, id, stored.reading, giveUp.signal);
  } catch (error) {
    if (!giveUp.signal.aborted) change(key, { problem: describe(error) });
  } finally {
    uploads.delete(key);
  }
}

/** Follows a document until it is read, or cannot be. That the server cannot be asked for a while changes nothing at the file. */
async function follow(key: number, id: string, first: FileReading | null, givenUp: AbortSignal): Promise<void> {
  let reading = first;
  for (let asked = 0; reading?.state === "queued" || reading?.state === "reading"; asked++) {
    await pause(READING_PAUSES_MS[asked] ?? (READING_PAUSES_MS.at(-1) as number), givenUp);
    if (!isAttached(key)) return;
    try {
      reading = (await api.read(id, givenUp)).reading;
      change(key, { reading });
    } catch (error) {
      if (givenUp.aborted || (error instanceof ApiError && error.status === 404)) return;
    }
  }
}

/** Whether it still stands beside an unsent message. */
function isAttached(key: number): boolean {
  return [...all.peek().values()].some((attachments) => attachments.some((one) => one.key === key));
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
