import assert from "node:assert/strict";
import { test } from "node:test";
import { renderToString } from "preact-render-to-string";
import { parseGrowing, parseMarkdown, type Parsed } from "../src/markdown.ts";
import { Markdown } from "../src/views/markdown.tsx";

const html = (text: string) => renderToString(<Markdown text={text} growing={false} />);

test("what a model writes becomes elements, and its HTML stays text", () => {
  assert.match(
    html("**bold** and `code`"),
    /<p dir="auto"><strong>bold<\/strong> and <code dir="auto">code<\/code><\/p>/,
  );
  const attack = html('<img src=x onerror="alert(1)"> <script>alert(1)</script>\n\n<iframe src="//x"></iframe>');
  assert.doesNotMatch(attack, /<(img|script|iframe)/);
  assert.match(attack, /&lt;img/);
});

test("only links that open a page or a mail are links, and they open apart", () => {
  for (const url of [
    "javascript:alert(1)",
    "JaVaScRiPt:alert(1)",
    "data:text/html,x",
    "vbscript:x",
    "file:///etc/passwd",
    "/api/x",
    "//evil.example",
    "&#106;avascript:alert(1)",
    "java\tscript:alert(1)",
  ]) {
    assert.doesNotMatch(html(`[x](${url}) <${url}>`), /<a /, url);
  }
  assert.match(
    html("[x](https://example.org/?a=1&b=2)"),
    /<a href="https:\/\/example.org\/\?a=1&amp;b=2" target="_blank" rel="noopener noreferrer">x<\/a>/,
  );
  assert.match(html("[x](mailto:a@example.org)"), /<a href="mailto:/);
  assert.match(html("see https://example.org."), /<a href="https:\/\/example.org"/);
});

test("a picture is offered, not loaded", () => {
  const drawn = html("![the plan](https://evil.example/?secret=1)");
  assert.doesNotMatch(drawn, /<img/);
  assert.match(drawn, /<a href="https:\/\/evil.example[^>]*>Image: the plan<\/a>/);
  assert.doesNotMatch(html("![x](javascript:alert(1))"), /<a /);
});

test("code is shown as it is, with its language", () => {
  const drawn = html('```html onload=x\n<b onclick="x">&amp;</b>\n```');
  assert.match(drawn, /<span>html<\/span>/);
  assert.match(drawn, /&lt;b onclick=&quot;x&quot;>&amp;amp;&lt;\/b>/);
});

test("a table keeps its alignment without inline styles", () => {
  const drawn = html("| a | b |\n| --- | --: |\n| 1 | 2 |");
  assert.match(drawn, /<td class="text-right" dir="auto">2<\/td>/);
  assert.doesNotMatch(drawn, /style=/);
});

test("a text that is made to take long does not", () => {
  const started = performance.now();
  for (const text of ["\\(", "$a ", "$$ a\n", "\\[ ![a](b) ", "[^1]", "[^1]: x\n", "**粗", "- [x] ", "^[", "$$\n"])
    parseMarkdown(text.repeat(20_000));
  assert.ok(performance.now() - started < 10_000);
});

const LONG = `# Title

First *paragraph*
over two lines.

- one

  more of one
- two

1. three
   - four

> quoted
still quoted

\`\`\`rust
fn main() {

}
\`\`\`

| a | b |
| - | - |
| 1 | 2 |

Last\r\nline
===
`;

test("a growing text is drawn as if it had come whole, wherever it was cut", () => {
  for (let size = 1; size < 40; size++) {
    let parsed: Parsed | null = null;
    for (let end = size; end < LONG.length + size; end += size) {
      const text = LONG.slice(0, end);
      parsed = parseGrowing(text, parsed);
      assert.deepEqual(shape(parsed), shape(parseMarkdown(text)), `in pieces of ${size}, up to ${end}`);
    }
  }
});

test("blocks that are finished stay the same objects while the text grows", () => {
  const before = parseGrowing("One.\n\nTwo.\n\nThr", null);
  const after = parseGrowing("One.\n\nTwo.\n\nThree.\n\nFour.", before);
  assert.equal(after.blocks[0], before.blocks[0]);
  assert.equal(after.blocks[1], before.blocks[1]);
  assert.equal(after.blocks.length, 4);
});

function shape({ blocks }: Parsed): unknown {
  return blocks.map(({ key, tokens }) => [
    key,
    tokens.map((token) => [token.type, token.content, token.children?.map((child) => [child.type, child.content])]),
  ]);
}
