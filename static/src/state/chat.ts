/** The conversation on the screen: loading it, sending, following the answer, stopping and trying again. */
import { computed, signal } from "@preact/signals";
import { ApiError, conversations as api, describe, runs } from "../api.ts";
import { followRun } from "../follow.ts";
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
import type { Conversation, Message, Run } from "../types.ts";
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
/** What is finished; the answer that is being written, or was written last, is `live`. */
export const turns = signal<Turn[]>([]);
export const live = signal<AnswerTurn | null>(null);
/** False while the connection to a running answer is lost and being made again. */
export const connected = signal(true);
export const sending = signal(false);
export const stopping = signal(false);
/** Why the last thing the person asked for did not happen. */
export const problem = signal<string | null>(null);
/** The name of the model that answers; null until an answer was asked for. */
export const model = signal<string | null>(localStorage.getItem("ea.model"));

/** These change seldom, unlike `live`, which changes with every frame of an answer: what depends on it is drawn as often. */
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

/** 200 messages each: a longer conversation shows its first 4,000 messages. */
const MAX_MESSAGE_PAGES = 20;

/** Ends what the conversation shown before was waiting for. */
let leaving = new AbortController();
/** Ends the reading of the run that is shown: two readers of one run would mix their events. */
let following = new AbortController();

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
  leaving.abort();
  leaving = new AbortController();
  chat.value = beginning();
  conversation.value = null;
  turns.value = [];
  live.value = null;
  connected.value = true;
  sending.value = false;
  stopping.value = false;
  problem.value = null;
}

/** Asks whether something happened elsewhere, and shows it. What is already here does not flicker. */
export async function refresh(): Promise<void> {
  const shown = conversation.value;
  if (shown === null || busy.value) return;
  const { signal } = leaving;
  const current = await api.get(shown.id).catch(() => null);
  if (current === null || signal.aborted || busy.value) return;
  if (current.updated_at !== shown.updated_at || current.active_run_id !== null) await load(shown.id);
}

/** Sends a message, making the conversation first if there is none. False: it was not, and `problem` says why. */
export async function say(text: string): Promise<boolean> {
  if (busy.value) return false;
  const { signal } = leaving;
  const shown = turns.value;
  const previous = live.value;
  const draft = conversation.value?.id ?? NEW_CHAT;
  const key = draftKey(draft, text);
  sending.value = true;
  problem.value = null;
  turns.value = [...shown, ...(previous ? [previous] : []), { kind: "user", id: key, text, sending: true }];
  live.value = null;
  try {
    const { id } = conversation.value ?? (await start(signal));
    const { message, run } = await api.say(id, text, key);
    if (readDraft(id) === text) writeDraft(id, "");
    tellTabs({ kind: "changed", conversationId: id });
    if (signal.aborted) return true;
    if (shown.some((turn) => turn.kind === "user" && turn.id === message.id)) {
      // It had arrived the first time and only the answer to it was lost.
      sending.value = false;
      await load(id);
      return true;
    }
    turns.value = turns.value.map((turn) =>
      turn.kind === "user" && turn.id === key ? { ...turn, id: message.id, sending: false } : turn,
    );
    sending.value = false;
    void renew(id, signal);
    void attach(run.id);
    remember(run);
    return true;
  } catch (error) {
    // The person has gone elsewhere; the draft waits where it belongs.
    if (signal.aborted) return true;
    sending.value = false;
    turns.value = shown;
    live.value = previous;
    await explain(error);
    return false;
  }
}

export async function stop(): Promise<void> {
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
    const before = live.value === null ? [...turns.value] : [...turns.value, live.value];
    dropBroken(before);
    turns.value = before;
    void attach(run.id);
    remember(run);
  } catch (error) {
    if (!signal.aborted) await explain(error);
  }
}

async function start(signal: AbortSignal): Promise<Conversation> {
  const created = await api.create();
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
    const current = await api.get(id);
    const messages = await allMessages(id);
    // What the person has begun meanwhile is newer than this.
    if (signal.aborted || busy.value) return;
    const last = messages.at(-1);
    // No answer, or one that failed: the events of its run tell what became of it.
    const unanswered = last !== undefined && (last.role !== "assistant" || last.finish_reason === "tool_calls");
    const failed = unanswered || last?.finish_reason === "error";
    const runId = current.active_run_id ?? (failed ? last.run_id : null);
    conversation.value = current;
    turns.value = turnsOf(messages, runId);
    live.value = null;
    chat.value = { at: "ready" };
    upsert(current);
    if (runId !== null) void attach(runId);
    const anyRunId = runId ?? last?.run_id;
    if (anyRunId !== undefined) remember(await runs.get(anyRunId));
  } catch (error) {
    if (signal.aborted || endedBy(error) || chat.value.at === "ready") return;
    const missing = error instanceof ApiError && error.status === 404;
    chat.value = missing ? { at: "missing" } : { at: "failed", reason: describe(error) };
  }
}

async function allMessages(id: string): Promise<Message[]> {
  const messages: Message[] = [];
  let cursor: string | null = null;
  for (let page = 0; page < MAX_MESSAGE_PAGES; page++) {
    const { items, next_cursor } = await api.messages(id, cursor);
    messages.push(...items);
    cursor = next_cursor;
    if (cursor === null) break;
  }
  return messages;
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
  const [run, messages] = await Promise.all([runs.get(runId), allMessages(id)]);
  if (signal.aborted) return;
  turns.value = turnsOf(messages, run.error === null ? null : runId);
  live.value = run.error === null ? null : { ...newAnswer(runId), phase: "error", error: run.error };
}

/** The title and the place in the list after something was said. */
async function renew(id: string, signal: AbortSignal): Promise<void> {
  try {
    const current = await api.get(id);
    upsert(current);
    if (!signal.aborted) conversation.value = current;
  } catch {
    // Only the title is older than it could be; what matters has its own errors.
  }
}

function remember(run: Run): void {
  model.value = run.model;
  if (run.model !== null) localStorage.setItem("ea.model", run.model);
}

async function explain(error: unknown): Promise<void> {
  if (endedBy(error)) return;
  problem.value = describe(error);
  // Another tab was faster: show what it did.
  if (error instanceof ApiError && error.code === "run_active") await refresh();
}
