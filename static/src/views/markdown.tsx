/** Draws markdown: tokens become elements from an allowed list. No HTML string is made. */
import { type ComponentChildren, h, type VNode } from "preact";
import { useId, useRef } from "preact/hooks";
import type { Token } from "markdown-it";
import { type Block, isSafeLink, type Parsed, parseGrowing, parseMarkdown } from "../markdown.ts";
import type { MathMeta } from "../math.ts";
import { CodeBlock } from "./code.tsx";
import { Formula } from "./formula.tsx";
import { Table } from "./table.tsx";

/** `growing`: the text is still being written. */
export function Markdown({ text, growing }: { text: string; growing: boolean }) {
  const before = useRef<Parsed | null>(null);
  const drawn = useRef(new WeakMap<Block, VNode>());
  const id = useId();
  const parsed = growing ? parseGrowing(text, before.current) : complete(text, before.current);
  before.current = parsed;
  return (
    <div class={growing ? "md growing" : "md"}>
      {parsed.blocks.map((block, index) => {
        const last = growing && index === parsed.blocks.length - 1;
        // With the same element object, Preact skips a finished block.
        const known = last ? undefined : drawn.current.get(block);
        if (known !== undefined) return known;
        const vnode = <Finished key={block.key} tokens={block.tokens} growing={last} id={id} />;
        if (!last) drawn.current.set(block, vnode);
        return vnode;
      })}
    </div>
  );
}

/** The results of complete parsing. They are not parsed again. */
const whole = new WeakSet<Parsed>();
function complete(text: string, before: Parsed | null): Parsed {
  if (before !== null && whole.has(before) && before.source === text) return before;
  const parsed = parseMarkdown(text);
  whole.add(parsed);
  return parsed;
}

/** `id`: the prefix for the ids of the text's footnotes. */
type Context = { growing: boolean; id: string };

function Finished({ tokens, ...context }: { tokens: Token[] } & Context) {
  return <>{draw(tokens, context)}</>;
}

/** Elements that are drawn as they are. Headings are two levels lower, because the page has its own h1 and h2. */
const TAGS: Record<string, string> = {
  p: "p",
  h1: "h3",
  h2: "h4",
  h3: "h5",
  h4: "h6",
  h5: "h6",
  h6: "h6",
  thead: "thead",
  tbody: "tbody",
  tr: "tr",
  strong: "strong",
  em: "em",
  s: "s",
};

/** In these elements, the part beside the text (a bullet, a line, columns) is on the side where the text begins. */
const CONTAINERS = new Set(["ul", "ol", "blockquote", "table"]);

type Open = { token: Token; children: ComponentChildren[]; dir: Direction };
type Direction = "ltr" | "rtl" | "auto";

function draw(tokens: Token[], context: Context): ComponentChildren[] {
  const root: ComponentChildren[] = [];
  const stack: Open[] = [];
  const add = (child: ComponentChildren) => (stack.at(-1)?.children ?? root).push(child);
  tokens.forEach((token, index) => {
    if (token.nesting === 1) {
      const dir = CONTAINERS.has(token.tag) ? directionOf(tokens, index) : "auto";
      stack.push({ token, children: [], dir });
    } else if (token.nesting === -1) {
      const open = stack.pop();
      if (open !== undefined) add(element(open, context));
    } else {
      add(leaf(token, context));
    }
  });
  return root;
}

function element({ token, children, dir }: Open, { growing, id }: Context): ComponentChildren {
  if (token.hidden) return children; // the paragraphs of a tight list
  switch (token.type) {
    case "footnote_block_open":
      return (
        <section class="footnotes" role="doc-endnotes" aria-label="Footnotes">
          <ol>{children}</ol>
        </section>
      );
    case "footnote_open":
      return (
        <li id={noteId(id, token)} dir="auto" tabIndex={-1}>
          {children}
        </li>
      );
  }
  switch (token.tag) {
    case "ul":
    case "blockquote":
      return h(token.tag, { dir }, children);
    case "ol":
      return (
        <ol start={Number(token.attrGet("start") ?? 1)} dir={dir}>
          {children}
        </ol>
      );
    case "li":
      return (
        <li dir="auto" class={token.meta === null ? undefined : "task"}>
          {token.meta !== null && <Box done={token.meta["done"] === true} />}
          {children}
        </li>
      );
    case "table":
      return (
        <Table dir={dir} growing={growing}>
          {children}
        </Table>
      );
    case "th":
    case "td":
      return h(token.tag, { class: alignment(token), dir: "auto" }, children);
    case "a":
      return <Link href={attribute(token, "href")}>{children}</Link>;
    default: {
      const tag = TAGS[token.tag];
      if (tag === undefined) return children;
      return h(tag, token.block && !tag.startsWith("t") ? { dir: "auto" } : null, children);
    }
  }
}

