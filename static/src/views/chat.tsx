/** The shown conversation: its title, its turns, and the composer. */
import { useSignalEffect } from "@preact/signals";
import type { RefObject } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { keyOf } from "../history.ts";
import { isOffline } from "../network.ts";
import { undecided } from "../state/approvals.ts";
import {
  answeringModel,
  chatAt,
  closeProblem,
  connected,
  conversation,
  conversationId,
  copyFrom,
  failure,
  fill,
  hasEarlier,
  isEmpty,
  isFilling,
  isSending,
  isTemporary,
  last,
  lastRunId,
  live,
  liveRunId,
  loadEarlier,
  loadingEarlier,
  open,
  problem,
  retryable,
  say,
  sent,
  shownTurns,
  wantsTemporary,
} from "../state/chat.ts";
import { NEW_CHAT } from "../state/drafts.ts";
import { goal } from "../state/goal.ts";
import { follow, route } from "../state/route.ts";
import type { AnswerTurn, Phase, ToolPart } from "../turns.ts";
import { announce } from "./announce.tsx";
import { goToApproval } from "./approval.tsx";
import { Composer, WAITING_ID } from "./composer.tsx";
import { ConversationSettingsButton } from "./conversation-settings.tsx";
import { Header } from "./header.tsx";
import { Icon } from "./icons.tsx";
import { useEnd } from "./scroll.ts";
import { Answer, UserMessage } from "./turn.tsx";

export function ChatView() {
  const at = chatAt.value;
  const address = route.value;
  const empty = isEmpty.value;
  const scroller = useRef<HTMLDivElement>(null);
  const isShown = at !== "failed";
  const { atEnd, jump } = useEnd(scroller, isShown);
  useSpokenStatus();

  // A person who sends a message wants to see it, wherever they have scrolled to.
  const message = sent.value;
  useEffect(() => {
    if (message !== null) jump();
  }, [message, jump]);
  const id = conversationId.value;
  useEffect(() => jump("instant"), [id, at, jump]);
  useGoal(scroller);

  if (!isShown) return <NotShown />;
  return (
    <>
      <ChatHeader />
      <div
        ref={scroller}
        data-scroller
        class={`relative min-h-0 overflow-y-auto ${empty ? "flex-[0_1_34%] content-end" : "flex-1"}`}
        tabIndex={-1}
      >
        <div class="mx-auto w-full max-w-[46rem] px-4 pt-6 pb-8 short:pt-2 short:pb-3 sm:px-6">
          {at === "loading" ? <Loading /> : empty ? <Greeting /> : <Turns />}
        </div>
      </div>
      <div
        class={`relative mx-auto w-full max-w-[46rem] px-3 pb-3 short:max-h-[60%] short:overflow-y-auto short:pb-1 sm:px-6 sm:pb-5 ${empty ? "" : "fade-above"}`}
      >
        {!atEnd.value && !empty && (
          <button
            type="button"
            class="absolute -top-12 left-1/2 grid size-9 -translate-x-1/2 place-items-center rounded-full border border-line bg-raised shadow-md hover:bg-hover pointer-coarse:size-11 short:hidden"
            aria-label="Jump to the end"
            title="Jump to the end"
            onClick={() => jump()}
          >
            <Icon name="down" />
          </button>
        )}
        {!connected.value && (
          <p class="notice mb-2 justify-center">
            <span class="spinner" aria-hidden="true" />
            Connection lost. Reconnecting…
          </p>
        )}
        <OldCopy />
        {isTemporary.value && (
          <p class="notice mb-2 justify-center short:hidden">
            <Icon name="hourglass" />
            Temporary chat: it is in no list, and deleted when you leave it.
          </p>
        )}
        <WaitingForPerson />
        {problem.value !== null && (
          <p
            class="mb-2 flex items-start gap-2.5 rounded-xl border border-transparent bg-danger-tint px-3.5 py-2 text-sm text-danger"
            role="alert"
          >
            <span class="min-w-0 flex-1 py-1.5">{problem}</span>
            <button
              type="button"
              class="ghost-button text-danger"
              aria-label="Close this message"
              onClick={closeProblem}
            >
              <Icon name="close" size={16} />
            </button>
          </p>
        )}
        <Composer draftId={address.page === "conversation" ? address.id : NEW_CHAT} disabled={at === "loading"} />
      </div>
      {empty && <Examples />}
    </>
  );
}

