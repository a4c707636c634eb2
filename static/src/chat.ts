/**
 * The states of a chat, their data, and the transitions between them. Pure: no network, no clock, no document. `state/chat.ts`
 * does everything that takes time, and reports the results here as events.
 *
 *     new         created ──▶ ready, sending
 *     loading     loaded ───▶ ready, idle or answering
 *                 copied ───▶ ready, idle
 *                 failed ───▶ failed
 *     ready
 *       idle      sending ──▶ sending
 *                 retried ──▶ answering
 *                 loaded ───▶ answering, if a run is at work
 *       sending   sent ─────▶ answering
 *                 unsent ───▶ idle
 *       answering heard ────▶ idle, with the last event
 *                 concluded, broke ──▶ idle
 *     any state   opened ───▶ new or loading, and nothing is kept
 */
import type { RunEvent } from "./events.ts";
import { type Piece, withNewest } from "./history.ts";
import {
  type AnswerTurn,
  applyEvent,
  dropBroken,
  isBroken,
  isRunning,
  newAnswer,
  type Turn,
  turnsOf,
  type UserTurn,
} from "./turns.ts";
import type { AttachedFile, Conversation, Run } from "./types.ts";

export type ChatState =
  /** The empty page of a conversation that does not exist yet. */
  | { at: "new"; now: Idle | Sending; problem: string | null }
  | { at: "loading" }
  /** `reason` null: the conversation does not exist. */
  | { at: "failed"; reason: string | null }
  | Ready;

export type Ready = {
  at: "ready";
  conversation: Conversation;
  /** The loaded turns that are finished, oldest first. */
  turns: Turn[];
  /** The position of the turns before `turns`; null if there are none. */
  before: Piece["before"];
  loadingEarlier: boolean;
  /**
   * The index of the first turn that belongs on the page. Turns that nobody looks at would cost as much as the others.
   */
  wanted: number;
  /**
   * The index of the first turn that is drawn. The last turns are drawn at once and earlier ones a few at a time, so that
   * nothing waits for them.
   */
  drawn: number;
  /** The state after the turns. */
  now: Idle | Sending | Answering;
  /** The model of the last answer; null while it is unknown. */
  model: string | null;
  /** When the server last confirmed this state, and whether it could not be reached since. */
  loadedAt: Date;
  stale: boolean;
  /** Why the person's last action failed. */
  problem: string | null;
};

type Idle = { at: "idle" };
/** A message is being sent. */
type Sending = { at: "sending"; turn: UserTurn };
/** The page follows a run. `connected` is false while the connection is lost and is being restored. */
type Answering = { at: "answering"; answer: AnswerTurn; connected: boolean; stopping: boolean };

export type ChatEvent =
  /** The person opened a conversation, or null for a new one. */
  | { type: "opened"; id: string | null }
  /** The server returned the conversation and its newest messages. */
  | { type: "loaded"; conversation: Conversation; piece: Piece; at: Date }
  | { type: "failed"; reason: string | null }
  /** The server could not be reached, but this tab has a copy. */
  | { type: "copied"; copy: Ready }
  /** The conversation's title has changed. */
  | { type: "renewed"; conversation: Conversation }
  /** The shown state is current; or it may be outdated. */
  | { type: "confirmed"; at: Date }
  | { type: "unreachable" }
  /** The answering model is known. */
  | { type: "model"; model: string | null }
  /** There is time to draw more of the page; or all of it is needed. */
  | { type: "filled"; whole: boolean }
  /** More of the loaded turns are wanted on the page. */
  | { type: "unfolded" }
  /** Earlier turns were requested (or the request failed); or they have arrived. */
  | { type: "earlier"; asked: boolean }
  | { type: "earlier_loaded"; piece: Piece }
  /** A message is being sent; its conversation was created; the server has the message; or it does not have it. */
  | { type: "sending"; key: string; text: string; files: readonly AttachedFile[] }
  | { type: "created"; conversation: Conversation; at: Date }
  | { type: "sent"; messageId: string; run: Run }
  | { type: "unsent" }
  /** A failed answer is tried again. */
  | { type: "retried"; run: Run }
  /** News of the run that the page follows. */
  | { type: "connection"; runId: string; connected: boolean }
  | { type: "heard"; runId: string; event: RunEvent; id: string | null }
  /** The run is to be stopped; or the request for that failed. */
  | { type: "stopping"; asked: boolean }
  /**
   * The newest messages: what was said elsewhere before this run; or everything, because the run's events did not tell
   * its end.
   */
  | { type: "caught_up"; runId: string; piece: Piece }
  | { type: "concluded"; runId: string; piece: Piece; error: Run["error"] }
  /** The run can no longer be followed. */
  | { type: "broke"; runId: string; reason: string }
  /** An action failed, or the person has closed the message about it. */
  | { type: "problem"; text: string | null };

