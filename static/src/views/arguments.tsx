/** What a tool is called with, as names and values; what is long is folded, never left out. */
import { useState } from "preact/hooks";
import { readArguments, type Shown } from "../arguments.ts";

/** What is read at a glance: about six lines on a narrow screen, or a small object. */
const FOLD_CHARS = 280;
const FOLD_LINES = 10;

export function Arguments({ value }: { value: unknown }) {
  const rows = readArguments(value);
  if (typeof rows === "string") return <LongText text={rows} mono />;
  if (rows.length === 0) return <p class="text-sm text-soft">No arguments</p>;
  return (
    <dl class="grid grid-cols-1 gap-x-4 gap-y-2 text-sm sm:grid-cols-[minmax(5rem,max-content)_minmax(0,1fr)]">
      {rows.map((row) => (
        <div key={row.name} class="contents">
          <dt class="max-w-full text-soft break-words sm:max-w-40">{row.name}</dt>
          <dd class="min-w-0 max-sm:mb-1">
            <Value shown={row.value} />
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Value({ shown }: { shown: Shown }) {
  switch (shown.as) {
    case "empty":
      return <span class="text-soft">empty</span>;
    case "text":
      return <LongText text={shown.text} />;
    case "json":
      return <LongText text={shown.text} mono />;
    case "lines":
      return <LongText text={shown.lines.map((line) => `• ${line}`).join("\n")} />;
  }
}

/** A text whose end is shown on demand. `limit`: what even then is not shown, because nobody would read it. */
export function LongText({ text, mono = false, limit = Infinity }: { text: string; mono?: boolean; limit?: number }) {
  const [open, setOpen] = useState(false);
  const short = fold(text);
  const shown = open ? text.slice(0, limit) : short;
  const left = text.length - shown.length;
  return (
    <>
      <span dir="auto" class={`block break-words whitespace-pre-wrap ${mono ? "font-mono text-xs leading-5" : ""}`}>
        {shown}
        {left > 0 && "…"}
      </span>
      {open && left > 0 && <span class="block text-xs text-soft">{characters(left)} more are not shown</span>}
      {short.length < text.length && (
        <button
          type="button"
          class="mt-0.5 text-xs font-medium text-brand underline underline-offset-3"
          aria-expanded={open}
          onClick={() => setOpen(!open)}
        >
          {open ? "Show less" : `Show all ${characters(text.length)}`}
        </button>
      )}
    </>
  );
}

/** The beginning that is shown at first: all of it, unless a good deal would be hidden. */
function fold(text: string): string {
  const lines = text.split("\n", FOLD_LINES + 1);
  const start = lines.slice(0, FOLD_LINES).join("\n");
  const end = Math.min(start.length, FOLD_CHARS);
  const cut = /[\ud800-\udbff]$/.test(text.slice(0, end)) ? end - 1 : end;
  return text.length - cut < 40 && lines.length <= FOLD_LINES ? text : text.slice(0, cut);
}

function characters(count: number): string {
  return `${count.toLocaleString("en")} characters`;
}
