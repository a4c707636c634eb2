/** One turn of a conversation: what a person said, or an answer with its reasoning, its tools and how it ended. */
import { useEffect, useState } from "preact/hooks";
import { retry } from "../state/chat.ts";
import { type AnswerTurn, answerText, isRunning, type Part, type UserTurn } from "../turns.ts";
import { CopyButton } from "./copy.tsx";
import { Icon } from "./icons.tsx";
import { Markdown } from "./markdown.tsx";
import { ToolCall } from "./tool.tsx";

export function UserMessage({ turn }: { turn: UserTurn }) {
  return (
    <article class="ml-auto max-w-[85%]">
      <h2 class="sr-only">You</h2>
      <p
        class={`rounded-3xl rounded-br-lg bg-brand-tint px-4.5 py-2.5 leading-7 break-words whitespace-pre-wrap ${turn.sending ? "opacity-60" : ""}`}
      >
        {turn.text}
      </p>
    </article>
  );
}

export function Answer({ answer, canRetry }: { answer: AnswerTurn; canRetry: boolean }) {
  const running = isRunning(answer);
  const text = answerText(answer);
  return (
    <article class="group min-w-0" aria-busy={running}>
      <h2 class="sr-only">Assistant</h2>
      <div class="grid grid-cols-1 gap-4">
        {answer.parts.map((part, index) => (
          <PartView
            key={index}
            part={part}
            runId={answer.runId}
            running={running}
            growing={running && index === answer.parts.length - 1}
          />
        ))}
        <Status answer={answer} canRetry={canRetry} />
      </div>
      {!running && text !== "" && (
        <div class="mt-2 -ml-1.5 flex">
          <CopyButton text={text} label="Copy the answer" quiet />
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
          <p class="mt-2 border-l-2 border-line pl-4 text-sm leading-6 break-words whitespace-pre-wrap text-soft">
            {part.text}
          </p>
        </details>
      );
    case "tool":
      return <ToolCall part={part} runId={runId} running={running} />;
  }
}

function Status({ answer, canRetry }: { answer: AnswerTurn; canRetry: boolean }) {
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
            <span class="min-w-0">{answer.error?.message || "The answer could not be finished."}</span>
          </span>
          {canRetry && <RetryButton />}
        </div>
      );
    case "ended":
      return <Ending reason={answer.finishReason} canRetry={canRetry} />;
    default:
      return null;
  }
}

const ENDINGS: Record<string, string> = {
  cancelled: "You stopped this answer.",
  error: "The answer failed before it was finished.",
  length: "The answer was cut off: it reached the model's length limit.",
  content_filter: "The model's provider withheld the rest of this answer.",
};

function Ending({ reason, canRetry }: { reason: string | null; canRetry: boolean }) {
  const words = ENDINGS[reason ?? ""];
  if (words === undefined) return null;
  return (
    <div class="flex flex-wrap items-center gap-x-4 gap-y-2 text-sm text-soft">
      <span>{words}</span>
      {canRetry && <RetryButton />}
    </div>
  );
}

function RetryButton() {
  const [waiting, setWaiting] = useState(false);
  return (
    <button
      type="button"
      class="plain-button h-9 px-3 text-ink"
      disabled={waiting}
      onClick={() => (setWaiting(true), void retry().finally(() => setWaiting(false)))}
    >
      <Icon name="retry" size={16} />
      Retry
    </button>
  );
}

/** Counts down what the provider asked for. */
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
