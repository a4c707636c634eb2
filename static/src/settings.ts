/** Settings of a model as a form has them, and what tools it chooses among. */
import type { ModelSettings, Tool } from "./types.ts";

export const USUAL: ModelSettings = {
  instructions: null,
  temperature: null,
  max_output_tokens: null,
  reasoning_effort: null,
  tools: null,
};

export const EFFORTS = ["none", "minimal", "low", "medium", "high", "xhigh"] as const;

/** The server takes no longer ones; it counts bytes. */
export const MAX_INSTRUCTIONS_CHARS = 16_384;

/** A number that was typed; null for an empty field. */
export function numberOf(text: string): number | null {
  const number = Number(text);
  return text.trim() === "" || Number.isNaN(number) ? null : number;
}

/** The patterns to choose among: all tools of each server, and whatever is chosen besides. */
export function patternsToChoose(tools: readonly Tool[], chosen: readonly string[]): string[] {
  const ofServers = tools.map(({ server }) => `${server}:*`);
  return [...new Set([...ofServers, ...chosen])].sort();
}

/** The chosen patterns after one was chosen, or not any more. */
export function toggled(chosen: readonly string[], pattern: string): string[] {
  return chosen.includes(pattern) ? chosen.filter((other) => other !== pattern) : [...chosen, pattern];
}

/** A pattern in words. */
export function patternInWords(pattern: string): string {
  const all = /^([^*]+):\*$/.exec(pattern)?.[1];
  return all === undefined ? pattern : `${all}: all its tools`;
}

/** What is set, in a few words each; none: everything is as usual. */
export function settingsInWords(settings: ModelSettings): string[] {
  const { instructions, temperature, max_output_tokens, reasoning_effort, tools } = settings;
  return [
    ...(instructions === null ? [] : ["own instructions"]),
    ...(temperature === null ? [] : [`temperature ${temperature}`]),
    ...(max_output_tokens === null ? [] : [`at most ${max_output_tokens.toLocaleString()} tokens`]),
    ...(reasoning_effort === null ? [] : [`reasoning effort ${reasoning_effort}`]),
    ...(tools === null ? [] : [tools.length === 0 ? "no tools" : `tools: ${tools.join(", ")}`]),
  ];
}