export const NEW: ChatState = { at: "new", now: { at: "idle" }, problem: null };

export function reduce(state: ChatState, event: ChatEvent): ChatState {
  if (event.type === "opened") return event.id === null ? NEW : { at: "loading" };
  switch (state.at) {
    case "new":
      return inNew(state, event);
    case "loading":
      return inLoading(event) ?? state;
    case "ready":
      return inReady(state, event);
    case "failed":
      return state;
  }
}

function inNew(state: ChatState & { at: "new" }, event: ChatEvent): ChatState {
  switch (event.type) {
    case "sending":
      return isBusy(state) ? state : { ...state, now: sending(event), problem: null };
    case "created":
      // The message is still being sent.
      return isBusy(state) ? { ...ready(event.conversation, event.at), now: state.now } : state;
    case "unsent":
      return isBusy(state) ? { ...state, now: { at: "idle" } } : state;
    case "problem":
      return { ...state, problem: event.text };
    default:
      return state;
  }
}

function inLoading(event: ChatEvent): ChatState | null {
  switch (event.type) {
    case "loaded":
      return loaded(ready(event.conversation, event.at), event);
    case "copied":
      return { ...ready(event.copy.conversation, event.copy.loadedAt), ...newest(event.copy), stale: true };
    case "failed":
      return { at: "failed", reason: event.reason };
    default:
      return null;
  }
}

function inReady(state: Ready, event: ChatEvent): Ready {
  switch (event.type) {
    case "loaded":
      // What the person has started meanwhile is newer.
      return isBusy(state) ? state : loaded(state, event);
    case "confirmed":
      return { ...state, loadedAt: event.at, stale: false };
    case "unreachable":
      return isBusy(state) ? state : { ...state, stale: true };
    case "renewed":
      return { ...state, conversation: event.conversation };
    case "model":
      return { ...state, model: event.model };
    case "filled":
      return { ...state, drawn: event.whole ? state.wanted : Math.max(state.wanted, state.drawn - MORE_TURNS) };
    case "unfolded":
      return { ...state, wanted: Math.max(0, state.wanted - MAX_TURNS) };
    case "earlier":
      return { ...state, loadingEarlier: event.asked, problem: null };
    case "earlier_loaded": {
      const turns = [...turnsOf(event.piece.messages, null), ...state.turns];
      const drawn = state.drawn + turns.length - state.turns.length;
      return { ...state, turns, before: event.piece.before, wanted: 0, drawn, loadingEarlier: false };
    }
    case "problem":
      return { ...state, problem: event.text };
    default:
      return inNow(state, event);
  }
}

/** Handles events that depend on what comes after the turns. */
function inNow(state: Ready, event: ChatEvent): Ready {
  const { now } = state;
  switch (now.at) {
    case "idle":
      return inIdle(state, event);
    case "sending":
      return inSending(state, now, event);
    case "answering":
      // Events of other runs are ignored.
      return "runId" in event && event.runId !== now.answer.runId ? state : inAnswering(state, now, event);
  }
}

function inIdle(state: Ready, event: ChatEvent): Ready {
  switch (event.type) {
    case "sending": {
      const wanted = Math.max(state.wanted, state.turns.length - MAX_TURNS);
      return { ...state, now: sending(event), problem: null, wanted, drawn: Math.max(state.drawn, wanted) };
    }
    case "retried": {
      const turns = [...state.turns];
      dropBroken(turns);
      return { ...state, turns, now: answering(event.run.id), model: event.run.model };
    }
    default:
      return state;
  }
}

function inSending(state: Ready, now: Sending, event: ChatEvent): Ready {
  switch (event.type) {
    case "sent": {
      const turns: Turn[] = [...state.turns, { ...now.turn, id: event.messageId, sending: false }];
      return { ...state, turns, now: answering(event.run.id), model: event.run.model };
    }
    case "unsent":
      return { ...state, now: { at: "idle" } };
    default:
      return state;
  }
}

