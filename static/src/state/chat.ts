/** The conversation on the screen: loading it, sending, following the answer, stopping and trying again. */
import { batch, computed, signal } from "@preact/signals";
import { ApiError, conversations as api, describe, runs } from "../api.ts";
import { followRun } from "../follow.ts";
import { loadPiece, type Piece, withNewest } from "../history.ts";
import {
  type AnswerTurn,
  applyEvent,
  dropBroken,
  isBroken,
  isRunning,
  newAnswer,
  type Turn,
  turnsOf,
} from "../turns.ts";
import type { Conversation } from "../types.ts";
import { type Copy, findCopy, keepCopy } from "./copies.ts";
import { draftKey, moveDraft, NEW_CHAT, readDraft, writeDraft } from "./drafts.ts";
import { eachFrame } from "./frames.ts";
import { upsert } from "./list.ts";
import { conversationPath, navigate, route } from "./route.ts";
import { endedBy } from "./session.ts";
import { tellTabs } from "./tabs.ts";

export type ChatState =
  { at: "new" } | { at: "loading" } | { at: "missing" } | { at: "failed"; reason: string } | { at: "ready" };

export const chat = signal<ChatState>(beginning());
export const conversation = signal<Conversation | null>(null);
/** What is finished, of what was loaded; the answer that is being written, or was written last, is `live`. */
export const turns = signal<Turn[]>([]);
export const live = signal<AnswerTurn | null>(null);
/** False while the connection to a running answer is lost and being made again. */
export const connected = signal(true);
export const sending = signal(false);
export const stopping = signal(false);
/** Why the last thing the person asked for did not happen. */
export const problem = signal<string | null>(null);
/** When what is shown was loaded, if it may be older than what the server has; null otherwise. */
export const copyFrom = signal<Date | null>(null);
/** The name of the model that answers here; null until it has. */
const model = signal<string | null>(null);
/** The one that answers unless a conversation names another; null until the server has said so. */
export const defaultModel = signal<string | null>(null);
export const answeringModel = computed(() => conversation.value?.model ?? model.value ?? defaultModel.value);

/** These change seldom, unlike `live`, which changes with every frame of an answer: what depends on it is drawn as often. */
export const liveRunId = computed(() => live.value?.runId ?? null);
/** Of the answer at the end, if nothing was said after it. */
export const lastRunId = computed(() => {
  const last = turns.value.at(-1);
  return liveRunId.value ?? (last?.kind === "answer" ? last.runId : null);
});
export const running = computed(() => live.value !== null && isRunning(live.value));
export const busy = computed(() => sending.value || running.value);
export const isEmpty = computed(() => {
  const { at } = chat.value;
  return at === "new" || (at === "ready" && turns.value.length === 0 && live.value === null);
});

/** The run that can be tried again: the last one, if it ended badly or was stopped. */
export const retryable = computed(() => {
  const last = live.value ?? turns.value.at(-1);
  return !busy.value && last?.kind === "answer" && isBroken(last) ? last.runId : null;
});

/** Where what came before `turns` is; null if that is the beginning. */
const before = signal<Piece["before"]>(null);
/** How many of the turns are to be on the page: what nobody looks at costs as much as what somebody does. */
const limit = signal(0);
const LIMIT_TURNS = 60;
/** How many are on it: the last ones at once, those before them a few at a time, so that nothing has to wait for them. */
const room = signal(0);
const FIRST_TURNS = 6;
const MORE_TURNS = 2;
export const shownTurns = computed(() => turns.value.slice(-Math.max(room.value, 1)));
/** Whether there is more to be shown without anybody asking for it. */
export const isFilling = computed(() => room.value < Math.min(limit.value, turns.value.length));
export const hasEarlier = computed(() => turns.value.length > limit.value || before.value !== null);
export const loadingEarlier = signal(false);

