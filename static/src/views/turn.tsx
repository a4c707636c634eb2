/** One turn of a conversation: a message of the person, or an answer with its reasoning, tools and end. */
import { useEffect, useState } from "preact/hooks";
import { busy, retry, say } from "../state/chat.ts";
import { type AnswerTurn, answerText, isRunning, type Part, type UserTurn } from "../turns.ts";
import { MessageFiles } from "./attachments.tsx";
import { focusComposer } from "./composer.tsx";
import { CopyButton } from "./copy.tsx";
import { Icon } from "./icons.tsx";
import { Markdown } from "./markdown.tsx";
import { RunDetails } from "./run-details.tsx";
import { ToolCall } from "./tool.tsx";

export function UserMessage({ turn }: { turn: UserTurn }) {
  return (
    <article class="turn ml-auto max-w-[85%]" data-turn={turn.id}>
      <h2 class="sr-only">You</h2>
      <MessageFiles files={turn.files} />
      {turn.text !== "" && (
        <p
          dir="auto"
          class={`plaintext rounded-3xl rounded-br-lg bg-brand-tint px-4.5 py-2.5 leading-7 break-words whitespace-pre-wrap ${turn.sending ? "opacity-60" : ""}`}
        >
          {turn.text}
        </p>
      )}
    </article>
  );
}

type AnswerProps = { answer: AnswerTurn; canRetry: boolean; isLast: boolean };

export function Answer({ answer, canRetry, isLast }: AnswerProps) {
  const running = isRunning(answer);
  const text = answerText(answer);
  return (
    <article class="turn group min-w-0" data-turn={answer.runId} aria-busy={running}>
      <h2 class="sr-only">Assistant</h2>
      <div class="grid grid-cols-1 gap-4">
        {answer.note !== null && <p class="text-sm text-soft">{answer.note}</p>}
        {answer.parts.map((part, index) => (
          <PartView
            key={index}
            part={part}
            runId={answer.runId}
            running={running}
            growing={running && index === answer.parts.length - 1}
          />
        ))}
        <Status answer={answer} canRetry={canRetry} isLast={isLast} />
      </div>
      {!running && text !== "" && (
        <div class="mt-2 -ml-1.5 flex flex-wrap">
          <CopyButton text={text} label="Copy the answer" quiet />
          <RunDetails runId={answer.runId} />
        </div>
      )}
    </article>
  );
}

type PartProps = { part: Part; runId: string; running: boolean; growing: boolean };

function PartView({ part, runId, running, growing }: PartProps) {
  switch (part.kind) {
    case "text":
      return <Markdown text={part.text} growing={growing} />;
    case "thinking":
      return (
        <details class="min-w-0">
          <summary class="inline-flex items-center gap-2 rounded-lg py-1 pr-2 text-sm text-soft hover:text-ink">
            <Icon name="thought" />
            <span class={growing ? "shimmer" : ""}>{growing ? "Thinking…" : "Thinking"}</span>
            <span class="chevron">
              <Icon name="chevron" size={14} />
            </span>
          </summary>
          <p
            dir="auto"
            class="plaintext mt-2 border-s-2 border-line ps-4 text-sm leading-6 break-words whitespace-pre-wrap text-soft"
          >
            {part.text}
          </p>
        </details>
      );
    case "tool":
      return <ToolCall part={part} runId={runId} running={running} />;
  }
}

function Status({ answer, canRetry, isLast }: AnswerProps) {
  switch (answer.phase) {
    case "waiting":
      return (
        <p class="flex items-center gap-2.5 text-sm text-soft">
          <span class="spinner" aria-hidden="true" />
          <span class="shimmer">Working on it…</span>
        </p>
      );
    case "retrying":
      return <Busy key={answer.retryAfterMs} retryAfterMs={answer.retryAfterMs ?? 0} />;
    case "error":
      return (
        <div
          class="flex flex-wrap items-center gap-x-4 gap-y-2 rounded-xl bg-danger-tint px-4 py-3 text-sm text-danger"
          role="alert"
        >
          <span class="flex min-w-0 flex-1 basis-60 items-start gap-2.5 break-words">
            <Icon name="warning" />
            <bdi class="min-w-0">{answer.error?.message || "The answer could not be finished."}</bdi>
          </span>
          {canRetry && <RetryButton />}
        </div>
      );
    case "ended":
      return <Ending reason={answer.finishReason} canRetry={canRetry} isLast={isLast} />;
    case "writing":
    case "tools":
    case "approval":
    case "task":
      return null;
  }
}

const ENDINGS: Record<string, string> = {
  cancelled: "You stopped this answer.",
  error: "The answer failed before it was finished.",
  length: "The answer was cut off: it reached the model's length limit.",
  content_filter: "The model's provider withheld the rest of this answer.",
};

type EndingProps = { reason: string | null; canRetry: boolean; isLast: boolean };

function Ending({ reason, canRetry, isLast }: EndingProps) {
  const words = ENDINGS[reason ?? ""];
  if (words === undefined) return null;
  return (
    <div class="flex flex-wrap items-center gap-x-4 gap-y-2 text-sm text-soft">
      <span>{words}</span>
      {canRetry && <RetryButton />}
      {reason === "length" && isLast && <AgainButton label="Continue" act={() => say(CONTINUE)} />}
    </div>
  );
}

/** The same text that a person would write. */
const CONTINUE = "Continue where you stopped.";

function RetryButton() {
  return <AgainButton label="Retry" act={retry} />;
}

/** The button disappears when the answer begins. The focus must move on. */
function AgainButton({ label, act }: { label: string; act: () => Promise<unknown> }) {
  const [waiting, setWaiting] = useState(false);
  const press = async () => {
    if (waiting) return;
    setWaiting(true);
    await act();
    setWaiting(false);
    if (busy.peek()) focusComposer();
  };
  return (
    <button type="button" class="plain-button h-9 px-3 text-ink" aria-disabled={waiting} onClick={() => void press()}>
      <Icon name="retry" size={16} />
      {label}
    </button>
  );
}

/** Counts down the pause that the provider asked for. */
function Busy({ retryAfterMs }: { retryAfterMs: number }) {
  const [leftS, setLeftS] = useState(Math.ceil(retryAfterMs / 1000));
  useEffect(() => {
    const timer = setInterval(() => setLeftS((left) => Math.max(0, left - 1)), 1000);
    return () => clearInterval(timer);
  }, []);
  return (
    <p class="flex items-center gap-2.5 text-sm text-soft">
      <span class="spinner" aria-hidden="true" />
      {leftS > 0 ? `The model is busy, trying again in ${leftS} s` : "The model is busy, trying again…"}
    </p>
  );
}
