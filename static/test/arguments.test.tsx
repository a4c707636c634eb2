import assert from "node:assert/strict";
import { test } from "node:test";
import { renderToString } from "preact-render-to-string";
import { readArguments, readParameters, visible } from "../src/arguments.ts";
import { duration, timeLeft } from "../src/durations.ts";
import { Arguments } from "../src/views/arguments.tsx";

const html = (value: unknown) => renderToString(<Arguments value={value} />);

test("arguments are names and values, and only what is nested is JSON", () => {
  assert.deepEqual(
    readArguments({
      text: "a b",
      count: 3,
      sure: false,
      none: null,
      blank: "",
      tags: ["a", 2],
      list: [],
      deep: { a: [1] },
    }),
    [
      { name: "text", value: { as: "text", text: "a b" } },
      { name: "count", value: { as: "text", text: "3" } },
      { name: "sure", value: { as: "text", text: "false" } },
      { name: "none", value: { as: "text", text: "null" } },
      { name: "blank", value: { as: "empty" } },
      { name: "tags", value: { as: "lines", lines: ["a", "2"] } },
      { name: "list", value: { as: "empty" } },
      { name: "deep", value: { as: "json", text: '{\n  "a": [\n    1\n  ]\n}' } },
    ],
  );
});

test("what a model wrote instead of an object is shown as it is", () => {
  assert.equal(readArguments('{"a": '), '{"a": ');
  assert.equal(readArguments([1]), "[1]");
  assert.deepEqual(readArguments(undefined), []);
  assert.match(html({}), /No arguments/);
});

test("characters that hide or turn text are written out", () => {
  assert.equal(visible("pay 10\u202e001 \u200bEUR\u0000"), "pay 10⟨U+202E⟩001 ⟨U+200B⟩EUR⟨U+0000⟩");
  assert.equal(visible("tag\u{e0041} half\ud800"), "tag⟨U+E0041⟩ half⟨U+D800⟩");
  const plain = "line\n\tnext ü 漢 שלום 👩‍🚀 می‌خواهم";
  assert.equal(visible(plain), plain);
  assert.doesNotMatch(html({ "k\u202e": "v\u202e", deep: { a: "\u202e" }, list: ["\u202e"] }), /\u202e/);
});

test("HTML in arguments stays text", () => {
  assert.doesNotMatch(html({ "<b>": '<img src=x onerror="alert(1)">' }), /<(b|img)/);
});

test("a long value is folded and says how long it is, a short one is whole", () => {
  assert.match(html({ text: "x".repeat(5000) }), /Show all 5,000 characters/);
  assert.match(html({ text: "line\n".repeat(50) }), /Show all 250 characters/);
  assert.doesNotMatch(html({ text: "x".repeat(300) }), /Show all/);
  assert.doesNotMatch(html({ text: "x".repeat(279) + "👩" + "x".repeat(200) }), /[\ud800-\udbff](?![\udc00-\udfff])/);
});

test("a tool's parameters are read from any schema", () => {
  const schema = {
    properties: { to: { type: "string", description: "Whom" }, when: { type: ["string", "null"] }, any: true },
    required: ["to"],
  };
  assert.deepEqual(readParameters(schema), [
    { name: "to", type: "string", description: "Whom", required: true },
    { name: "when", type: "string or null", description: "", required: false },
    { name: "any", type: "", description: "", required: false },
  ]);
  for (const odd of [null, true, [], "x", { properties: [] }, { properties: null, required: 1 }])
    assert.deepEqual(readParameters(odd), []);
});

test("times are told in words", () => {
  assert.deepEqual([340, 2400, 59_960, 65_400, 120_000].map(duration), [
    "340 ms",
    "2.4 s",
    "1 min",
    "1 min 5 s",
    "2 min",
  ]);
  assert.deepEqual([-5, 1_999, 59_999, 60_000, 599_999, 3 * 3_600_000, 50 * 3_600_000].map(timeLeft), [
    "0 seconds",
    "1 second",
    "59 seconds",
    "1 minute",
    "9 minutes",
    "3 hours",
    "2 days",
  ]);
});
