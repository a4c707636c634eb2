/**
 * How long nothing can be sent because a limit is reached: 429 with the code `rate_limited` and `Retry-After`. A limit
 * is the person's or the session's, so the pause is the same in every conversation.
 */
import { signal } from "@preact/signals";
import { ApiError } from "../api.ts";

/** When messages are accepted again, in milliseconds of this device's clock; null if nobody was refused. */
export const resumesAt = signal<number | null>(null);

/** Notes a refusal for a limit. Returns whether the error is one. */
export function pauseAfter(error: unknown): boolean {
  if (!(error instanceof ApiError) || error.code !== "rate_limited" || error.retryAfterMs === null) return false;
  resumesAt.value = Date.now() + error.retryAfterMs;
  return true;
}

/** Whether the pause goes on. */
export function isPaused(): boolean {
  return resumesAt.value !== null && Date.now() < resumesAt.value;
}

export function endPause(): void {
  resumesAt.value = null;
}
