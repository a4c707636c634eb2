/** The assistants that the person can use, and the choice for the next conversation. */
import { signal } from "@preact/signals";
import { assistants as api } from "../assistants.ts";
import type { Assistant } from "../types.ts";
import { nextModel } from "./models.ts";

/** By name. Empty until the server has told them. */
export const usableAssistants = signal<readonly Assistant[]>([]);

/** What the person has chosen for a conversation that is not begun; null: none. */
export const nextAssistant = signal<Assistant | null>(null);

/** More pages than somebody chooses from: two hundred. */
const MAX_PAGES = 2;

/** The next conversation begins with it. Its own model answers then, whatever was chosen before, unless the person chooses another one now. */
export function choose(assistant: Assistant | null): void {
  nextAssistant.value = assistant;
  if (assistant !== null && assistant.model !== null) nextModel.value = null;
}

/** For whoever logs in next. */
export function forgetAssistants(): void {
  usableAssistants.value = [];
  nextAssistant.value = null;
}

/** Without an answer of the server, there is nothing to choose. */
export async function loadAssistants(): Promise<void> {
  const all: Assistant[] = [];
  try {
    let cursor: string | null = null;
    for (let page = 0; page < MAX_PAGES; page++) {
      const { items, next_cursor }: { items: Assistant[]; next_cursor: string | null } = await api.list(cursor);
      all.push(...items);
      cursor = next_cursor;
      if (cursor === null) break;
    }
  } catch {
    return;
  }
  usableAssistants.value = all.sort((one, other) => one.name.localeCompare(other.name));
  const chosen = nextAssistant.peek();
  if (chosen !== null) nextAssistant.value = all.find(({ id }) => id === chosen.id) ?? null;
}
