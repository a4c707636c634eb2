/**
 * The actions on the shown conversation: loading, sending, following the answer, stopping and retrying. `../chat.ts`
 * decides what is shown; this module does everything that takes time.
 */
import { computed, effect, signal, untracked } from "@preact/signals";
import { ApiError, conversations as api, describe, runs } from "../api.ts";
import { type ChatEvent, type ChatState, isBusy, lastAnswer, NEW, reduce, retryableRun } from "../chat.ts";
import { followRun } from "../follow.ts";
import { loadPiece } from "../history.ts";
import type { Turn } from "../turns.ts";
import type { AttachedFile, Conversation, ModelSettings } from "../types.ts";
import { findCopy, keepCopy } from "./copies.ts";
import { draftKey, moveDraft, NEW_CHAT, readDraft, writeDraft } from "./drafts.ts";
import { eachFrame } from "./frames.ts";
import { nextAssistant } from "./assistants.ts";
import { moveAttached, sentAttached } from "./attachments.ts";
import { upsert } from "./list.ts";
import { defaultModel, nextModel } from "./models.ts";
import { endPause, pauseAfter } from "./pause.ts";
import { conversationPath, navigate } from "./route.ts";
import { endedBy } from "./session.ts";
import { tellTabs } from "./tabs.ts";

const state = signal<ChatState>(NEW);

function dispatch(event: ChatEvent): void {
  state.value = reduce(state.peek(), event);
}

/**
 * Parts of the state that change seldom. The whole state changes with every frame of an answer, and views are drawn as
 * often as the state that they use.
 */
const ready = computed(() => (state.value.at === "ready" ? state.value : null));
const now = computed(() => ("now" in state.value ? state.value.now : null));
const answering = computed(() => (now.value?.at === "answering" ? now.value : null));
const turns = computed<readonly Turn[]>(() => ready.value?.turns ?? NONE);
const NONE: readonly Turn[] = [];
const wanted = computed(() => ready.value?.wanted ?? 0);
const drawn = computed(() => ready.value?.drawn ?? 0);

export const chatAt = computed(() => state.value.at);
/** Why the conversation could not be loaded; null if it does not exist. */
export const failure = computed(() => (state.value.at === "failed" ? state.value.reason : null));
export const conversation = computed(() => ready.value?.conversation ?? null);
export const conversationId = computed(() => conversation.value?.id ?? null);
/** On the page of a new chat: whether it will be a temporary one. */
export const wantsTemporary = signal(false);
export const isTemporary = computed(() =>
  chatAt.value === "new" ? wantsTemporary.value : conversation.value?.temporary === true,
);
/** Why the person's last action failed. */
export const problem = computed(() => ("problem" in state.value ? state.value.problem : null));
/** When the shown state was loaded, if it may be outdated; otherwise null. */
export const copyFrom = computed(() => (ready.value?.stale === true ? ready.value.loadedAt : null));
/** The model that answers next; null until it is known. */
export const answeringModel = computed(() =>
  conversation.value === null
    ? (nextModel.value ?? nextAssistant.value?.model ?? defaultModel.value)
    : (conversation.value.model ?? ready.value?.model ?? defaultModel.value),
);

export const isSending = computed(() => now.value?.at === "sending");
/** The message that is being sent. */
export const sent = computed(() => (ready.value?.now.at === "sending" ? ready.value.now.turn : null));
export const busy = computed(() => isBusy(state.value));
export const stopping = computed(() => answering.value?.stopping === true);
/** False while the connection to a running answer is lost and being restored. */
export const connected = computed(() => answering.value?.connected !== false);
/** The answer that is being written. */
export const live = computed(() => answering.value?.answer ?? null);
export const liveRunId = computed(() => live.value?.runId ?? null);
/** The last answer, running or not. */
export const last = computed(() => (ready.value === null ? null : lastAnswer(ready.value)));
export const lastRunId = computed(() => last.value?.runId ?? null);
export const retryable = computed(() => (ready.value === null ? null : retryableRun(ready.value)));

/** The turns on the page, except the answer that is being written. */
export const shownTurns = computed(() => {
  const shown = turns.value.slice(drawn.value);
  return sent.value === null ? shown : [...shown, sent.value];
});
export const isEmpty = computed(
  () => chatAt.value === "new" || (chatAt.value === "ready" && turns.value.length === 0 && !busy.value),
);
/** Whether more turns will be drawn without a request of the person. */
export const isFilling = computed(() => drawn.value > wanted.value);
const hasBefore = computed(() => ready.value !== null && ready.value.before !== null);
export const hasEarlier = computed(() => wanted.value > 0 || hasBefore.value);
export const loadingEarlier = computed(() => ready.value?.loadingEarlier === true);

/**
 * The open page. Actions that were started for it report their results to it, which are ignored once the person has left.
 */
