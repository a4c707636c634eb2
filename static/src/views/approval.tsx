/** Asks the person whether a tool may be called, and shows exactly what would be called. It does not show the result. */
import { useEffect, useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import { timeLeft } from "../durations.ts";
import { decide, deciding } from "../state/approvals.ts";
import type { ToolPart } from "../turns.ts";
import type { Decision } from "../types.ts";
import { unmistakable } from "../visible.ts";
import { announce } from "./announce.tsx";
import { Arguments } from "./arguments.tsx";
import { Icon } from "./icons.tsx";
import { useSeen } from "./seen.ts";

export const DECIDED: Record<Decision, string> = {
  allow_once: "Allowed once",
  allow_always: "Always allowed",
  deny: "Denied",
};

/** Moves focus and view to the first open question. Returns false if there is none. */
export function goToApproval(): boolean {
  const card = document.querySelector<HTMLElement>("[data-approval]");
  // To the beginning of the card, even if it is higher than the screen.
  card?.scrollIntoView({ block: "start" });
  card?.focus({ preventScroll: true });
  return card !== null;
}

export function ApprovalCard({ part, runId, onLeft }: { part: ToolPart; runId: string; onLeft: () => void }) {
  const card = useRef<HTMLElement>(null);
  const id = useId();
  /** The button that shows the rest of the arguments. */
  const rest = useRef<HTMLButtonElement>(null);
  /** Whether the card did not fit on the screen. */
  const begun = useRef(false);
  const state = deciding(runId, part.callId);
  const waiting = state.at === "sending";
  const server = unmistakable(part.approval?.server ?? "");
  const name = unmistakable(part.name);
  const title = unmistakable(part.approval?.title || part.name);
  const seen = useSeen(card, part.arguments);
  const unseen = seen.left !== 0;

  useEffect(() => {
    if (unseen) {
      begun.current = seen.left !== null;
    } else if (begun.current) {
      announce("All of it was shown. You can decide now.");
      // The button for the rest is gone. Focus moves to an element that decides nothing, because the person may press
      // once more.
      if (document.activeElement === document.body) card.current?.focus({ preventScroll: true });
    }
  }, [unseen, seen.left]);

  // The card disappears when the question is answered, here or elsewhere. Focus in it must move on.
  useLayoutEffect(() => {
    const element = card.current;
    return () => {
      if (element?.contains(document.activeElement)) queueMicrotask(onLeft);
    };
  }, [onLeft]);

  const choose = async (decision: Decision) => {
    if (await decide(runId, part.callId, decision)) announce(`${DECIDED[decision]}: ${title}`);
  };
  const button = (decision: Decision, label: string, look: string) => {
    const blocked = unseen && decision !== "deny";
    return (
      <button
        type="button"
        class={`${look} aria-disabled:opacity-60`}
        // Not `disabled`, which would drop the focus.
        aria-disabled={waiting || blocked}
        aria-describedby={blocked ? `${id} ${id}-why` : id}
        onClick={(event) => {
          // Focus moves away from this button: one press too many would decide.
          if (blocked) rest.current?.focus();
          // The second half of a double click may fall on the next card.
          else if (!waiting && event.detail < 2) void choose(decision);
        }}
      >
        {waiting && state.decision === decision && <span class="spinner" aria-hidden="true" />}
        {label}
      </button>
    );
  };

  return (
    <section
      ref={card}
      data-approval
      tabIndex={-1}
      aria-labelledby={id}
      class="min-w-0 overflow-hidden rounded-xl border-2 border-notice bg-raised"
    >
      <div class="flex flex-wrap items-center gap-x-2.5 gap-y-0.5 bg-notice-tint px-4 py-2.5 text-sm text-notice">
        <Icon name="hand" />
        <h3 id={id} class="min-w-0 flex-1 basis-48 font-semibold break-words">
          May the assistant use “<bdi data-piece>{title}</bdi>”?
        </h3>
        <Expiry at={part.approval?.expiresAt ?? ""} />
      </div>
      <div class="grid grid-cols-1 gap-3.5 px-4 py-3.5">
        <p class="text-sm break-words">
          It would call{" "}
          <code class="font-mono text-[0.8rem] font-semibold" data-piece>
            {name}
          </code>{" "}
          on the server{" "}
          <bdi class="font-semibold" data-piece>
            {server}
          </bdi>
          , with:
        </p>
        {part.approval?.mayDisclose && (
          <p class="text-sm font-semibold break-words">
            Others would hear this. It says things that you did not write, and something private was read before: look whether they
            belong to it.
          </p>
        )}
        {/* Not a box that scrolls: the part outside would be allowed unseen. */}
        <div class="rounded-lg bg-sunken px-3.5 py-2.5" role="group" aria-label="Arguments">
          <Arguments text={part.arguments} whole />
        </div>
        {seen.left !== null && unseen && (
          <div class="flex flex-wrap items-center gap-x-4 gap-y-2 rounded-lg bg-notice-tint px-3.5 py-2 text-sm text-notice">
            <p id={`${id}-why`} class="min-w-0 flex-1 basis-60">
              You can allow this once all of it was on the screen. Some of it was not yet.
            </p>
            <button ref={rest} type="button" class="plain-button text-ink" onClick={seen.showNext}>
              Show what is left
            </button>
          </div>
        )}
        {state.at === "failed" && (
          <p class="rounded-lg bg-danger-tint px-3.5 py-2 text-sm text-danger" role="alert">
            Your decision was not confirmed. {state.reason}
          </p>
        )}
        <div class="flex flex-wrap gap-2.5 *:max-sm:flex-1 *:max-sm:basis-full">
          {button("allow_once", "Allow once", "main-button")}
          {!part.approval?.alwaysAsks && button("allow_always", "Always allow", "plain-button")}
          {button("deny", "Deny", "plain-button")}
        </div>
        <p class="text-xs leading-5 text-soft">
          {part.approval?.alwaysAsks
            ? "This tool asks before every call: only this one can be allowed."
            : part.approval?.mayDisclose
              ? "“Always allow” is for every later call of this tool, whatever was read before it. You can take it back under Tools."
              : "“Always allow” is for every later call of this tool, whatever the arguments. You can take it back under Tools."}
        </p>
      </div>
    </section>
  );
}

/**
 * The time left to decide. It uses this device's clock, so it is only information; the server decides whether it is too
 * late.
 */
function Expiry({ at }: { at: string }) {
  const end = Date.parse(at);
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  if (Number.isNaN(end)) return null;
  return (
    <span class="shrink-0 text-xs">
      {end > now ? `Expires in ${timeLeft(end - now)}` : "The time to decide is over"}
    </span>
  );
}