function leaf(token: Token, context: Context): ComponentChildren {
  const { growing, id } = context;
  switch (token.type) {
    case "inline":
      return draw(token.children ?? [], context);
    case "fence":
      return <CodeBlock language={token.info.trim().split(/\s+/)[0] ?? ""} code={token.content} growing={growing} />;
    case "code_block":
      return <CodeBlock language="" code={token.content} growing={growing} />;
    case "code_inline":
      return <code dir="auto">{token.content}</code>;
    case "math_inline":
    case "math_block":
      return <Formula tex={token.content} {...(token.meta as unknown as MathMeta)} />;
    case "footnote_ref": {
      const number = Number(token.meta?.["id"]) + 1;
      return (
        <sup id={referenceId(id, token)} tabIndex={-1}>
          <Jump to={noteId(id, token)} role="doc-noteref" label={`Footnote ${number}`}>
            {number}
          </Jump>
        </sup>
      );
    }
    case "footnote_anchor":
      return (
        <>
          {" "}
          <Jump to={referenceId(id, token)} role="doc-backlink" label="Back to the text">
            ↩
          </Jump>
        </>
      );
    case "image":
      // Pictures are not loaded: the request would send the model's text in the address to another server.
      return <Link href={attribute(token, "src")}>Image: {token.content || "without a description"}</Link>;
    case "softbreak":
      return "\n";
    case "hardbreak":
      return <br />;
    case "hr":
      return <hr />;
    default:
      return token.content;
  }
}

/** A task of a task list. */
function Box({ done }: { done: boolean }) {
  return <input type="checkbox" checked={done} disabled aria-label={done ? "Done" : "Not done"} />;
}

function noteId(id: string, token: Token): string {
  return `${id}-note-${Number(token.meta?.["id"])}`;
}

/** The id of a reference. A footnote may have several. */
function referenceId(id: string, token: Token): string {
  return `${noteId(id, token)}-${Number(token.meta?.["subId"])}`;
}

type JumpProps = { to: string; role: "doc-noteref" | "doc-backlink"; label: string; children: ComponentChildren };

/** A link within the same text. The page's address does not change. */
function Jump({ to, role, label, children }: JumpProps) {
  const jump = (event: MouseEvent) => {
    event.preventDefault();
    document.getElementById(to)?.focus();
  };
  return (
    <a href={`#${to}`} role={role} aria-label={label} onClick={jump}>
      {children}
    </a>
  );
}

function Link({ href, children }: { href: string; children: ComponentChildren }) {
  if (!isSafeLink(href)) return <>{children}</>;
  return (
    <a href={href} target="_blank" rel="noopener noreferrer">
      {children}
    </a>
  );
}

function attribute(token: Token, name: string): string {
  return String(token.attrGet(name) ?? "");
}

function alignment(token: Token): string {
  const style = attribute(token, "style");
  if (style.includes("right")) return "text-right";
  if (style.includes("left")) return "text-left";
  return style.includes("center") ? "text-center" : "text-start";
}

const RIGHT_TO_LEFT =
  /[\p{Script=Arabic}\p{Script=Hebrew}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}\p{Script=Adlam}]/u;

/** The direction that `dir="auto"` would find, which ignores children with their own `dir`. */
function directionOf(tokens: Token[], at: number): Direction {
  for (let index = at + 1; index < tokens.length && tokens[index]!.level > tokens[at]!.level; index++) {
    const { type, content } = tokens[index]!;
    const letter = type === "inline" ? /\p{L}/u.exec(content)?.[0] : undefined;
    if (letter !== undefined) return RIGHT_TO_LEFT.test(letter) ? "rtl" : "ltr";
  }
  return "auto";
}