type Page = { hasLeft: () => boolean; tell: (event: ChatEvent) => void };

let leaving = new AbortController();

function page(): Page {
  const { signal: left } = leaving;
  const tell = (event: ChatEvent) => {
    if (!left.aborted) dispatch(event);
  };
  return { hasLeft: () => left.aborted, tell };
}

/** Cancels the sending of a message. */
let giveUp = new AbortController();

/** Shows a conversation; null is the empty page of a new one. */
export async function open(id: string | null): Promise<void> {
  if (id !== null && conversationId.value === id) return;
  leave(id);
  if (id !== null) await load(id, page());
}

/** Leaves the open conversation: it is no longer shown, and its pending results are ignored. */
export function leave(to: string | null = null): void {
  const left = state.peek();
  if (left.at === "ready" && left.conversation.temporary !== true && !isBusy(left)) keepCopy(left);
  void endTemporary();
  wantsTemporary.value = false;
  leaving.abort();
  leaving = new AbortController();
  dispatch({ type: "opened", id: to });
}

/** A temporary chat ends when it is left. If that fails, the server ends it a while later. */
export async function endTemporary(): Promise<void> {
  const left = conversation.peek();
  if (left?.temporary !== true) return;
  writeDraft(left.id, "");
  await api.remove(left.id).catch(() => undefined);
}

/** The same while the page goes away: with its tab, by a reload, or to another page. */
export function abandonTemporary(): void {
  const left = conversation.peek();
  if (left?.temporary !== true) return;
  writeDraft(left.id, "");
  api.abandon(left.id);
}

/** The page is back as it was, but a temporary chat was left with it. */
export function comeBack(): void {
  if (conversation.peek()?.temporary === true) navigate("/", { replace: true });
}

/** Asks the server for changes made elsewhere, and shows them. Unchanged parts do not flicker. */
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

/** The network is gone, so the shown state may be outdated. */
export function goOffline(): void {
  dispatch({ type: "unreachable" });
}

/** Draws some more of the page; or all of it, for printing. */
export function fill(whole = false): void {
  if (isFilling.peek()) dispatch({ type: "filled", whole });
}

/** Shows earlier turns. */
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

/** Loads everything, for printing. */
export async function loadWhole(): Promise<void> {
  for (let known = -1; hasEarlier.peek() && known !== turns.peek().length - wanted.peek();) {
    known = turns.peek().length - wanted.peek();
    await loadEarlier();
  }
  fill(true);
}

/**
 * Sends a message, after creating the conversation if there is none. Returns false if that failed; `problem` says why.
 */
export async function say(text: string, files: readonly AttachedFile[] = []): Promise<boolean> {
  if (now.peek()?.at !== "idle") return false;
  const here = page();
  giveUp = new AbortController();
  const wish = giveUp.signal;
  const known = conversationId.peek();
  const shown = turns.peek();
  const ids = files.map((file) => file.id);
  const key = draftKey(known ?? NEW_CHAT, text, ids);
  here.tell({ type: "sending", key, text, files });
  try {
    const id = known ?? (await start(here, wish));
    const { message, run } = await api.say(id, text, ids, key, wish);
    if (ids.length > 0) sentAttached(id);
    if (readDraft(id) === text) writeDraft(id, "");
    endPause();
    tellTabs({ kind: "changed", conversationId: id });
    if (here.hasLeft()) return true;
    if (shown.some((turn) => turn.kind === "user" && turn.id === message.id)) {
      // The message had arrived before, and only the response was lost.
      here.tell({ type: "unsent" });
      await load(id, here);
      return true;
    }
    here.tell({ type: "sent", messageId: message.id, run });
    void renew(id, here);
    if (known !== null) void catchUp(id, run.id, here);
    return true;
  } catch (error) {
    // The person has left. The draft stays in its conversation.
    if (here.hasLeft()) return true;
    here.tell({ type: "unsent" });
    if (wish.aborted)
      here.tell({ type: "problem", text: "Sending was stopped. Your message is back in the text field." });
    else await explain(error, here);
    return false;
  }
}

/** A double click is one request: for so long after the first, another is none. */
const DOUBLE_CLICK_MS = 1_000;
/** The run that the server was asked to stop, and when. */
let asked: { runId: string; at: number } | null = null;

/** Has the answer stopped. Whoever asks again later does not wait for the host that writes it: the server ends the run at once. */
export async function stop(): Promise<void> {
  if (isSending.peek()) return giveUp.abort();
  const runId = liveRunId.peek();
  const id = conversationId.peek();
  if (runId === null || id === null) return;
  const at = performance.now();
  if (asked?.runId === runId && at - asked.at < DOUBLE_CLICK_MS) return;
  asked = { runId, at };
  const here = page();
  const again = stopping.peek();
  here.tell({ type: "stopping", asked: true });
  try {
    const run = await runs.cancel(runId, again);
    // The stream may hang with its host, so the page does not wait for it either.
    if (again && run.state === "cancelled" && liveRunId.peek() === runId)
      here.tell({ type: "concluded", runId, piece: await loadPiece(id), error: run.error });
  } catch (error) {
    asked = null;
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
    endPause();
    tellTabs({ kind: "changed", conversationId: id });
    here.tell({ type: "retried", run });
  } catch (error) {
    await explain(error, here);
  }
}

