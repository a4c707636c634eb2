/**
 * The conversation on the screen: loading it, sending, following the answer, stopping and trying again. What there is to be
 * shown, and when, is for `../chat.ts` to say; here is what takes time, and nothing is decided.
 */
import { computed, effect, signal, untracked } from "@preact/signals";
import { ApiError, conversations as api, describe, runs } from "../api.ts";
import { type ChatEvent, type ChatState, isBusy, lastAnswer, NEW, reduce, retryableRun } from "../chat.ts";
import { followRun } from "../follow.ts";
import { loadPiece } from "../history.ts";
import type { Turn } from "../turns.ts";
import type { Conversation } from "../types.ts";
import { findCopy, keepCopy } from "./copies.ts";
import { draftKey, moveDraft, NEW_CHAT, readDraft, writeDraft } from "./drafts.ts";
import { eachFrame } from "./frames.ts";
import { upsert } from "./list.ts";
import { conversationPath, navigate } from "./route.ts";
import { endedBy } from "./session.ts";
import { tellTabs } from "./tabs.ts";

const state = signal<ChatState>(NEW);

function dispatch(event: ChatEvent): void {
  state.value = reduce(state.peek(), event);
}

/**
 * Parts of it, each of which changes seldom, unlike the whole, which changes with every frame of an answer: what depends on it
 * is drawn as often.
 */
const ready = computed(() => (state.value.at === "ready" ? state.value : null));
const now = computed(() => ("now" in state.value ? state.value.now : null));
const answering = computed(() => (now.value?.at === "answering" ? now.value : null));
const turns = computed<readonly Turn[]>(() => ready.value?.turns ?? NONE);
const NONE: readonly Turn[] = [];
const wanted = computed(() => ready.value?.wanted ?? 0);
const drawn = computed(() => ready.value?.drawn ?? 0);

export const chatAt = computed(() => state.value.at);
/** Why it could not be loaded; null: there is no such conversation. */
export const failure = computed(() => (state.value.at === "failed" ? state.value.reason : null));
export const conversation = computed(() => ready.value?.conversation ?? null);
export const conversationId = computed(() => conversation.value?.id ?? null);
/** Why the last thing the person asked for did not happen. */
export const problem = computed(() => ("problem" in state.value ? state.value.problem : null));
/** When what is shown was loaded, if it may be older than what the server has; null otherwise. */
export const copyFrom = computed(() => (ready.value?.stale === true ? ready.value.loadedAt : null));
/** The model that answers unless a conversation names another; null until the server has said so. */
export const defaultModel = signal<string | null>(null);
export const answeringModel = computed(() => conversation.value?.model ?? ready.value?.model ?? defaultModel.value);

export const isSending = computed(() => now.value?.at === "sending");
/** The message that is on its way. */
export const sent = computed(() => (ready.value?.now.at === "sending" ? ready.value.now.turn : null));
export const busy = computed(() => isBusy(state.value));
export const stopping = computed(() => answering.value?.stopping === true);
/** False while the connection to a running answer is lost and being made again. */
export const connected = computed(() => answering.value?.connected !== false);
/** The answer that is being written. */
export const live = computed(() => answering.value?.answer ?? null);
export const liveRunId = computed(() => live.value?.runId ?? null);
/** The answer at the end, running or not. */
export const last = computed(() => (ready.value === null ? null : lastAnswer(ready.value)));
export const lastRunId = computed(() => last.value?.runId ?? null);
export const retryable = computed(() => (ready.value === null ? null : retryableRun(ready.value)));

/** What is on the page, but for the answer that is being written. */
export const shownTurns = computed(() => {
  const shown = turns.value.slice(drawn.value);
  return sent.value === null ? shown : [...shown, sent.value];
});
export const isEmpty = computed(
  () => chatAt.value === "new" || (chatAt.value === "ready" && turns.value.length === 0 && !busy.value),
);
/** Whether there is more to be shown without anybody asking for it. */
export const isFilling = computed(() => drawn.value > wanted.value);
const hasBefore = computed(() => ready.value !== null && ready.value.before !== null);
export const hasEarlier = computed(() => wanted.value > 0 || hasBefore.value);
export const loadingEarlier = computed(() => ready.value?.loadingEarlier === true);

/** What is open: what was begun for it tells what came of it, and is not heard any more once the person has gone elsewhere. */
type Page = { hasLeft: () => boolean; tell: (event: ChatEvent) => void };

