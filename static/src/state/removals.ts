/**
 * Conversations that were just deleted. For ten seconds each can be brought back: the server is told when the time is
 * over, when the person leaves the page, or before they log out. Until then only this tab hides it.
 */
import { signal } from "@preact/signals";
import { ApiError, conversations as api, describe } from "../api.ts";
import type { Conversation } from "../types.ts";
import { loadList, remove } from "./list.ts";
import { conversationPath, navigate, route } from "./route.ts";
import { endedBy } from "./session.ts";

/** How long somebody has to read a line and press a button, with time to spare. */
export const UNDO_MS = 10_000;

/** `wasOpen`: it was shown, and is again if it is brought back. `fault`: why the server did not delete it. */
export type Removal = { item: Conversation; wasOpen: boolean; fault: string | null };

/** In the order in which they were deleted. */
export const removals = signal<readonly Removal[]>([]);

const timers = new Map<string, ReturnType<typeof setTimeout>>();

/** Whether it is hidden, because it will be deleted. */
export function isRemoved(id: string): boolean {
  return removals.value.some(({ item, fault }) => item.id === id && fault === null);
}

export function removeSoon(item: Conversation): void {
  drop(item.id);
  const at = route.peek();
  const wasOpen = at.page === "conversation" && at.id === item.id;
  removals.value = [...removals.peek(), { item, wasOpen, fault: null }];
  timers.set(
    item.id,
    setTimeout(() => void removeNow(item.id), UNDO_MS),
  );
  if (wasOpen) navigate("/", { replace: true });
  // A session that has to be renewed is renewed now. While the page is being left, it would be too late.
  void api.get(item.id).catch(() => undefined);
}

export function bringBack(id: string): void {
  const removal = removals.peek().find(({ item }) => item.id === id);
  drop(id);
  if (removal?.wasOpen === true && route.peek().page === "new") navigate(conversationPath(id));
}

/** Takes a message about a conversation that could not be deleted off the page. */
export const dismiss = drop;

/** Deletes all of them now, while there is a session with which that can be done. */
export async function removeAllNow(): Promise<void> {
  await Promise.all(hidden().map(removeNow));
}

/** The same while the page is being left: nobody waits for the answers. */
export function abandonRemoved(): void {
  for (const id of hidden()) {
    api.abandon(id);
    drop(id);
  }
}

/** The session has ended. Without one nothing can be deleted: what was not, is there again. */
export function forgetRemovals(): void {
  for (const { item } of removals.peek()) drop(item.id);
}

const hidden = () => removals.peek().filter(({ fault }) => fault === null).map(({ item }) => item.id);

async function removeNow(id: string): Promise<void> {
  clearTimeout(timers.get(id));
  timers.delete(id);
  if (!isRemoved(id)) return;
  try {
    await remove(id);
    drop(id);
  } catch (cause) {
    if (cause instanceof ApiError && cause.status === 404) {
      // Somebody else was faster.
      await loadList();
      drop(id);
    } else if (endedBy(cause)) {
      drop(id);
    } else {
      const fault = describe(cause);
      removals.value = removals.peek().map((removal) => (removal.item.id === id ? { ...removal, fault } : removal));
    }
  }
}

function drop(id: string): void {
  clearTimeout(timers.get(id));
  timers.delete(id);
  removals.value = removals.peek().filter(({ item }) => item.id !== id);
}
