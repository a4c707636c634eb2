/** Draws markdown: tokens become elements, from a list of what is allowed. No HTML string exists on the way. */
import { type ComponentChildren, h, type VNode } from "preact";
import { useRef } from "preact/hooks";
import type { Token } from "markdown-it";
import { type Block, isSafeLink, type Parsed, parseGrowing, parseMarkdown } from "../markdown.ts";
import { CodeBlock } from "./code.tsx";

/** `growing`: the text is still being written. */
export function Markdown({ text, growing }: { text: string; growing: boolean }) {
  const before = useRef<Parsed | null>(null);
  const drawn = useRef(new WeakMap<Block, VNode>());
  const parsed = growing ? parseGrowing(text, before.current) : complete(text, before.current);
  before.current = parsed;
  return (
    <div class={growing ? "md growing" : "md"}>
      {parsed.blocks.map((block, index) => {
        const last = growing && index === parsed.blocks.length - 1;
        // The same element object as before makes Preact skip a finished block.
        const known = last ? undefined : drawn.current.get(block);
        if (known !== undefined) return known;
        const vnode = <Finished key={block.key} tokens={block.tokens} growing={last} />;
        if (!last) drawn.current.set(block, vnode);
        return vnode;
      })}
    </div>
  );
}

/** A text that has not changed since it was parsed whole is not parsed again. */
const whole = new WeakSet<Parsed>();
function complete(text: string, before: Parsed | null): Parsed {
  if (before !== null && whole.has(before) && before.source === text) return before;
  const parsed = parseMarkdown(text);
  whole.add(parsed);
  return parsed;
}

function Finished({ tokens, growing }: { tokens: Token[]; growing: boolean }) {
  return <>{draw(tokens, growing)}</>;
}

/** Elements that are drawn as they are. Headings move down: the page has its own h1 and h2. */
const TAGS: Record<string, string> = {
  p: "p",
  h1: "h3",
  h2: "h4",
  h3: "h5",
  h4: "h6",
  h5: "h6",
  h6: "h6",
  ul: "ul",
  li: "li",
  blockquote: "blockquote",
  thead: "thead",
  tbody: "tbody",
  tr: "tr",
  strong: "strong",
  em: "em",
  s: "s",
};

type Open = { token: Token; children: ComponentChildren[] };

function draw(tokens: Token[], growing: boolean): ComponentChildren[] {
  const root: ComponentChildren[] = [];
  const stack: Open[] = [];
  const add = (child: ComponentChildren) => (stack.at(-1)?.children ?? root).push(child);
  for (const token of tokens) {
    if (token.nesting === 1) {
      stack.push({ token, children: [] });
    } else if (token.nesting === -1) {
      const open = stack.pop();
      if (open !== undefined) add(element(open));
    } else {
      add(leaf(token, growing));
    }
  }
  return root;
}

function element({ token, children }: Open): ComponentChildren {
  if (token.hidden) return children; // the paragraphs of a tight list
  switch (token.tag) {
    case "ol":
      return <ol start={Number(token.attrGet("start") ?? 1)}>{children}</ol>;
    case "table":
      return (
        <div class="md-table" tabIndex={0} role="group" aria-label="Table">
          <table>{children}</table>
        </div>
      );
    case "th":
    case "td":
      return h(token.tag, { class: alignment(token) }, children);
    case "a":
      return <Link href={attribute(token, "href")}>{children}</Link>;
    default: {
      const tag = TAGS[token.tag];
      return tag === undefined ? children : h(tag, null, children);
    }
  }
}

function leaf(token: Token, growing: boolean): ComponentChildren {
  switch (token.type) {
    case "inline":
      return draw(token.children ?? [], growing);
    case "fence":
      return <CodeBlock language={token.info.trim().split(/\s+/)[0] ?? ""} code={token.content} growing={growing} />;
    case "code_block":
      return <CodeBlock language="" code={token.content} growing={growing} />;
    case "code_inline":
      return <code>{token.content}</code>;
    case "image":
      // Not loaded: asking another server for a picture would tell it what the model was made to write in the address.
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
  return style.includes("center") ? "text-center" : "text-left";
}