/** Has a model answer from now on. Returns false if that failed; `problem` says why. */
export async function chooseModel(model: string): Promise<boolean> {
  const id = conversationId.peek();
  if (id === null) {
    nextModel.value = model;
    return true;
  }
  const here = page();
  closeProblem();
  try {
    const changed = await api.chooseModel(id, model);
    upsert(changed);
    tellTabs({ kind: "changed", conversationId: id });
    here.tell({ type: "renewed", conversation: changed });
    return true;
  } catch (error) {
    await explain(error, here);
    return false;
  }
}

/** Changes the settings of the shown conversation. With an assistant, it names that one from then on. Throws what the server says. */
export async function configure(settings: ModelSettings, assistantId: string | null): Promise<void> {
  const id = conversationId.peek();
  if (id === null) return;
  const here = page();
  const changed: Conversation = await api.configure(id, { ...(assistantId === null ? {} : { assistant_id: assistantId }), settings });
  // A host of an earlier release knows no settings, and has changed nothing.
  if (changed.settings === undefined) throw new Error("The settings cannot be changed at the moment. Try again in some minutes.");
  upsert(changed);
  tellTabs({ kind: "changed", conversationId: id });
  here.tell({ type: "renewed", conversation: changed });
}

/** Closes the message about a failed action. */
export function closeProblem(): void {
  dispatch({ type: "problem", text: null });
}

/** A conversation has a new title. It is shown if it is this conversation. */
export function showRenamed(renamed: Conversation): void {
  if (conversationId.peek() === renamed.id) dispatch({ type: "renewed", conversation: renamed });
}

async function start(here: Page, wish: AbortSignal): Promise<string> {
  const temporary = wantsTemporary.peek();
  const model = nextModel.peek();
  const assistant = nextAssistant.peek();
  const chosen = {
    ...(model === null ? {} : { model }),
    ...(assistant === null ? {} : { assistant_id: assistant.id }),
  };
  const created: Conversation = await api.create(chosen, wish, temporary);
  // A host of an earlier release knows no temporary chats, and would keep what is said.
  if (temporary && created.temporary !== true) {
    api.abandon(created.id);
    throw new Error("A temporary chat cannot be had at the moment. Try again in some minutes.");
  }
  // Nor assistants.
  if (assistant !== null && created.settings === undefined) {
    api.abandon(created.id);
    throw new Error("A chat with an assistant cannot be begun at the moment. Try again in some minutes.");
  }
  nextAssistant.value = null;
  moveDraft(NEW_CHAT, created.id);
  moveAttached(NEW_CHAT, created.id);
  upsert(created);
  if (here.hasLeft()) {
    if (created.temporary === true) api.abandon(created.id);
    return created.id;
  }
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

/** Loads what was said elsewhere before the message that was just sent. */
async function catchUp(id: string, runId: string, here: Page): Promise<void> {
  try {
    here.tell({ type: "caught_up", runId, piece: await loadPiece(id) });
  } catch {
    // It is missing for now. The next refresh will find it.
  }
}

/** Follows the running answer, whatever started it, for as long as it is shown. */
effect(() => {
  const runId = liveRunId.value;
  if (runId === null) return;
  const following = new AbortController();
  untracked(() => void follow(runId, following.signal));
  return () => following.abort();
});

/** Follows a run from its first event to its end. */
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
    // The run has ended, but its events did not say how. The stored messages do.
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

/** Updates the title and the place in the list after a message. */
async function renew(id: string, here: Page): Promise<void> {
  try {
    const current = await api.get(id);
    upsert(current);
    here.tell({ type: "renewed", conversation: current });
    here.tell({ type: "confirmed", at: new Date() });
  } catch {
    // Only the title may be outdated. Important requests report their own errors.
  }
}

const OVER = "This temporary chat has ended. Begin a new one.";

function isUnreachable(error: unknown): boolean {
  return error instanceof ApiError && error.status === 0;
}

async function explain(error: unknown, here: Page): Promise<void> {
  if (here.hasLeft() || endedBy(error)) return;
  // The text field says it, and counts down.
  if (pauseAfter(error)) return;
  const isOver = error instanceof ApiError && error.status === 404 && isTemporary.peek();
  here.tell({ type: "problem", text: isOver ? OVER : describe(error) });
  // Another tab was faster, or the response to our own request was lost: show the current state.
  if (error instanceof ApiError && error.code === "run_active") await refresh();
}
