/**
 * The person's decisions about tool calls, as far as this tab knows. The events of a run say that a person is asked, and
 * later the result, but not the decision. The decisions are lost with the tab; then the server says `already_decided`.
 */
import { computed, signal } from "@preact/signals";
import { ApiError, describe, runs } from "../api.ts";
import { askedFor, type ToolPart } from "../turns.ts";
import type { Decision } from "../types.ts";
import { live } from "./chat.ts";
import { endedBy } from "./session.ts";
import { onTabNews, tellTabs } from "./tabs.ts";

/** `elsewhere`: decided on another device, and this tab does not know how. `failed`: not decided, and why. */
export type Deciding =
  | { at: "open" }
  | { at: "sending"; decision: Decision }
  | { at: "decided"; decision: Decision }
  | { at: "elsewhere" }
  | { at: "expired" }
  | { at: "failed"; reason: string };

const OPEN: Deciding = { at: "open" };

const known = signal<ReadonlyMap<string, Deciding>>(new Map());

export function deciding(runId: string, callId: string): Deciding {
  return known.value.get(key(runId, callId)) ?? OPEN;
}

/** Whether the person can still decide. */
export function isOpen(state: Deciding): boolean {
  return state.at === "open" || state.at === "sending" || state.at === "failed";
}

let last: ToolPart[] = [];

/** The calls of the shown answer that wait for the person. It stays the same array while the calls are the same. */
export const undecided = computed<ToolPart[]>(() => {
  const answer = live.value;
  const calls = answer === null ? [] : askedFor(answer).filter((part) => isOpen(deciding(answer.runId, part.callId)));
  if (calls.length !== last.length || calls.some((call, index) => call !== last[index])) last = calls;
  return last;
});

/**
 * Returns true once the server has the decision. Otherwise the card shows the reason, and the person can decide again if
 * that makes sense.
 */
export async function decide(runId: string, callId: string, decision: Decision): Promise<boolean> {
  if (deciding(runId, callId).at === "sending") return false;
  note(runId, callId, { at: "sending", decision });
  try {
    await runs.decide(runId, callId, decision);
    note(runId, callId, { at: "decided", decision });
    tellTabs({ kind: "decided", runId, callId, decision });
    return true;
  } catch (error) {
    note(runId, callId, endedBy(error) ? OPEN : afterFailure(error));
    return false;
  }
}

export function forgetDecisions(): void {
  known.value = new Map();
}

function afterFailure(error: unknown): Deciding {
  if (error instanceof ApiError && error.code === "already_decided") return { at: "elsewhere" };
  if (error instanceof ApiError && error.code === "approval_expired") return { at: "expired" };
  return { at: "failed", reason: describe(error) };
}

function note(runId: string, callId: string, state: Deciding): void {
  known.value = new Map(known.value).set(key(runId, callId), state);
}

/** A call's id comes from the model and is unique only within its run. */
function key(runId: string, callId: string): string {
  return `${runId} ${callId}`;
}

onTabNews((news) => {
  if (news.kind === "decided") note(news.runId, news.callId, { at: "decided", decision: news.decision });
});
