/** A tool call: its name and state; arguments and result on demand. */
import type { ComponentChildren } from "preact";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { duration } from "../durations.ts";
import type { Progress } from "../events.ts";
import { type Deciding, deciding, isOpen } from "../state/approvals.ts";
import type { ToolPart } from "../turns.ts";
import { visible } from "../visible.ts";
import { ApprovalCard, DECIDED, goToApproval } from "./approval.tsx";
import { Arguments, LongText } from "./arguments.tsx";
import { Icon } from "./icons.tsx";

/** A result may be very long. Only the model needs all of it. */
const MAX_SHOWN_CHARS = 20_000;
/** Shorter calls need no progress. */
const SHOW_PROGRESS_AFTER_MS = 2_000;

type Props = { part: ToolPart; runId: string; running: boolean };

/** The question while it is open; then the call. */
export function ToolCall({ part, runId, running }: Props) {
  const place = useRef<HTMLDivElement>(null);
  const state = deciding(runId, part.callId);
  const asks = running && part.approval !== null && part.result === null && isOpen(state);
  // Moves the focus to the next question, or else to this call. Not if the person has left the page.
  const goOn = useCallback(() => {
    if (place.current?.isConnected && !goToApproval()) place.current.querySelector("summary")?.focus();
  }, []);
  return (
    <div ref={place} class="min-w-0">
      {asks ? (
        <ApprovalCard part={part} runId={runId} onLeft={goOn} />
      ) : (
        <ToolCard part={part} running={running} state={state} />
      )}
    </div>
  );
}

function ToolCard({ part, running, state }: { part: ToolPart; running: boolean; state: Deciding }) {
  const { approval, result } = part;
  const works = running && result === null && !isRefused(state);
  const elapsedMs = useElapsed(works);
  const name = visible(part.name);
  return (
    <details class="min-w-0 overflow-hidden rounded-xl border border-line bg-raised">
      <summary class="relative flex flex-wrap items-center gap-x-2.5 gap-y-1.5 px-3.5 py-2.5 text-sm hover:bg-hover">
        <span class="text-soft">
          <Icon name="tool" />
        </span>
        <span class="flex min-w-0 flex-1 flex-col sm:flex-row sm:items-baseline sm:gap-2.5">
          {part.title && <bdi class="min-w-0 truncate font-medium">{visible(part.title)}</bdi>}
          {/* Always shown: another server chooses the title, but the name begins with the server's name. */}
          <span class={part.title ? "min-w-0 truncate text-soft sm:max-w-1/2 sm:shrink-0" : "min-w-0 truncate"}>
            <Mono>{name}</Mono>
          </span>
        </span>
        <span class="ml-auto flex shrink-0 items-center gap-2 text-xs text-soft">
          <State result={result} works={works} elapsedMs={elapsedMs} state={state} />
          <span class="chevron">
            <Icon name="chevron" size={14} />
          </span>
        </span>
        {works && part.progress !== null && <HowFar progress={part.progress} />}
        {works && elapsedMs > SHOW_PROGRESS_AFTER_MS && (part.progress === null || part.progress.part === null) && (
          <span class="progress" aria-hidden="true" />
        )}
      </summary>
      <div class="grid grid-cols-1 gap-3 border-t border-line px-3.5 py-3">
        {approval !== null && (
          <p class="text-sm break-words text-soft">
            <Mono>{name}</Mono> on the server <bdi class="text-ink">{visible(approval.server)}</bdi>.{" "}
            {decidedWords(state)}
          </p>
        )}
        <Labelled label="Arguments">
          <Arguments text={part.arguments} />
        </Labelled>
        {result !== null && (
          <Labelled label={result.isError ? "Error" : "Result"}>
            {result.text === "" ? (
              <p class="text-sm text-soft">The result is empty</p>
            ) : (
              <LongText text={visible(result.text)} mono limit={MAX_SHOWN_CHARS} />
            )}
          </Labelled>
        )}
      </div>
    </details>
  );
}

/** The tool's progress: its own text, and a bar if the total is known. */
function HowFar({ progress: { part, message } }: { progress: Progress }) {
  return (
    <span class="flex min-w-0 basis-full items-center gap-2.5 text-xs text-soft">
      {part !== null && <progress class="how-far" value={part} max={1} aria-label="Progress" />}
      {message !== "" && <bdi class="min-w-0 truncate">{visible(message)}</bdi>}
    </span>
  );
}

/** Whether it is certain that the tool will not be called, although there is no result yet. */
function isRefused(state: Deciding): boolean {
  return state.at === "expired" || (state.at === "decided" && state.decision === "deny");
}

function decidedWords(state: Deciding): string {
  switch (state.at) {
    case "decided":
      return `${DECIDED[state.decision]} by you.`;
    case "elsewhere":
      return "This was decided in another place with your account.";
    case "expired":
      return "The question expired, so the tool was not called.";
    case "open":
    case "sending":
    case "failed":
      return "You were asked whether it may be used.";
  }
}

type StateProps = { result: ToolPart["result"]; works: boolean; elapsedMs: number; state: Deciding };

function State({ result, works, elapsedMs, state }: StateProps) {
  if (isRefused(state)) {
    return (
      <Words icon="cross" danger={false}>
        {state.at === "expired" ? "Expired" : "Denied"}
      </Words>
    );
  }
  if (works) {
    const allowed = state.at === "decided" ? `${DECIDED[state.decision]}, running` : "Running";
    return (
      <>
        <span class="spinner" aria-hidden="true" />
        {elapsedMs > SHOW_PROGRESS_AFTER_MS ? `Running for ${Math.floor(elapsedMs / 1000)} s` : allowed}
      </>
    );
  }
  if (result === null) {
    return (
      <Words icon="cross" danger={false}>
        Not finished
      </Words>
    );
  }
  return (
    <Words icon={result.isError ? "cross" : "check"} danger={result.isError}>
      {result.isError ? "Failed" : "Done"}
      {result.durationMs !== null && ` in ${duration(result.durationMs)}`}
    </Words>
  );
}

function Words({ icon, danger, children }: { icon: "check" | "cross"; danger: boolean; children: ComponentChildren }) {
  return (
    <span class={`flex items-center gap-1.5 ${danger ? "text-danger" : ""}`}>
      <Icon name={icon} size={15} />
      <span>{children}</span>
    </span>
  );
}

function Mono({ children }: { children: string }) {
  return <span class="font-mono text-[0.8rem]">{children}</span>;
}

function Labelled({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    <div class="min-w-0">
      <p class="mb-1 text-xs font-medium text-soft">{label}</p>
      <div class="max-h-72 overflow-auto rounded-lg bg-sunken px-3 py-2" tabIndex={0} role="group" aria-label={label}>
        {children}
      </div>
    </div>
  );
}

/** How long the call has run while it was on the screen. */
function useElapsed(works: boolean): number {
  const [elapsedMs, setElapsedMs] = useState(0);
  useEffect(() => {
    if (!works) return;
    const startedAt = performance.now();
    const timer = setInterval(() => setElapsedMs(performance.now() - startedAt), 500);
    return () => (clearInterval(timer), setElapsedMs(0));
  }, [works]);
  return elapsedMs;
}
