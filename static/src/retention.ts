/** How long a conversation is kept, in words. Pure. */
import { timeLeft } from "./durations.ts";
import type { Conversation } from "./types.ts";

const DAY_MS = 86_400_000;

/** With so little time left, the list says it; before that, whoever points at the conversation is told. */
const SOON_MS = 7 * DAY_MS;

/** What a person can choose, in days; 0 is what the installation does with all. */
const CHOICES = [0, 1, 7, 30, 90, 365];

/** The choices for a conversation. What a program has set is among them. */
export function daysToChoose({ retention_days }: Conversation): number[] {
  return [...new Set([...CHOICES, retention_days ?? 0])].toSorted((a, b) => a - b);
}

export function inDays(days: number): string {
  return days === 1 ? "1 day" : days === 365 ? "1 year" : `${days} days`;
}

/** When it is deleted: `Deleted in 5 days`. Null: it is kept. */
export function goes({ expires_at }: Conversation, now: Date): string | null {
  if (expires_at === null || expires_at === undefined) return null;
  const left = Date.parse(expires_at) - now.getTime();
  if (left <= 0) return "Deleted soon";
  // Whoever has just chosen seven days is not told of six.
  return `Deleted in ${left < 2 * DAY_MS ? timeLeft(left) : inDays(Math.round(left / DAY_MS))}`;
}

/** Whether its last days have come. */
export function goesSoon({ expires_at }: Conversation, now: Date): boolean {
  return typeof expires_at === "string" && Date.parse(expires_at) - now.getTime() < SOON_MS;
}
