/**
 * Markdown as blocks of tokens. Never makes HTML: what draws the tokens makes elements, so a model's text cannot become
 * markup, whatever it says. Pure.
 */
import MarkdownIt, { type Token } from "markdown-it";

/** A top-level element of the text: a paragraph, a list, a code block... `key` is where it starts. */
export type Block = { key: number; tokens: Token[] };

export type Parsed = { source: string; blocks: Block[] };

const markdown = new MarkdownIt({ html: false, linkify: true, typographer: false });

/** Only what opens a page or a mail; no javascript:, data:, file: or paths on this server. */
markdown.validateLink = isSafeLink;
// "readme.md" and "main.rs" are files here, not hosts: only what is written with its scheme becomes a link by itself.
markdown.linkify.set({ fuzzyLink: false, fuzzyEmail: false, fuzzyIP: false });

export function isSafeLink(url: string): boolean {
  return /^(https?:\/\/|mailto:)/i.test(url.trim());
}

/** The whole text. */
export function parseMarkdown(source: string): Parsed {
  const text = normalise(source);
  return { source: text, blocks: blocksOf(text, 0) };
}

/**
 * A text that grows: gives the blocks that were finished before as the same objects and parses only the last one again.
 * (In CommonMark no later line changes a block that is closed, but for link definitions: those are resolved across
 * blocks when the text is complete and parsed whole.)
 */
export function parseGrowing(source: string, before: Parsed | null): Parsed {
  const text = normalise(source);
  if (before !== null && before.source === text) return before;
  const last = before?.blocks.at(-1);
  if (before === null || last === undefined || !text.startsWith(before.source)) return parseMarkdown(text);
  return { source: text, blocks: [...before.blocks.slice(0, -1), ...blocksOf(text.slice(last.key), last.key)] };
}

/** Line ends as markdown-it counts them, so that its line numbers are ours. */
function normalise(source: string): string {
  return source.includes("\r") ? source.replace(/\r\n?/g, "\n") : source;
}

function blocksOf(text: string, offset: number): Block[] {
  const blocks: Block[] = [];
  let line = 0;
  let position = 0;
  let open: Block | null = null;
  for (const token of markdown.parse(text, {})) {
    if (open === null) {
      const start = token.map?.[0] ?? line;
      for (; line < start; line++) position = text.indexOf("\n", position) + 1;
      open = { key: offset + position, tokens: [] };
      blocks.push(open);
    }
    open.tokens.push(token);
    if (token.level === 0 && token.nesting <= 0) open = null;
  }
  return blocks;
}