/** Goes to the turn that somebody found, and loads earlier ones until it is there. */
function useGoal(scroller: RefObject<HTMLElement | null>): void {
  const wanted = goal.value;
  const isHere = wanted !== null && wanted.conversationId === conversationId.value;
  const [filling, loading, earlier] = [isFilling.value, loadingEarlier.value, hasEarlier.value];
  const count = shownTurns.value.length;
  useEffect(() => {
    if (!isHere || filling || loading) return;
    const turn = scroller.current?.querySelector<HTMLElement>(`[data-turn="${CSS.escape(wanted.turn)}"]`);
    if (!turn) {
      if (earlier) void loadEarlier();
      else goal.value = null;
      return;
    }
    goal.value = null;
    turn.scrollIntoView({ block: "center", behavior: "instant" });
    turn.tabIndex = -1;
    turn.focus({ preventScroll: true });
    turn.classList.add("found");
    // The animation is over, and a second result in the same turn is shown again.
    turn.addEventListener("animationend", () => turn.classList.remove("found"), { once: true });
  }, [wanted, isHere, filling, loading, earlier, count, scroller]);
}

function ChatHeader() {
  return (
    <Header title={conversation.value?.title || (isTemporary.value ? "Temporary chat" : conversation.value ? "New chat" : "")}>
      {isScripted() && (
        <span class="shrink-0 rounded-full bg-notice-tint px-2.5 py-1 text-xs font-medium text-notice" title={SCRIPTED}>
          Scripted model
        </span>
      )}
      <ConversationSettingsButton />
      {chatAt.value === "new" && (
        <button
          type="button"
          class={`ghost-button ${wantsTemporary.value ? "bg-brand-tint text-brand" : ""}`}
          aria-pressed={wantsTemporary.value}
          disabled={isSending.value}
          aria-label="Temporary chat"
          title="A chat that is in no list, and deleted when you leave it"
          onClick={() => (wantsTemporary.value = !wantsTemporary.peek())}
        >
          <Icon name="hourglass" />
          <span class="hidden sm:inline">Temporary chat</span>
        </button>
      )}
      <a href="/" class="ghost-button md:hidden" aria-label="New chat" onClick={(event) => follow(event, "/")}>
        <Icon name="plus" size={20} />
      </a>
    </Header>
  );
}

/** A notice that the shown copy may be outdated. */
function OldCopy() {
  const from = copyFrom.value;
  if (from === null) return null;
  const time = from.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  return (
    <p class="notice mb-2 justify-center" role="status">
      {isOffline() ? "You are offline." : "The server cannot be reached."} This is the copy from {time}.
    </p>
  );
}

/** Beside the composer, so that it is visible at every scroll position. */
function WaitingForPerson() {
  const calls = undecided.value;
  if (calls.length === 0) return null;
  return (
    <p id={WAITING_ID} class="notice mb-2 py-1 pr-1">
      <Icon name="hand" />
      <span class="min-w-0 flex-1 py-1 short:truncate short:py-0">
        {calls.length === 1
          ? "The assistant waits for your decision about a tool."
          : `The assistant waits for your decision about ${calls.length} tool calls.`}
      </span>
      <button type="button" class="ghost-button shrink-0 px-2.5 font-medium text-notice" onClick={goToApproval}>
        Review
      </button>
    </p>
  );
}

const SCRIPTED =
  "Answers come from a built-in script, not from a language model. Set OPENAI_API_KEY and start again to talk to a real one.";

function isScripted(): boolean {
  return answeringModel.value?.startsWith("scripted") ?? false;
}

function Greeting() {
  return (
    <div class="text-center">
      <p class="text-[1.75rem] leading-tight font-semibold tracking-tight text-balance sm:text-[2rem]">
        What shall we work on?
      </p>
      {isScripted() && <p class="mx-auto mt-3 max-w-[32rem] text-sm text-balance text-soft">{SCRIPTED}</p>}
    </div>
  );
}

const EXAMPLES = [
  {
    title: "Explain something",
    prompt: "Explain how WebAssembly components differ from containers, for someone who knows Docker.",
  },
  {
    title: "Write some code",
    prompt: "Write a Rust function that reads a CSV file and sums one of its columns. Explain how errors are handled.",
  },
  {
    title: "Plan something",
    prompt: "Make a plan for three days of hiking in the Alps for two beginners, as a table.",
  },
];