let leaving = new AbortController();

function page(): Page {
  const { signal: left } = leaving;
  const tell = (event: ChatEvent) => {
    if (!left.aborted) dispatch(event);
  };
  return { hasLeft: () => left.aborted, tell };
}

/** Ends the sending of a message that the person does not want to wait for. */
let giveUp = new AbortController();

/** Shows a conversation; null is the empty page of a new one. */
export async function open(id: string | null): Promise<void> {
  if (id !== null && conversationId.value === id) return;
  leave(id);
  if (id !== null) await load(id, page());
}

/** Nothing of what was open is shown or waited for any more. */
export function leave(to: string | null = null): void {
  const left = state.peek();
  if (left.at === "ready" && !isBusy(left)) keepCopy(left);
  leaving.abort();
  leaving = new AbortController();
  dispatch({ type: "opened", id: to });
}

/** Asks whether something happened elsewhere, and shows it. What is already here does not flicker. */
export async function refresh(): Promise<void> {
  const shown = conversation.peek();
  if (shown === null || busy.peek()) return;
  const here = page();
  try {
    const current = await api.get(shown.id);
    if (here.hasLeft() || busy.peek()) return;
    if (current.updated_at !== shown.updated_at || current.active_run_id !== null) await load(shown.id, here);
    else here.tell({ type: "confirmed", at: new Date() });
  } catch (error) {
    if (!here.hasLeft() && !endedBy(error) && isUnreachable(error)) here.tell({ type: "unreachable" });
  }
}

/** The network is gone: what is shown is what there was. */
export function goOffline(): void {
  dispatch({ type: "unreachable" });
}

/** Shows some more of what is to be shown; or all of it, for paper. */
export function fill(whole = false): void {
  if (isFilling.peek()) dispatch({ type: "filled", whole });
}

/** Shows what came before what is shown. */
export async function loadEarlier(): Promise<void> {
  const shown = ready.peek();
  if (shown === null || shown.loadingEarlier) return;
  if (shown.wanted > 0 || shown.before === null) return dispatch({ type: "unfolded" });
  const here = page();
  here.tell({ type: "earlier", asked: true });
  try {
    here.tell({ type: "earlier_loaded", piece: await loadPiece(shown.conversation.id, shown.before) });
  } catch (error) {
    here.tell({ type: "earlier", asked: false });
    await explain(error, here);
  }
}

/** All of it, for paper. */
export async function loadWhole(): Promise<void> {
  for (let known = -1; hasEarlier.peek() && known !== turns.peek().length - wanted.peek();) {
    known = turns.peek().length - wanted.peek();
    await loadEarlier();
  }
  fill(true);
}

/** Sends a message, making the conversation first if there is none. False: it was not, and `problem` says why. */
export async function say(text: string): Promise<boolean> {
  if (now.peek()?.at !== "idle") return false;
  const here = page();
  giveUp = new AbortController();
  const wish = giveUp.signal;
  const known = conversationId.peek();
  const shown = turns.peek();
  const key = draftKey(known ?? NEW_CHAT, text);
  here.tell({ type: "sending", key, text });
  try {
    const id = known ?? (await start(here, wish));
    const { message, run } = await api.say(id, text, key, wish);
    if (readDraft(id) === text) writeDraft(id, "");
    tellTabs({ kind: "changed", conversationId: id });
    if (here.hasLeft()) return true;
    if (shown.some((turn) => turn.kind === "user" && turn.id === message.id)) {
      // It had arrived the first time and only the answer to it was lost.
      here.tell({ type: "unsent" });
      await load(id, here);
      return true;
    }
    here.tell({ type: "sent", messageId: message.id, run });
    void renew(id, here);
    if (known !== null) void catchUp(id, run.id, here);
    return true;
  } catch (error) {
    // The person has gone elsewhere; the draft waits where it belongs.
    if (here.hasLeft()) return true;
    here.tell({ type: "unsent" });
    if (wish.aborted)
      here.tell({ type: "problem", text: "You stopped the sending. Your message is back where you wrote it." });
    else await explain(error, here);
    return false;
  }
}

export async function stop(): Promise<void> {
  if (isSending.peek()) return giveUp.abort();
  const runId = liveRunId.peek();
  if (runId === null || stopping.peek()) return;
  const here = page();
  here.tell({ type: "stopping", asked: true });
  try {
    await runs.cancel(runId);
  } catch (error) {
    here.tell({ type: "stopping", asked: false });
    await explain(error, here);
  }
}

