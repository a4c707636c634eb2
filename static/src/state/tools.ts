/** The tools, and the person's choice for each: whether models may call it. */
import { signal } from "@preact/signals";
import { tools as api, describe } from "../api.ts";
import type { Effect, Tool, ToolProblem } from "../types.ts";
import { endedBy } from "./session.ts";

export type ToolList =
  { at: "loading" } | { at: "failed"; reason: string } | { at: "ready"; items: Tool[]; problems: ToolProblem[] };

export const toolList = signal<ToolList>({ at: "loading" });
/** The tools (by their patterns) whose choice is being saved, or could not be, and why. */
export const saving = signal<ReadonlyMap<string, { at: "sending" } | { at: "failed"; reason: string }>>(new Map());

/** The pattern of one tool. */
export function patternOf(tool: Tool): string {
  return `${tool.server}:${tool.name}`;
}

/** The shown list stays while it is loaded again. */
export async function loadTools(): Promise<void> {
  if (toolList.value.at === "failed") toolList.value = { at: "loading" };
  try {
    const { items, problems } = await api.list();
    toolList.value = { at: "ready", items, problems };
  } catch (error) {
    if (!endedBy(error)) toolList.value = { at: "failed", reason: describe(error) };
  }
}

/**
 * Saves the person's choice for a tool; null restores the installation's default. Returns true once the server has stored
 * it.
 */
export async function choose(tool: Tool, effect: Effect | null): Promise<boolean> {
  const pattern = patternOf(tool);
  if (saving.value.get(pattern)?.at === "sending") return false;
  note(pattern, { at: "sending" });
  try {
    await (effect === null ? api.removePolicy(pattern) : api.setPolicy(pattern, effect));
  } catch (error) {
    if (!endedBy(error)) note(pattern, { at: "failed", reason: describe(error) });
    return false;
  }
  // Only the server knows the result of all policies together.
  await loadTools();
  note(pattern, null);
  return true;
}

export function forgetTools(): void {
  toolList.value = { at: "loading" };
  saving.value = new Map();
}

function note(pattern: string, state: { at: "sending" } | { at: "failed"; reason: string } | null): void {
  const next = new Map(saving.value);
  if (state === null) next.delete(pattern);
  else next.set(pattern, state);
  saving.value = next;
}
