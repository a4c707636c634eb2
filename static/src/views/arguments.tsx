/** The arguments of a tool call, as names and values. Long values are folded, unless `whole` is set. */
import { useState } from "preact/hooks";
import { piecesOf, readArguments, type Shown } from "../arguments.ts";

/** What can be read at a glance: about six lines on a narrow screen, or a small object. */
const FOLD_CHARS = 280;
const FOLD_LINES = 10;

type Props = { text: string; whole?: boolean };

export function Arguments({ text, whole = false }: Props) {
  const rows = readArguments(text);
  const Text = whole ? WholeText : LongText;
  if (typeof rows === "string") return <Text text={rows} mono />;
  if (rows.length === 0) return <p class="text-sm text-soft">No arguments</p>;
  return (
    <dl class="grid grid-cols-1 gap-x-4 gap-y-2 text-sm sm:grid-cols-[minmax(5rem,max-content)_minmax(0,1fr)]">
      {rows.map((row, index) => (
        <div key={index} class="contents">
          <dt class="max-w-full text-soft break-words sm:max-w-40">
            <Text text={row.name} />
            {row.again && <span class="block text-xs font-medium text-danger">This name is given more than once</span>}
          </dt>
          <dd class="min-w-0 max-sm:mb-1">
            <Value shown={row.value} Text={Text} />
          </dd>
        </div>
      ))}
    </dl>
  );
}

function Value({ shown, Text }: { shown: Shown; Text: typeof WholeText | typeof LongText }) {
  switch (shown.as) {
    case "text":
      return <Text text={shown.text} />;
    case "json":
      return <Text text={shown.text} mono />;
    case "lines":
      return Text === WholeText ? (
        <ul class="list-disc pl-5">
          {shown.lines.map((line, index) => (
            <li key={index}>
              <WholeText text={line} />
            </li>
          ))}
        </ul>
      ) : (
        <LongText text={shown.lines.map((line) => `• ${line}`).join("\n")} />
      );
  }
}

type TextProps = { text: string; mono?: boolean };

const look = (mono: boolean) =>
  `plaintext block break-words whitespace-pre-wrap ${mono ? "font-mono text-xs leading-5" : ""}`;

/** A whole text, in pieces that `useSeen` can watch. */
export function WholeText({ text, mono = false }: TextProps) {
  return (
    <span dir="auto" class={look(mono)}>
      {piecesOf(text).map((piece, index) => (
        <span key={index} data-piece>
          {piece}
        </span>
      ))}
    </span>
  );
}

/** A text whose end is shown on demand. Beyond `limit`, nothing is shown, because nobody would read it. */
export function LongText({ text, mono = false, limit = Infinity }: TextProps & { limit?: number }) {
  const [open, setOpen] = useState(false);
  const short = fold(text);
  const shown = open ? text.slice(0, limit) : short;
  const left = text.length - shown.length;
  return (
    <>
      <span dir="auto" class={look(mono)}>
        {shown}
        {left > 0 && "…"}
      </span>
      {open && left > 0 && <span class="block text-xs text-soft">{characters(left)} more are not shown</span>}
      {short.length < text.length && (
        <button type="button" class="text-button mt-0.5 text-xs" aria-expanded={open} onClick={() => setOpen(!open)}>
          {open ? "Show less" : `Show all ${characters(text.length)}`}
        </button>
      )}
    </>
  );
}

/** The beginning that is shown at first. A text that is only a little longer is not folded. */
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
