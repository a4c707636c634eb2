/** The models that the person may choose, and the choice for the next conversation. `chat.ts` has that of the shown one. */
import { signal } from "@preact/signals";
import { models as api } from "../api.ts";
import type { Model } from "../types.ts";

/** Empty until the server has told them. */
export const models = signal<readonly Model[]>([]);

/** The model for conversations that name none; null until the server has told it. */
export const defaultModel = signal<string | null>(null);

/** What the person has chosen for a conversation that is not begun; null: the default. */
export const nextModel = signal<string | null>(null);

/** For whoever logs in next. */
export function forgetModels(): void {
  models.value = [];
  defaultModel.value = null;
  nextModel.value = null;
}

/** Before the first message, a person should know who answers. Without an answer of the server, there is nothing to choose. */
export async function loadModels(): Promise<void> {
  const { items } = await api.list().catch(() => ({ items: [] }));
  models.value = items;
  const standard = items.find((item) => item.default);
  if (standard !== undefined) defaultModel.value = standard.id;
}
