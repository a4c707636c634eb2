/**
 * Finds math in markdown, as tokens `math_inline` and `math_block`: `$…$` and `\(…\)` in a line, `$$…$$` and `\[…\]` by
 * itself. It does not draw. Dollars count as money unless the text proves otherwise. Pure.
 */
import type { MarkdownIt, StateBlock, StateInline } from "markdown-it";

/** The data of a math token, besides its `content`, which is TeX. */
export type MathMeta = {
  /** Whether it stands alone, centred. */
  display: boolean;
  /** The source, including its delimiters. */
  source: string;
  /** False while the formula is being written. */
  closed: boolean;
};

/** Longer than any formula. Drawing is work for the main thread. */
const MAX_TEX_CHARS = 5_000;

const CLOSING: Record<string, string> = { $$: "$$", "\\[": "\\]", "\\(": "\\)" };

export function math(md: MarkdownIt): void {
  md.inline.ruler.before("escape", "math_inline", inline);
  md.block.ruler.before("fence", "math_block", block, { alt: ["paragraph", "reference", "blockquote", "list"] });
}

/**
 * A formula that begins and ends its own lines. It contains no empty line, which TeX does not allow either, so it is
 * recognized once the paragraph has ended.
 */
function block(state: StateBlock, startLine: number, endLine: number, silent: boolean): boolean {
  if (state.sCount[startLine]! - state.blkIndent >= 4) return false;
  const first = lineOf(state, startLine);
  const open = first.slice(0, 2);
  const close = CLOSING[open];
  if (close === undefined || open === "\\(" || first.startsWith("$$$")) return false;
  const lines: string[] = [];
  let line = startLine;
  let at = first.indexOf(close, 2);
  for (let text = first; at < 0; at = text.indexOf(close)) {
    lines.push(text);
    line += 1;
    if (line >= endLine) break;
    if (state.isEmpty(line) || state.sCount[line]! < state.blkIndent) return false;
    text = lineOf(state, line);
  }
  const closed = at >= 0;
  if (closed) {
    const last = lineOf(state, line);
    // There is more text in the last line, so the formula is part of a paragraph.
    if (last.slice(at + 2).trim() !== "") return false;
    lines.push(last.slice(0, at + 2));
  }
  const source = lines.join("\n");
  const tex = source.slice(2, closed ? -2 : undefined).trim();
  if ((closed && tex === "") || tex.length > MAX_TEX_CHARS) return false;
  if (silent) return true;
  const token = state.push("math_block", "math", 0);
  token.block = true;
  token.content = tex;
  token.markup = open;
  token.map = [startLine, Math.min(line + 1, endLine)];
  token.meta = { display: true, source, closed } satisfies MathMeta;
  state.line = Math.min(line + 1, endLine);
  return true;
}

function lineOf(state: StateBlock, line: number): string {
  return state.src.slice(state.bMarks[line]! + state.tShift[line]!, state.eMarks[line]);
}

function inline(state: StateInline, silent: boolean): boolean {
  const { src, pos, posMax } = state;
  const open = src.slice(pos, pos + 2);
  const close = CLOSING[open];
  if (close === undefined) return src[pos] === "$" && money(state, silent);
  const end = find(state, close, pos + 2);
  if (end < 0 || end + 2 > posMax) return false;
  return push(state, silent, pos + 2, end, end + 2, open !== "\\(");
}

/** The delimiters that do not occur any more, for each text. */
const missing = new WeakMap<StateInline, Set<string>>();

/**
 * The position of the closing delimiter. A missing one is not searched again, because a text may open a formula at every
 * character.
 */
function find(state: StateInline, close: string, from: number): number {
  const gone = missing.get(state) ?? new Set();
  if (gone.has(close)) return -1;
  const end = state.src.indexOf(close, from);
  if (end < 0) missing.set(state, gone.add(close));
  return end;
}

/**
 * A dollar opens math if no letter, digit or dollar is before it, and a formula and another dollar follow. `$5 and $6` is
 * money.
 */
function money(state: StateInline, silent: boolean): boolean {
  const { src, pos, posMax } = state;
  if (pos > 0 && /[\p{L}\p{N}$\\]/u.test(src[pos - 1]!)) return false;
  if (/[\s$]/.test(src[pos + 1] ?? " ")) return false;
  let end = pos;
  do end = find(state, "$", end + 1);
  while (end > 0 && src[end - 1] === "\\");
  if (end < 0 || end >= posMax || /\s/.test(src[end - 1]!) || /[\p{N}$]/u.test(src[end + 1] ?? "")) return false;
  const tex = src.slice(pos + 1, end);
  // An amount and words: `$5 for one, 6$ for two`. Or two variables: `$HOME/$USER`.
  if (
    /^[\d.,]+(\s+|[-–/(]\s*)\p{L}{2,}/u.test(tex) ||
    (/\p{L}/u.test(src[end + 1] ?? "") && !/[\\^_={}]|^\p{L}$/u.test(tex))
  )
    return false;
  return push(state, silent, pos + 1, end, end + 1, false);
}

function push(state: StateInline, silent: boolean, from: number, to: number, next: number, display: boolean): boolean {
  const tex = state.src.slice(from, to).trim();
  if (tex === "" || tex.length > MAX_TEX_CHARS) return false;
  if (!silent) {
    const token = state.push("math_inline", "math", 0);
    token.content = tex;
    token.meta = { display, source: state.src.slice(state.pos, next), closed: true } satisfies MathMeta;
  }
  state.pos = next;
  return true;
}