function inAnswering(state: Ready, now: Answering, event: ChatEvent): Ready {
  switch (event.type) {
    case "connection":
      return { ...state, now: { ...now, connected: event.connected } };
    case "heard":
      return told(state, now, applyEvent(now.answer, event.event, event.id));
    case "broke":
      return told(state, now, { ...now.answer, phase: "error", error: { code: "", message: event.reason } });
    case "stopping":
      return { ...state, now: { ...now, stopping: event.asked }, problem: null };
    case "caught_up":
      return withPiece(state, event.piece, event.runId);
    case "concluded": {
      const { error, piece, runId } = event;
      const next: Ready = { ...withPiece(state, piece, error && runId), now: { at: "idle" } };
      if (error === null) return next;
      return { ...next, turns: [...next.turns, { ...newAnswer(runId), phase: "error", error }] };
    }
    default:
      return state;
  }
}

/** Updates the answer. Once it has ended, it is a turn like the others. */
function told(state: Ready, now: Answering, answer: AnswerTurn): Ready {
  if (isRunning(answer)) return { ...state, now: { ...now, answer } };
  return { ...state, turns: [...state.turns, answer], now: { at: "idle" } };
}

function loaded(state: Ready, { conversation, piece, at }: ChatEvent & { type: "loaded" }): Ready {
  const last = piece.messages.at(-1);
  // There is no answer, or it failed: the events of its run tell the rest.
  const unanswered = last !== undefined && (last.role !== "assistant" || last.finish_reason === "tool_calls");
  const failed = unanswered || last?.finish_reason === "error";
  const runId = conversation.active_run_id ?? (failed ? last.run_id : null);
  const next: Ready = { ...withPiece(state, piece, runId), conversation, loadedAt: at, stale: false };
  if (runId === null) return next;
  // The page may have received these events already.
  const known = state.turns.findLast((turn) => turn.kind === "answer" && turn.runId === runId);
  return known === undefined ? { ...next, now: answering(runId) } : { ...next, turns: [...next.turns, known] };
}

/** Replaces the newest turns. The run's own messages are left to its events. */
function withPiece(state: Ready, piece: Piece, runId: string | null): Ready {
  const turns = turnsOf(piece.messages, runId);
  const merged = withNewest(state.turns, turns);
  if (merged === null) return { ...state, ...newest({ turns, before: piece.before }) };
  return { ...state, turns: merged };
}

function sending({ key, text, files }: ChatEvent & { type: "sending" }): Sending {
  return { at: "sending", turn: { kind: "user", id: key, text, files, sending: true } };
}

function answering(runId: string): Answering {
  return { at: "answering", answer: newAnswer(runId), connected: true, stopping: false };
}

/** A conversation whose messages are not known yet. */
function ready(conversation: Conversation, loadedAt: Date): Ready {
  return {
    at: "ready",
    conversation,
    ...newest({ turns: [], before: null }),
    loadingEarlier: false,
    now: { at: "idle" },
    model: null,
    loadedAt,
    stale: false,
    problem: null,
  };
}

/** How many turns are on the page, unless more are requested. */
const MAX_TURNS = 60;
/** How many of them are drawn at once, and how many more whenever there is time. */
const FIRST_TURNS = 6;
const MORE_TURNS = 2;

/** The turns with the newest ones on the page. */
function newest({
  turns,
  before,
}: Pick<Ready, "turns" | "before">): Pick<Ready, "turns" | "before" | "wanted" | "drawn"> {
  const last = (count: number) => Math.max(0, turns.length - count);
  return { turns, before, wanted: last(MAX_TURNS), drawn: last(FIRST_TURNS) };
}

/** Whether a message is being sent or an answer is being written. */
export function isBusy(state: ChatState): boolean {
  return "now" in state && state.now.at !== "idle";
}

/** The last answer, possibly still running, if nothing was said after it. */
export function lastAnswer({ now, turns }: Ready): AnswerTurn | null {
  if (now.at === "answering") return now.answer;
  const last = turns.at(-1);
  return now.at === "idle" && last?.kind === "answer" ? last : null;
}

/** The run that can be tried again: the last one, if it failed or was stopped. */
export function retryableRun(state: Ready): string | null {
  const last = lastAnswer(state);
  return last !== null && !isBusy(state) && isBroken(last) ? last.runId : null;
}