function Examples() {
  return (
    <div class="min-h-0 flex-1 overflow-y-auto">
      <ul class="mx-auto grid w-full max-w-[46rem] gap-2.5 px-3 pb-6 sm:grid-cols-3 sm:px-6" aria-label="Examples">
        {EXAMPLES.map(({ title, prompt }) => (
          <li key={title}>
            <button
              type="button"
              class="flex h-full w-full flex-col rounded-2xl border border-line px-4 py-3 text-left text-sm transition-colors hover:bg-hover"
              onClick={() => void say(prompt)}
            >
              <span class="block font-medium">{title}</span>
              <span class="mt-1 block leading-snug text-soft">{prompt}</span>
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}

function Turns() {
  const list = useRef<HTMLDivElement>(null);
  const runId = liveRunId.value;
  const [first] = shownTurns.value;
  const firstKey = first && keyOf(first);
  const before = useRef(firstKey);
  const box = list.current?.closest("[data-scroller]");
  // The distance before this drawing: changes above must not move the text that is being read.
  const fromEnd = box ? box.scrollHeight - box.scrollTop : 0;
  useLayoutEffect(() => {
    if (box && firstKey !== before.current) box.scrollTop = box.scrollHeight - fromEnd;
    before.current = firstKey;
  });
  const filling = isFilling.value;
  const count = shownTurns.value.length;
  useEffect(() => (filling ? whenIdle(() => fill()) : undefined), [filling, count]);
  const drawn = shownTurns.value.map((turn) =>
    turn.kind === "user" ? (
      <UserMessage key={turn.id} turn={turn} />
    ) : (
      <AnswerPlace key={turn.runId} runId={turn.runId} finished={turn} />
    ),
  );
  // In the same list as the other turns, so that it keeps its place when it becomes one of them.
  if (runId !== null) drawn.push(<AnswerPlace key={runId} runId={runId} finished={null} />);
  return (
    <div ref={list} class="grid grid-cols-1 gap-8">
      <Earlier />
      {drawn}
    </div>
  );
}

/** Calls `work` when the person is not interacting. Some browsers do not know when that is. */
function whenIdle(work: () => void): () => void {
  if (typeof requestIdleCallback === "undefined") {
    const timer = setTimeout(work, 30);
    return () => clearTimeout(timer);
  }
  const request = requestIdleCallback(work, { timeout: 300 });
  return () => cancelIdleCallback(request);
}

/**
 * A separate component, so that a token redraws only this answer. It stays the same component when the answer is
 * finished, so that opened parts of it stay open.
 */
function AnswerPlace({ runId, finished }: { runId: string; finished: AnswerTurn | null }) {
  const answer = finished ?? live.value;
  if (answer === null) return null;
  return <Answer answer={answer} canRetry={runId === retryable.value} isLast={runId === lastRunId.value} />;
}

function Earlier() {
  if (!hasEarlier.value) return null;
  return (
    <div class="justify-self-center">
      <button
        type="button"
        class="plain-button"
        aria-disabled={loadingEarlier.value}
        onClick={() => void loadEarlier()}
      >
        {loadingEarlier.value ? "Loading…" : "Show earlier messages"}
      </button>
      <p class="print-only">Earlier messages are not on this page. Show them, and print again.</p>
    </div>
  );
}

function Loading() {
  return (
    <div class="shimmer grid gap-4" role="status" aria-label="Loading the conversation">
      {["ml-auto w-1/2 h-11", "w-full h-5", "w-11/12 h-5", "w-3/5 h-5"].map((shape) => (
        <div key={shape} class={`rounded-xl bg-hover ${shape}`} />
      ))}
    </div>
  );
}

function NotShown() {
  const address = route.value;
  const missing = failure.value === null;
  return (
    <>
      <ChatHeader />
      <div class="grid flex-1 place-items-center p-6">
        <div class="grid max-w-sm justify-items-center gap-4 text-center">
          <p class="text-xl font-semibold">
            {missing
              ? "There is no such conversation"
              : isOffline()
                ? "You are offline"
                : "The conversation could not be loaded"}
          </p>
          <p class="text-soft">{failure.value ?? "It may have been deleted, belong to another account, or be a temporary chat that is over."}</p>
          {missing ? (
            <a href="/" class="main-button" onClick={(event) => follow(event, "/")}>
              New chat
            </a>
          ) : (
            <button
              type="button"
              class="main-button"
              onClick={() => address.page === "conversation" && void open(address.id)}
            >
              Try again
            </button>
          )}
        </div>
      </div>
    </>
  );
}

const SPOKEN: Partial<Record<Phase, string>> = {
  retrying: "The model is busy, trying again.",
  writing: "The answer is being written.",
  tools: "A tool is being used.",
  task: "Another server works on this. You can leave and come back.",
  ended: "The answer has ended.",
  error: "The answer failed.",
};

/** Announces the state of the answer to screen readers. The text itself is read at the person's pace. */
function useSpokenStatus(): void {
  const before = useRef<Phase | null>(null);
  const heard = useRef<string | null>(null);
  const asked = useRef(0);
  useSignalEffect(() => {
    const answer = last.value;
    // An answer that had ended before it was opened is not announced.
    if (liveRunId.value !== null || answer?.runId !== heard.current) heard.current = liveRunId.value;
    const phase = answer !== null && answer.runId === heard.current ? answer.phase : null;
    if (!connected.value) announce("Connection lost. Reconnecting.");
    else if (phase !== before.current && phase !== null && SPOKEN[phase]) announce(SPOKEN[phase]);
    before.current = phase;
    const calls = undecided.value;
    if (calls.length > asked.current) announce(question(calls));
    asked.current = calls.length;
  });
}

function question(calls: ToolPart[]): string {
  const names = calls.map(({ name, approval }) => `${approval?.title || name} on ${approval?.server}`).join("; ");
  return `The assistant asks whether it may use ${calls.length === 1 ? "a tool" : `${calls.length} tools`}: ${names}.`;
}
