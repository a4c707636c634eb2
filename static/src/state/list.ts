/** The list of conversations, most recent activity first. It knows nothing of their contents. */
import { signal } from "@preact/signals";
import { conversations as api, describe } from "../api.ts";
import type { Conversation } from "../types.ts";
import { forgetCopy } from "./copies.ts";
import { endedBy } from "./session.ts";
import { tellTabs } from "./tabs.ts";

export const conversations = signal<Conversation[]>([]);
export const hasMore = signal(false);
export const loading = signal(false);
export const listError = signal<string | null>(null);

let cursor: string | null = null;

/** Loads the first page and drops all others. */
export async function loadList(): Promise<void> {
  cursor = null;
  await load((page) => page);
}

export async function loadMore(): Promise<void> {
  await load((page) => [...conversations.value, ...page]);
}

/** Puts a new or changed conversation in its place. */
export function upsert(conversation: Conversation): void {
  if (conversation.temporary === true) return;
  conversations.value = sorted([conversation, ...without(conversation.id)]);
}

export function forgetList(): void {
  conversations.value = [];
  hasMore.value = false;
  cursor = null;
}

export async function rename(id: string, title: string): Promise<Conversation> {
  const conversation = await api.rename(id, title);
  upsert(conversation);
  tellTabs({ kind: "changed", conversationId: id });
  return conversation;
}

/** `days` null: as the installation's rules say. */
export async function keep(id: string, days: number | null): Promise<Conversation> {
  const conversation = await api.keep(id, days);
  upsert(conversation);
  tellTabs({ kind: "changed", conversationId: id });
  return conversation;
}

export async function remove(id: string): Promise<void> {
  await api.remove(id);
  forgetCopy(id);
  conversations.value = without(id);
  tellTabs({ kind: "changed", conversationId: id });
}

async function load(merge: (page: Conversation[]) => Conversation[]): Promise<void> {
  loading.value = true;
  listError.value = null;
  try {
    const page = await api.list(cursor);
    // A conversation that became active between two requests may be in both pages.
    conversations.value = sorted([...new Map(merge(page.items).map((item) => [item.id, item])).values()]);
    cursor = page.next_cursor;
    hasMore.value = cursor !== null;
  } catch (error) {
    if (!endedBy(error)) listError.value = describe(error);
  } finally {
    loading.value = false;
  }
}

function without(id: string): Conversation[] {
  return conversations.value.filter((item) => item.id !== id);
}

function sorted(items: Conversation[]): Conversation[] {
  return items.sort((a, b) => b.updated_at.localeCompare(a.updated_at));
}
