/** Texts of models and how they are drawn: each file `markdown/*.md` beside its HTML. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { renderToString } from "preact-render-to-string";
import { parseGrowing, parseMarkdown, type Parsed } from "../src/markdown.ts";
import { Markdown } from "../src/views/markdown.tsx";

const folder = new URL("markdown/", import.meta.url);
const read = (name: string) => readFileSync(new URL(name, folder), "utf8");

for (const name of readdirSync(folder).filter((file) => file.endsWith(".md"))) {
  const text = read(name);
  const page = name.replace(/md$/, "html");

  test(`${name} is drawn as ${page}`, () => {
    // One element a line, for readable differences.
    const drawn = renderToString(<Markdown text={text} growing={false} />).replace(
      /<(?:p|[uo]l|li|table|t[rdh]|section|blockquote)\b/g,
      "\n$&",
    );
    assert.equal(`${drawn}\n`, read(page));
  });

  test(`${name} is drawn while it is written as if it had come whole`, () => {
    let parsed: Parsed | null = null;
    for (let end = 1; end <= text.length; end++) {
      parsed = parseGrowing(text.slice(0, end), parsed);
      const whole = parseGrowing(text.slice(0, end), null);
      assert.deepEqual(shape(parsed), shape(whole), `up to ${end}`);
    }
    if (!text.includes("[^")) assert.deepEqual(shape(parsed!), shape(parseMarkdown(text)));
  });
}

function shape({ blocks }: Parsed): unknown {
  return blocks.map(({ key, tokens }) => [
    key,
    tokens.map((token) => [token.type, token.content, token.children?.map((child) => [child.type, child.content])]),
  ]);
}
