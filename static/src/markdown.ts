/**
 * Parses Markdown to blocks of tokens: CommonMark with tables, strikethrough, math, task lists and footnotes. It never
 * makes HTML. The tokens are drawn as elements, so a model's text cannot become markup. Pure.
 */
import Markdown, { type MarkdownIt, type StateCore, type Token } from "markdown-it";
import cjkFriendly from "markdown-it-cjk-friendly";
import footnotes from "markdown-it-footnote";
import { math } from "./math.ts";

/** A top-level element of the text: a paragraph, a list, a code block... `key` is its first line; footnotes have -1. */
export type Block = { key: number; tokens: Token[] };

export type Parsed = { source: string; blocks: Block[] };

/** More footnotes than a text has. The work for them grows with their square. */
const MAX_FOOTNOTES = 500;

/** For a text that grows: its footnotes may not have arrived yet. */
const growing = reader();
const whole = reader().use(footnotes);
// `^[…]` is an exponent far more often than a footnote.
whole.inline.ruler.disable("footnote_inline");

function reader(): MarkdownIt {
  const markdown = new Markdown({ html: false, linkify: true, typographer: false });
  /** Only links to pages and mail addresses: no javascript:, data:, file: or paths on this server. */
  markdown.validateLink = isSafeLink;
  markdown.normalizeLinkText = linkText;
  // "readme.md" and "main.rs" are files here, not hosts. Only text with a scheme becomes a link by itself.
  markdown.linkify.set({ fuzzyLink: false, fuzzyEmail: false, fuzzyIP: false });
  markdown.core.ruler.after("inline", "tasks", tasks);
  return markdown.use(cjkFriendly).use(math);
}

export function isSafeLink(url: string): boolean {
  return /^(https?:\/\/|mailto:)/i.test(url.trim());
}

/** The text of a link that shows its address. The host stays in its ASCII form, so that letters cannot be confused. */
function linkText(url: string): string {
  try {
    const { protocol, host } = new URL(url);
    const rest = /^\w+:\/\/[^/?#]*(.*)$/s.exec(url)?.[1];
    return host === "" || rest === undefined ? url : `${protocol}//${host}${rest}`;
  } catch {
    return url;
  }
}

/** Parses a complete text. */
export function parseMarkdown(source: string): Parsed {
  const text = normalise(source);
  const marks = text.split("[^", MAX_FOOTNOTES + 2).length - 1;
  return { source: text, blocks: blocksOf(marks > 0 && marks <= MAX_FOOTNOTES ? whole : growing, text, 0) };
}

/**
 * Parses a text that grows: returns the blocks that were finished before as the same objects, and parses only the rest.
 * (A later line changes a finished block only by a link definition. Link definitions across blocks, and footnotes, are
 * resolved when the complete text is parsed.)
 */
export function parseGrowing(source: string, before: Parsed | null): Parsed {
  const text = normalise(source);
  if (before !== null && before.source === text) return before;
  const finished = before !== null && text.startsWith(before.source) ? finishedOf(before) : [];
  const from = before?.blocks[finished.length]?.key ?? 0;
  return { source: text, blocks: [...finished, ...blocksOf(growing, text.slice(from), from)] };
}

/**
 * All blocks except the last. A list before an unfinished line is excluded too, because the line may become its next
 * item.
 */
function finishedOf({ source, blocks }: Parsed): Block[] {
  const [list, line] = blocks.slice(-2);
  const isItem =
    line !== undefined && line.key > source.lastIndexOf("\n") && list?.tokens[0]?.type.endsWith("_list_open") === true;
  return blocks.slice(0, isItem ? -2 : -1);
}

/** Normalizes line ends like markdown-it, so that its line numbers match ours. */
function normalise(source: string): string {
  return source.includes("\r") ? source.replace(/\r\n?/g, "\n") : source;
}

function blocksOf(markdown: MarkdownIt, text: string, offset: number): Block[] {
  const blocks: Block[] = [];
  let line = 0;
  let position = 0;
  let open: Block | null = null;
  for (const token of markdown.parse(text, {})) {
    if (open === null) {
      const start = token.map?.[0] ?? line;
      for (; line < start; line++) position = text.indexOf("\n", position) + 1;
      open = { key: token.type === "footnote_block_open" ? -1 : offset + position, tokens: [] };
      blocks.push(open);
    }
    open.tokens.push(token);
    // Footnotes come last, whatever their levels are.
    if (token.level === 0 && token.nesting <= 0 && open.key >= 0) open = null;
  }
  return blocks;
}

/** `[ ]` and `[x]` at the beginning of a list item: the item's `meta` says whether it is done. */
function tasks(state: StateCore): void {
  state.tokens.forEach((token, index) => {
    const item = state.tokens[index - 2];
    const first = token.children?.[0];
    if (item?.type !== "list_item_open" || first?.type !== "text") return;
    const box = /^\[([ xX])\](?=\s|$)\s?/.exec(first.content);
    if (box === null) return;
    item.meta = { done: box[1] !== " " };
    first.content = first.content.slice(box[0].length);
  });
}