/** Ends what the conversation shown before was waiting for. */
let leaving = new AbortController();
/** Ends the reading of the run that is shown: two readers of one run would mix their events. */
let following = new AbortController();
/** Ends the sending of a message that the person does not want to wait for. */
let giveUp = new AbortController();
let loadedAt = new Date();

/** Shows a conversation; null is the empty page of a new one. */
export async function open(id: string | null): Promise<void> {
  if (id !== null && conversation.value?.id === id && chat.value.at === "ready") return;
  clear();
  if (id !== null) await load(id);
}

/** What an address shows at first. */
function beginning(): ChatState {
  return { at: route.peek().page === "conversation" ? "loading" : "new" };
}

export function clear(): void {
  const copy = asCopy();
  if (copy !== null) keepCopy(copy);
  leaving.abort();
  leaving = new AbortController();
  batch(() => {
    chat.value = beginning();
    conversation.value = null;
    model.value = null;
    turns.value = [];
    live.value = null;
    before.value = null;
    limit.value = LIMIT_TURNS;
    room.value = FIRST_TURNS;
    connected.value = true;
    sending.value = false;
    stopping.value = false;
    loadingEarlier.value = false;
    copyFrom.value = null;
    problem.value = null;
  });
}

/** What is shown, to be shown again when the server cannot be reached. */
function asCopy(): Copy | null {
  if (conversation.value === null || chat.value.at !== "ready" || busy.value) return null;
  const shown = live.value === null ? turns.value : [...turns.value, live.value];
  return { conversation: conversation.value, turns: shown, before: before.value, loadedAt };
}

/** Asks whether something happened elsewhere, and shows it. What is already here does not flicker. */
export async function refresh(): Promise<void> {
  const shown = conversation.value;
  if (shown === null || busy.value || chat.value.at !== "ready") return;
  const { signal } = leaving;
  try {
    const current = await api.get(shown.id);
    if (signal.aborted || busy.value) return;
    if (current.updated_at !== shown.updated_at || current.active_run_id !== null) await load(shown.id);
    else confirmed();
  } catch (error) {
    if (!signal.aborted && !endedBy(error) && isUnreachable(error)) copyFrom.value = loadedAt;
  }
}

/** The network is gone: what is shown is what there was. */
export function goOffline(): void {
  if (chat.value.at === "ready" && conversation.value !== null && !busy.value) copyFrom.value = loadedAt;
}

function confirmed(): void {
  loadedAt = new Date();
  copyFrom.value = null;
}

/** Shows some more of what is to be shown; or all of it, for paper. */
export function fill(whole = false): void {
  if (isFilling.value) room.value = whole ? limit.value : room.value + MORE_TURNS;
}

/** Shows what came before what is shown. */
export async function loadEarlier(): Promise<void> {
  const id = conversation.value?.id;
  if (loadingEarlier.value || id === undefined) return;
  if (turns.value.length > limit.value || before.value === null) {
    limit.value += LIMIT_TURNS;
    return fill();
  }
  const { signal } = leaving;
  loadingEarlier.value = true;
  problem.value = null;
  try {
    const piece = await loadPiece(id, before.value);
    if (signal.aborted) return;
    const earlier = turnsOf(piece.messages, null);
    batch(() => {
      turns.value = [...earlier, ...turns.value];
      limit.value = turns.value.length;
      before.value = piece.before;
      fill();
    });
  } catch (error) {
    if (!signal.aborted) await explain(error);
  }
  if (!signal.aborted) loadingEarlier.value = false;
}

/** All of it, for paper. */
export async function loadWhole(): Promise<void> {
  for (let known = -1; hasEarlier.value && known !== turns.value.length + limit.value;) {
    known = turns.value.length + limit.value;
    await loadEarlier();
  }
  fill(true);
}