export async function retry(): Promise<void> {
  const runId = retryable.peek();
  const id = conversationId.peek();
  if (runId === null || id === null) return;
  const here = page();
  closeProblem();
  try {
    const { run } = await runs.retry(runId);
    tellTabs({ kind: "changed", conversationId: id });
    here.tell({ type: "retried", run });
  } catch (error) {
    await explain(error, here);
  }
}

/** The person has read it. */
export function closeProblem(): void {
  dispatch({ type: "problem", text: null });
}

/** A conversation has another title; if it is this one, that is shown. */
export function showRenamed(renamed: Conversation): void {
  if (conversationId.peek() === renamed.id) dispatch({ type: "renewed", conversation: renamed });
}

async function start(here: Page, wish: AbortSignal): Promise<string> {
  const created = await api.create(wish);
  moveDraft(NEW_CHAT, created.id);
  upsert(created);
  if (here.hasLeft()) return created.id;
  here.tell({ type: "created", conversation: created, at: new Date() });
  navigate(conversationPath(created.id), { replace: true });
  return created.id;
}

async function load(id: string, here: Page): Promise<void> {
  try {
    const [current, piece] = await Promise.all([api.get(id), loadPiece(id)]);
    if (here.hasLeft() || busy.peek()) return;
    here.tell({ type: "loaded", conversation: current, piece, at: new Date() });
    upsert(current);
    const runId = current.active_run_id ?? piece.messages.at(-1)?.run_id;
    if (runId !== undefined) here.tell({ type: "model", model: (await runs.get(runId)).model });
  } catch (error) {
    if (here.hasLeft() || endedBy(error)) return;
    const unreachable = isUnreachable(error);
    const copy = unreachable ? findCopy(id) : undefined;
    if (unreachable) here.tell({ type: "unreachable" });
    if (copy !== undefined) here.tell({ type: "copied", copy });
    else
      here.tell({ type: "failed", reason: error instanceof ApiError && error.status === 404 ? null : describe(error) });
  }
}

/** What was said in another place before the message that was just sent. */
async function catchUp(id: string, runId: string, here: Page): Promise<void> {
  try {
    here.tell({ type: "caught_up", runId, piece: await loadPiece(id) });
  } catch {
    // It is missing for now; the next look around finds it.
  }
}

/** The run that is being answered is followed, whatever led there, and no longer than it is. */
effect(() => {
  const runId = liveRunId.value;
  if (runId === null) return;
  const following = new AbortController();
  untracked(() => void follow(runId, following.signal));
  return () => following.abort();
});

/** Tells of a run from its first event to its end. */
async function follow(runId: string, over: AbortSignal): Promise<void> {
  const here = page();
  const id = conversationId.peek() ?? "";
  const frames = eachFrame<ChatEvent>(here.tell);
  const end = (event: ChatEvent) => (frames.push(event), frames.flush());
  try {
    await followRun(
      runId,
      {
        onEvent: (event, eventId) => frames.push({ type: "heard", runId, event, id: eventId }),
        onConnection: (is) => here.tell({ type: "connection", runId, connected: is }),
      },
      over,
    );
    frames.flush();
    // It has ended and its events did not say how: what it left behind does.
    if (liveRunId.peek() === runId && !here.hasLeft()) {
      const [{ error }, piece] = await Promise.all([runs.get(runId), loadPiece(id)]);
      end({ type: "concluded", runId, piece, error });
    }
  } catch (error) {
    if (here.hasLeft() || endedBy(error)) return;
    end({ type: "broke", runId, reason: describe(error) });
  }
  if (!here.hasLeft()) await renew(id, here);
}

/** The title and the place in the list after something was said. */
async function renew(id: string, here: Page): Promise<void> {
  try {
    const current = await api.get(id);
    upsert(current);
    here.tell({ type: "renewed", conversation: current });
    here.tell({ type: "confirmed", at: new Date() });
  } catch {
    // Only the title is older than it could be; what matters has its own errors.
  }
}

function isUnreachable(error: unknown): boolean {
  return error instanceof ApiError && error.status === 0;
}

async function explain(error: unknown, here: Page): Promise<void> {
  if (here.hasLeft() || endedBy(error)) return;
  here.tell({ type: "problem", text: describe(error) });
  // Another tab was faster, or the answer to our own request was lost: show what is going on.
  if (error instanceof ApiError && error.code === "run_active") await refresh();
}
