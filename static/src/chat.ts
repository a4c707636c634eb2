/**
 * What is on the screen of a chat: which states there are, what belongs to each, and what leads from one to another. Pure: no
 * network, no clock, no document. What takes time is done in `state/chat.ts`, which tells here what came of it.
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
 *     whatever    opened ───▶ new or loading, and nothing is taken along
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
import type { Conversation, Run } from "./types.ts";

export type ChatState =
  /** The empty page of a conversation that does not exist yet. */
  | { at: "new"; now: Idle | Sending; problem: string | null }
  | { at: "loading" }
  /** `reason` null: there is no such conversation. */
  | { at: "failed"; reason: string | null }
  | Ready;

export type Ready = {
  at: "ready";
  conversation: Conversation;
  /** What is finished, of what was loaded, oldest first. */
  turns: Turn[];
  /** Where what came before `turns` is; null if that is the beginning. */
  before: Piece["before"];
  loadingEarlier: boolean;
  /** The first of the turns that is to be on the page: what nobody looks at costs as much as what somebody does. */
  wanted: number;
  /** The first that is on it: the last ones come at once, those before them a few at a time, so that nothing waits for them. */
  drawn: number;
  /** What comes after the turns. */
  now: Idle | Sending | Answering;
  /** The model that answered last; null until that is known. */
  model: string | null;
  /** When the server said that this is what there is, and whether it could not be asked again since. */
  loadedAt: Date;
  stale: boolean;
  /** Why the last thing that the person asked for did not happen. */
  problem: string | null;
};

type Idle = { at: "idle" };
/** A message is on its way. */
type Sending = { at: "sending"; turn: UserTurn };
/** A run is followed. `connected`: false while the connection to it is lost and being made again. */
type Answering = { at: "answering"; answer: AnswerTurn; connected: boolean; stopping: boolean };

export type ChatEvent =
  /** An address was opened: a conversation, or null for a new one. */
  | { type: "opened"; id: string | null }
  /** The server says what there is: the conversation and its newest messages. */
  | { type: "loaded"; conversation: Conversation; piece: Piece; at: Date }
  | { type: "failed"; reason: string | null }
  /** It could not be reached, but this was on the screen before. */
  | { type: "copied"; copy: Ready }
  /** The conversation itself has changed: its title. */
  | { type: "renewed"; conversation: Conversation }
  /** What is shown is what there is; or it may be older. */
  | { type: "confirmed"; at: Date }
  | { type: "unreachable" }
  /** The model that answers is known. */
  | { type: "model"; model: string | null }
  /** There is time to draw more of what is to be on the page; or need for all of it. */
  | { type: "filled"; whole: boolean }
  /** More of what is here is to be on the page. */
  | { type: "unfolded" }
  /** What came before is asked for (or could not be had); or is there. */
  | { type: "earlier"; asked: boolean }
  | { type: "earlier_loaded"; piece: Piece }
  /** A message is on its way; its conversation was made; the server has it; it has not. */
  | { type: "sending"; key: string; text: string }
  | { type: "created"; conversation: Conversation; at: Date }
  | { type: "sent"; messageId: string; run: Run }
  | { type: "unsent" }
  /** A broken answer is tried again. */
  | { type: "retried"; run: Run }
  /** What happens to the run that is followed. */
  | { type: "connection"; runId: string; connected: boolean }
  | { type: "heard"; runId: string; event: RunEvent; id: string | null }
  /** It is to be stopped; or that could not be said. */
  | { type: "stopping"; asked: boolean }
  /** Its newest messages: what was said in another place before it; or all there is, since its events did not say how it ended. */
  | { type: "caught_up"; runId: string; piece: Piece }
  | { type: "concluded"; runId: string; piece: Piece; error: Run["error"] }
  /** It cannot be followed any more. */
  | { type: "broke"; runId: string; reason: string }
  /** Something did not happen, or the person has read why. */
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
      // The message is still on its way.
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
      // What the person has begun meanwhile is newer than this.
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

/** What depends on whether a message is on its way, or an answer. */
function inNow(state: Ready, event: ChatEvent): Ready {
  const { now } = state;
  switch (now.at) {
    case "idle":
      return inIdle(state, event);
    case "sending":
      return inSending(state, now, event);
    case "answering":
      // Of another run, nothing is to be heard any more.
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

/** The answer as it is now; once it has ended it is a turn like the others. */
function told(state: Ready, now: Answering, answer: AnswerTurn): Ready {
  if (isRunning(answer)) return { ...state, now: { ...now, answer } };
  return { ...state, turns: [...state.turns, answer], now: { at: "idle" } };
}

function loaded(state: Ready, { conversation, piece, at }: ChatEvent & { type: "loaded" }): Ready {
  const last = piece.messages.at(-1);
  // No answer, or one that failed: the events of its run tell what became of it.
  const unanswered = last !== undefined && (last.role !== "assistant" || last.finish_reason === "tool_calls");
  const failed = unanswered || last?.finish_reason === "error";
  const runId = conversation.active_run_id ?? (failed ? last.run_id : null);
  const next: Ready = { ...withPiece(state, piece, runId), conversation, loadedAt: at, stale: false };
  if (runId === null) return next;
  // They may have told it already.
  const known = state.turns.findLast((turn) => turn.kind === "answer" && turn.runId === runId);
  return known === undefined ? { ...next, now: answering(runId) } : { ...next, turns: [...next.turns, known] };
}

/** The newest piece takes its place. What the run wrote is left to its events. */
function withPiece(state: Ready, piece: Piece, runId: string | null): Ready {
  const turns = turnsOf(piece.messages, runId);
  const merged = withNewest(state.turns, turns);
  if (merged === null) return { ...state, ...newest({ turns, before: piece.before }) };
  return { ...state, turns: merged };
}

function sending({ key, text }: ChatEvent & { type: "sending" }): Sending {
  return { at: "sending", turn: { kind: "user", id: key, text, sending: true } };
}

function answering(runId: string): Answering {
  return { at: "answering", answer: newAnswer(runId), connected: true, stopping: false };
}

/** A conversation of which nothing is known yet but what it is. */
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

/** How many turns are to be on the page, unless more are asked for. */
const MAX_TURNS = 60;
/** How many of them come at once, and how many whenever there is time. */
const FIRST_TURNS = 6;
const MORE_TURNS = 2;

/** Turns from their end on. */
function newest({
  turns,
  before,
}: Pick<Ready, "turns" | "before">): Pick<Ready, "turns" | "before" | "wanted" | "drawn"> {
  const last = (count: number) => Math.max(0, turns.length - count);
  return { turns, before, wanted: last(MAX_TURNS), drawn: last(FIRST_TURNS) };
}

/** Whether a message is on its way, or an answer. */
export function isBusy(state: ChatState): boolean {
  return "now" in state && state.now.at !== "idle";
}

/** The answer at the end, if nothing was said after it: it may be running. */
export function lastAnswer({ now, turns }: Ready): AnswerTurn | null {
  if (now.at === "answering") return now.answer;
  const last = turns.at(-1);
  return now.at === "idle" && last?.kind === "answer" ? last : null;
}

/** The run that can be tried again: the last one, if it ended badly or was stopped. */
export function retryableRun(state: Ready): string | null {
  const last = lastAnswer(state);
  return last !== null && !isBusy(state) && isBroken(last) ? last.runId : null;
}
