/**
 * Follows one run to its end: reads its events, notices silence, connects again with backoff after the last event seen.
 * Knows nothing of what is on the screen.
 */
import { ApiError, runs } from "./api.ts";
import { readEvent } from "./events.ts";
import { SseParser } from "./sse.ts";
import type { RunEvent } from "./types.ts";

/** The server sends a comment every 10 s; two missing ones and a margin mean that the connection is dead. */
const SILENCE_LIMIT_MS = 25_000;
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 15_000;

export type Follower = {
  /** Events in order. May contain some that were given before: the ids tell. */
  onEvent(event: RunEvent, id: string | null): void;
  /** The connection is there (true), or was lost and is being made again (false). */
  onConnection(connected: boolean): void;
};

/** Resolves when the run has ended or `signal` aborts; rejects with what cannot be repaired by trying again. */
export async function followRun(runId: string, follower: Follower, signal: AbortSignal): Promise<void> {
  let lastEventId: string | null = null;
  let retryMs = FIRST_RETRY_MS;
  let ended = false;
  while (!ended && !signal.aborted) {
    let waitMs = 0;
    let failed = true;
    const startedAt = performance.now();
    try {
      ended = await readOnce(runId, lastEventId, signal, {
        onConnection: follower.onConnection,
        onEvent(event, id) {
          lastEventId = id ?? lastEventId;
          retryMs = FIRST_RETRY_MS;
          follower.onEvent(event, id);
        },
      });
      failed = false;
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && !isPassing(error)) throw error;
      if (error instanceof ApiError) waitMs = error.retryAfterMs ?? 0;
    }
    if (ended || signal.aborted) return;
    // A connection that held was no failure: a run may wait for the person much longer than a connection lasts.
    if (performance.now() - startedAt > LONGEST_RETRY_MS) retryMs = FIRST_RETRY_MS;
    // The server ends a connection that gets old; only when that goes on is it worth a word.
    if (failed || retryMs > FIRST_RETRY_MS) follower.onConnection(false);
    await wait(Math.max(waitMs, retryMs * (0.75 + Math.random() / 2)), signal);
    retryMs = Math.min(retryMs * 2, LONGEST_RETRY_MS);
  }
}

/** Whether trying again may help: no connection, too many requests, or trouble on the server's side. */
function isPassing(error: ApiError): boolean {
  return error.status === 0 || error.status === 429 || error.status >= 500;
}

/** Reads one connection. True when the run has ended, false when the connection did. */
async function readOnce(
  runId: string,
  lastEventId: string | null,
  outer: AbortSignal,
  follower: Follower,
): Promise<boolean> {
  const silence = new AbortController();
  let timer = 0;
  const heard = () => {
    clearTimeout(timer);
    timer = window.setTimeout(() => silence.abort(), SILENCE_LIMIT_MS);
  };
  const signal = AbortSignal.any([outer, silence.signal]);
  heard();
  try {
    const body = await runs.events(runId, lastEventId, signal);
    follower.onConnection(true);
    if (body === null) return true;
    const parser = new SseParser();
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return false;
      heard();
      for (const sse of parser.push(value)) {
        const event = readEvent(sse.data);
        if (event === null) continue;
        follower.onEvent(event, sse.id);
        if (event.type === "complete" || event.type === "error") return true;
      }
    }
  } finally {
    clearTimeout(timer);
    silence.abort();
  }
}

/** Waits, but not longer than until the browser says that the network is back. */
function wait(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      window.removeEventListener("online", done);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    window.addEventListener("online", done);
    signal.addEventListener("abort", done);
  });
}
