/** Who wrote an answer, when, and for how much. It is asked for when somebody wants to know. */
import { useId, useState } from "preact/hooks";
import { describe, runs } from "../api.ts";
import { endedBy } from "../state/session.ts";
import type { Run } from "../types.ts";
import { visible } from "../visible.ts";
import { money } from "./amounts.ts";
import { Icon } from "./icons.tsx";

export function RunDetails({ runId }: { runId: string }) {
  const id = useId();
  const [isOpen, setOpen] = useState(false);
  const [words, setWords] = useState("");
  const toggle = async () => {
    setOpen(!isOpen);
    if (isOpen || words !== "") return;
    try {
      setWords(wordsOf(await runs.get(runId)));
    } catch (error) {
      if (!endedBy(error)) setWords(describe(error));
    }
  };
  return (
    <>
      <button
        type="button"
        class="ghost-button"
        aria-label="Who wrote this answer"
        title="Who wrote this answer"
        aria-expanded={isOpen}
        aria-controls={id}
        onClick={() => void toggle()}
      >
        <Icon name="info" />
      </button>
      <p id={id} class="self-center px-1.5 text-xs text-soft tabular-nums" role="status" hidden={!isOpen}>
        {words}
      </p>
    </>
  );
}

/** Hosts of an earlier release say neither provider nor cost. */
export function wordsOf({ model, provider, usage, cost, created_at }: Run): string {
  const began = new Date(created_at);
  const said = [
    Number.isNaN(began.getTime()) ? "" : began.toLocaleString([], { dateStyle: "medium", timeStyle: "short" }),
    provider ? `${visible(model)} from ${visible(provider)}` : visible(model),
    usage ? `${usage.prompt_tokens.toLocaleString()} tokens read, ${usage.completion_tokens.toLocaleString()} written` : "",
    cost ? money(cost.amount * 1_000_000, cost.currency) : "",
  ];
  return said.filter((word) => word !== "").join(" · ");
}
