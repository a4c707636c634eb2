/**
 * Copies of the conversations that were open in this tab, for reading while the server cannot be reached. They are lost
 * with the tab.
 */
import type { Ready } from "../chat.ts";

/** As many as a person goes back to. */
const MAX_COPIES = 10;

const copies = new Map<string, Ready>();

export function keepCopy(copy: Ready): void {
  const { id } = copy.conversation;
  copies.delete(id);
  copies.set(id, copy);
  const [oldest] = copies.keys();
  if (copies.size > MAX_COPIES && oldest !== undefined) copies.delete(oldest);
}

export function findCopy(id: string): Ready | undefined {
  return copies.get(id);
}

export function forgetCopy(id: string): void {
  copies.delete(id);
}

export function forgetCopies(): void {
  copies.clear();
}
