/**
 * Follows a run to its end: reads its events, notices silence, and reconnects with backoff after the last event. It knows
 * nothing of the screen.
 */
import { ApiError, runs } from "./api.ts";
import { readEvent, type RunEvent } from "./events.ts";
import { isOffline, onNetwork, pause } from "./network.ts";
import { SseParser } from "./sse.ts";

/** The server sends a comment every 10 s. After that time and a margin without one, the connection is dead. */
const SILENCE_LIMIT_MS = 13_000;
/** The server responds at once. This is the longest time without a sign for the person. */
const OPENING_LIMIT_MS = 4_000;
/** After the first attempt, which is made at once. */
const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 15_000;
/** Spreads the reconnects of many readers whose host went away. */
const SPREAD_MS = 100;

export type Follower = {
  /** Receives events in order. Some may be repeated; their ids show that. */
  onEvent: (event: RunEvent, id: string | null) => void;
  /** The connection is established (true), or lost and being restored (false). */
  onConnection: (connected: boolean) => void;
};

/** Resolves when the run has ended or `signal` aborts. Rejects with errors that retrying cannot fix. */
export async function followRun(runId: string, follower: Follower, signal: AbortSignal): Promise<void> {
  let lastEventId: string | null = null;
  let failures = 0;
  const isOver = () => signal.aborted;
  while (!isOver()) {
    let waitMs = 0;
    let broke = true;
    const startedAt = performance.now();
    try {
      const ended = await readOnce(runId, lastEventId, signal, {
        onConnection: follower.onConnection,
        onEvent(event, id) {
          lastEventId = id ?? lastEventId;
          failures = 0;
          follower.onEvent(event, id);
        },
      });
      if (ended) return;
      broke = false;
    } catch (error) {
      if (isOver()) return;
      if (error instanceof ApiError && !isPassing(error)) throw error;
      if (error instanceof ApiError) waitMs = error.retryAfterMs ?? 0;
    }
    if (isOver()) return;
    // A connection that lasted was not a failure: a run may wait for the person much longer than a connection lasts.
    if (performance.now() - startedAt > LONGEST_RETRY_MS) failures = 0;
    // The server closes old connections. The person is told only if reconnecting fails.
    if (broke || failures > 0) follower.onConnection(false);
    await pause(Math.max(waitMs, backoffMs(failures)), signal);
    failures += 1;
  }
}

/**
 * The first attempt is made at once, because a broken connection does not predict the next one. Further attempts come
 * later and later, because a refused connection does.
 */
function backoffMs(failures: number): number {
  if (isOffline()) return LONGEST_RETRY_MS;
  if (failures === 0) return Math.random() * SPREAD_MS;
  return Math.min(FIRST_RETRY_MS * 2 ** (failures - 1), LONGEST_RETRY_MS) * (0.75 + Math.random() / 2);
}

/** Whether retrying may help: no connection, too many requests, or a fault of the server. */
function isPassing(error: ApiError): boolean {
  return error.status === 0 || error.status === 429 || error.status >= 500;
}

/** Reads one connection. Returns true if the run has ended, false if only the connection has. */
async function readOnce(
  runId: string,
  lastEventId: string | null,
  outer: AbortSignal,
  follower: Follower,
): Promise<boolean> {
  const silence = new AbortController();
  const lost = () => silence.abort();
  let timer: ReturnType<typeof setTimeout>;
  const heard = () => {
    clearTimeout(timer);
    timer = setTimeout(lost, SILENCE_LIMIT_MS);
  };
  const signal = AbortSignal.any([outer, silence.signal]);
  const opening = setTimeout(() => follower.onConnection(false), OPENING_LIMIT_MS);
  const stop = onNetwork("offline", lost);
  heard();
  try {
    const body = await runs.events(runId, lastEventId, signal);
    clearTimeout(opening);
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
        if (event === null) continue; // an unknown event: the id of the next one is used to reconnect
        follower.onEvent(event, sse.id);
        if (event.kind === "complete" || event.kind === "error") return true;
      }
    }
  } finally {
    clearTimeout(timer!);
    clearTimeout(opening);
    stop();
    silence.abort();
  }
}