/** Sends a message, making the conversation first if there is none. False: it was not, and `problem` says why. */
export async function say(text: string): Promise<boolean> {
  if (busy.value) return false;
  const { signal } = leaving;
  giveUp = new AbortController();
  const wish = giveUp.signal;
  const shown = turns.value;
  const previous = live.value;
  const isNew = conversation.value === null;
  const draft = conversation.value?.id ?? NEW_CHAT;
  const key = draftKey(draft, text);
  batch(() => {
    sending.value = true;
    problem.value = null;
    turns.value = [...shown, ...(previous ? [previous] : []), { kind: "user", id: key, text, sending: true }];
    live.value = null;
    limit.value = LIMIT_TURNS;
    room.value = Math.min(room.value + 2, LIMIT_TURNS);
  });
  try {
    const { id } = conversation.value ?? (await start(signal, wish));
    const { message, run } = await api.say(id, text, key, wish);
    if (readDraft(id) === text) writeDraft(id, "");
    tellTabs({ kind: "changed", conversationId: id });
    if (signal.aborted) return true;
    if (shown.some((turn) => turn.kind === "user" && turn.id === message.id)) {
      // It had arrived the first time and only the answer to it was lost.
      sending.value = false;
      await load(id);
      return true;
    }
    batch(() => {
      turns.value = turns.value.map((turn) =>
        turn.kind === "user" && turn.id === key ? { ...turn, id: message.id, sending: false } : turn,
      );
      sending.value = false;
      void attach(run.id);
    });
    void renew(id, signal);
    if (!isNew) void catchUp(id, run.id, signal);
    model.value = run.model;
    return true;
  } catch (error) {
    // The person has gone elsewhere; the draft waits where it belongs.
    if (signal.aborted) return true;
    batch(() => {
      sending.value = false;
      turns.value = shown;
      live.value = previous;
    });
    if (wish.aborted) problem.value = "You stopped the sending. Your message is back where you wrote it.";
    else await explain(error);
    return false;
  }
}

export async function stop(): Promise<void> {
  if (sending.value) return giveUp.abort();
  const runId = live.value?.runId;
  if (runId === undefined || stopping.value) return;
  stopping.value = true;
  problem.value = null;
  try {
    await runs.cancel(runId);
  } catch (error) {
    stopping.value = false;
    await explain(error);
  }
}

export async function retry(): Promise<void> {
  const runId = retryable.value;
  const id = conversation.value?.id;
  if (runId === null || id === undefined) return;
  const { signal } = leaving;
  problem.value = null;
  try {
    const { run } = await runs.retry(runId);
    tellTabs({ kind: "changed", conversationId: id });
    if (signal.aborted) return;
    const kept = live.value === null ? [...turns.value] : [...turns.value, live.value];
    dropBroken(kept);
    batch(() => {
      turns.value = kept;
      void attach(run.id);
    });
    model.value = run.model;
  } catch (error) {
    if (!signal.aborted) await explain(error);
  }
}

async function start(signal: AbortSignal, wish: AbortSignal): Promise<Conversation> {
  const created = await api.create(wish);
  moveDraft(NEW_CHAT, created.id);
  upsert(created);
  if (signal.aborted) return created;
  conversation.value = created;
  chat.value = { at: "ready" };
  navigate(conversationPath(created.id), { replace: true });
  return created;
}

async function load(id: string): Promise<void> {
  const { signal } = leaving;
  try {
    const [current, piece] = await Promise.all([api.get(id), loadPiece(id)]);
    // What the person has begun meanwhile is newer than this.
    if (signal.aborted || busy.value) return;
    const last = piece.messages.at(-1);
    // No answer, or one that failed: the events of its run tell what became of it.
    const unanswered = last !== undefined && (last.role !== "assistant" || last.finish_reason === "tool_calls");
    const failed = unanswered || last?.finish_reason === "error";
    const runId = current.active_run_id ?? (failed ? last.run_id : null);
    batch(() => {
      conversation.value = current;
      show(piece, runId);
      chat.value = { at: "ready" };
      confirmed();
      if (runId !== null && live.value === null) void attach(runId);
    });
    upsert(current);
    const anyRunId = runId ?? last?.run_id;
    if (anyRunId !== undefined) model.value = (await runs.get(anyRunId)).model;
  } catch (error) {
    if (signal.aborted || endedBy(error)) return;
    if (chat.value.at === "ready") {
      if (isUnreachable(error)) copyFrom.value = loadedAt;
      return;
    }
    const copy = isUnreachable(error) ? findCopy(id) : undefined;
    if (copy !== undefined) return showCopy(copy);
    const missing = error instanceof ApiError && error.status === 404;
    chat.value = missing ? { at: "missing" } : { at: "failed", reason: describe(error) };
  }
}

