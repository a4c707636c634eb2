/** A tool that the model used: its name and state at a glance, what went in and what came out on demand. */
import type { ToolPart } from "../turns.ts";
import { Icon } from "./icons.tsx";

/** A result may be very long; the whole of it is the model's business. */
const MAX_SHOWN_CHARS = 20_000;

export function ToolCard({ part }: { part: ToolPart }) {
  const { name, result } = part;
  return (
    <details class="min-w-0 overflow-hidden rounded-xl border border-line bg-raised">
      <summary class="flex items-center gap-2.5 px-3.5 py-2.5 text-sm hover:bg-hover">
        <span class="text-soft">
          <Icon name="tool" />
        </span>
        <span class="min-w-0 truncate font-mono text-[0.8rem]">{name}</span>
        <span class="ml-auto flex shrink-0 items-center gap-2 text-xs text-soft">
          <State result={result} />
          <span class="chevron">
            <Icon name="chevron" size={14} />
          </span>
        </span>
      </summary>
      <div class="grid grid-cols-1 gap-3 border-t border-line px-3.5 py-3">
        <Text label="Arguments" text={asText(part.arguments)} />
        {result !== null && <Text label={result.isError ? "Error" : "Result"} text={result.text} />}
      </div>
    </details>
  );
}

function State({ result }: { result: ToolPart["result"] }) {
  if (result === null) {
    return (
      <>
        <span class="spinner" aria-hidden="true" />
        Running
      </>
    );
  }
  return (
    <span class={`flex items-center gap-1.5 ${result.isError ? "text-danger" : ""}`}>
      <Icon name={result.isError ? "cross" : "check"} size={15} />
      {result.isError ? "Failed" : "Done"}
      {result.durationMs !== null && ` in ${duration(result.durationMs)}`}
    </span>
  );
}

function Text({ label, text }: { label: string; text: string }) {
  const cut = text.length > MAX_SHOWN_CHARS;
  return (
    <div class="min-w-0">
      <p class="mb-1 text-xs font-medium text-soft">{label}</p>
      <pre
        class="max-h-72 overflow-auto rounded-lg bg-sunken px-3 py-2 font-mono text-xs leading-5 break-words whitespace-pre-wrap"
        tabIndex={0}
        role="group"
        aria-label={label}
      >
        {cut ? `${text.slice(0, MAX_SHOWN_CHARS)}\n… ${text.length - MAX_SHOWN_CHARS} more characters` : text}
      </pre>
    </div>
  );
}

function asText(value: unknown): string {
  return typeof value === "string" ? value : (JSON.stringify(value, null, 2) ?? "");
}

function duration(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