/** The newest piece takes its place. What the run wrote is left to its events; they may be here already. */
function show(piece: Piece, runId: string | null): void {
  const newest = turnsOf(piece.messages, runId);
  const seen = live.value === null ? turns.value : [...turns.value, live.value];
  const merged = withNewest(seen, newest);
  turns.value = merged ?? newest;
  if (merged === null) before.value = piece.before;
  if (live.value?.runId !== runId) live.value = null;
}

function showCopy(copy: Copy): void {
  batch(() => {
    conversation.value = copy.conversation;
    turns.value = copy.turns;
    before.value = copy.before;
    loadedAt = copy.loadedAt;
    copyFrom.value = copy.loadedAt;
    chat.value = { at: "ready" };
  });
}

/** What was said in another place before the message that was just sent. */
async function catchUp(id: string, runId: string, signal: AbortSignal): Promise<void> {
  try {
    const piece = await loadPiece(id);
    if (!signal.aborted && live.value?.runId === runId) batch(() => show(piece, runId));
  } catch {
    // It is missing for now; the next look around finds it.
  }
}

/** Shows a run from its first event to its end. */
async function attach(runId: string): Promise<void> {
  following.abort();
  following = new AbortController();
  const signal = AbortSignal.any([leaving.signal, following.signal]);
  const id = conversation.value?.id ?? "";
  live.value = newAnswer(runId);
  stopping.value = false;
  const frames = eachFrame((apply: (answer: AnswerTurn) => AnswerTurn) => {
    if (!signal.aborted && live.value?.runId === runId) live.value = apply(live.value);
  });
  try {
    await followRun(
      runId,
      {
        onEvent: (event, eventId) => frames.push((answer) => applyEvent(answer, event, eventId)),
        onConnection: (is) => (connected.value = is || signal.aborted),
      },
      signal,
    );
    frames.flush();
    if (!signal.aborted && running.value) await conclude(id, runId, signal);
  } catch (error) {
    if (signal.aborted || endedBy(error)) return;
    frames.push((answer) => ({ ...answer, phase: "error", error: { code: "", message: describe(error) } }));
    frames.flush();
  }
  if (signal.aborted) return;
  stopping.value = false;
  connected.value = true;
  void renew(id, signal);
}

/** The run has ended and its events did not say how: what it left behind does. */
async function conclude(id: string, runId: string, signal: AbortSignal): Promise<void> {
  const [run, piece] = await Promise.all([runs.get(runId), loadPiece(id)]);
  if (signal.aborted) return;
  batch(() => {
    live.value = null;
    show(piece, run.error === null ? null : runId);
    if (run.error !== null) live.value = { ...newAnswer(runId), phase: "error", error: run.error };
  });
}

/** The title and the place in the list after something was said. */
async function renew(id: string, signal: AbortSignal): Promise<void> {
  try {
    const current = await api.get(id);
    upsert(current);
    if (signal.aborted) return;
    conversation.value = current;
    confirmed();
  } catch {
    // Only the title is older than it could be; what matters has its own errors.
  }
}

function isUnreachable(error: unknown): boolean {
  return error instanceof ApiError && error.status === 0;
}

async function explain(error: unknown): Promise<void> {
  if (endedBy(error)) return;
  problem.value = describe(error);
  // Another tab was faster, or the answer to our own request was lost: show what is going on.
  if (error instanceof ApiError && error.code === "run_active") await refresh();
}
