import assert from "node:assert/strict";
import { test } from "node:test";
import { renderToString } from "preact-render-to-string";
import { piecesOf, readArguments, readParameters } from "../src/arguments.ts";
import { duration, timeLeft } from "../src/durations.ts";
import { readEvent } from "../src/events.ts";
import { add, isWhole, type Span } from "../src/spans.ts";
import { unmistakable, visible } from "../src/visible.ts";
import { Arguments } from "../src/views/arguments.tsx";

const html = (text: string) => renderToString(<Arguments text={text} />);
const whole = (text: string) => renderToString(<Arguments text={text} whole />);
/** The text that a person reads. */
const read = (drawn: string) =>
  drawn
    .replace(/<[^>]*>/g, "")
    .replaceAll("&quot;", '"')
    .replaceAll("&lt;", "<")
    .replaceAll("&amp;", "&");
const shown = (text: string) => {
  const rows = readArguments(text);
  assert.ok(typeof rows !== "string", text);
  return rows.map(({ name, value }) => [name, value.as, value.as === "lines" ? value.lines : value.text]);
};

test("arguments are names and values, and only what is nested is JSON", () => {
  const text = '{"text":"a b","count":3,"sure":false,"none":null,"tags":["a",2],"list":[],"deep":{"a":[1]}}';
  assert.deepEqual(shown(text), [
    ["text", "text", "a b"],
    ["count", "json", "3"],
    ["sure", "json", "false"],
    ["none", "json", "null"],
    ["tags", "lines", ["a", "2"]],
    ["list", "json", "[]"],
    ["deep", "json", '{\n  "a": [\n    1\n  ]\n}'],
  ]);
});

test("numbers are shown as they are written, wherever they are", () => {
  const numbers = ["12345678901234567890", "123456789012345678901234567890.10", "1.10", "-0", "1E400", "0.1e-7"];
  for (const number of numbers) {
    assert.deepEqual(shown(`{"n": ${number}}`), [["n", "json", number]]);
    assert.deepEqual(shown(`{"n": [${number}, "x"]}`), [["n", "lines", [number, "x"]]]);
    assert.match(read(whole(`{"deep": {"n": [${number}, {}]}}`)), new RegExp(`\\s${number.replace(".", "\\.")},`));
  }
});

test("a name that is given twice is there twice, and it is said", () => {
  assert.deepEqual(shown('{"to":"ada","to":"eve"}'), [
    ["to", "text", "ada"],
    ["to", "text", "eve"],
  ]);
  assert.equal(whole('{"to":"ada","to":"eve"}').match(/given more than once/g)?.length, 1);
  assert.match(read(whole('{"deep":{"to":"ada","to":"eve"}}')), /"to": "ada",\s+"to": "eve"/);
});

test("a text is told from what it could be taken for", () => {
  assert.deepEqual(shown('{"a":"3","b":"null","c":"","d":"\\"x\\"","e":["1",1]}'), [
    ["a", "json", '"3"'],
    ["b", "json", '"null"'],
    ["c", "json", '""'],
    ["d", "json", '"\\"x\\""'],
    ["e", "json", '[\n  "1",\n  1\n]'],
  ]);
  assert.deepEqual(shown('{"a":" x\\n","b":["one\\ntwo","three"]}'), [
    ["a", "text", "⟨U+0020⟩x⟨U+000A⟩"],
    ["b", "json", '[\n  "one\\ntwo",\n  "three"\n]'],
  ]);
});

test("what a model wrote instead of an object is shown as it is", () => {
  for (const text of ['{"a": ', "[1]", "{'a': 1}", '{"a":1} x', "[".repeat(100_000)])
    assert.equal(readArguments(text), text);
  assert.deepEqual(readArguments(""), []);
  assert.match(html("{}"), /No arguments/);
});

test("the arguments in an event are read as they are written there", () => {
  const argumentsOf = (args: string) => {
    const event = readEvent(
      `{"type":"tool_approval","content":"t","metadata":{"call_id":"c","arguments":${args},"timestamp":"x"}}`,
    );
    assert.ok(event?.kind === "tool_approval");
    return event.call.arguments;
  };
  for (const text of ['{"n":12345678901234567890}', '{"n": 1.10, "n":2}', '{"metadata":{"arguments":1}}', "{}"])
    assert.equal(argumentsOf(text), text);
  assert.equal(argumentsOf('"{\\"a\\": "'), '{"a": ');
});

const HIDING = [
  0x00, 0x0d, 0x7f, 0x85, 0xa0, 0xad, 0x034f, 0x061c, 0x115f, 0x1160, 0x17b4, 0x180e, 0x2000, 0x2007, 0x200b, 0x200c,
  0x200d, 0x200e, 0x2028, 0x202e, 0x202f, 0x2060, 0x2066, 0x206f, 0x2800, 0x3000, 0x3164, 0xd800, 0xe000, 0xfe00,
  0xfe0f, 0xfeff, 0xffa0, 0xfff9, 0xfffc, 0xffff, 0x1bca0, 0x1d159, 0x1d173, 0xe0001, 0xe0041, 0xe007f, 0xe0100,
  0xe01ef, 0x10ffff,
];

test("characters that hide, turn or imitate text are written out", () => {
  for (const code of HIDING) {
    const name = `⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
    assert.equal(visible(`a${String.fromCodePoint(code)}b`), `a${name}b`);
    const drawn = read(
      whole(JSON.stringify({ [`k${String.fromCodePoint(code)}k`]: `v${String.fromCodePoint(code)}v` })),
    );
    assert.equal(drawn, `k${name}kv${name}v`);
  }
  assert.equal(visible("😀\ufe0f\ufe0f❤\u200d"), "😀\ufe0f⟨U+FE0F⟩❤⟨U+200D⟩");
});

test("text in which joiners and selectors have a meaning stays as it is", () => {
  for (const plain of ["line\n\tnext ü 漢 שלום", "👩‍🚀 ❤️ 👨‍👩‍👧 3️⃣ 👍🏽", "می‌خواهم", "क्‍ष", "naïve e\u0301"])
    assert.equal(visible(plain), plain);
});

test("a letter among others that it looks like is named", () => {
  assert.equal(unmistakable("p\u0430ypal.com"), "p\u0430⟨U+0430⟩ypal.com");
  assert.equal(unmistakable("Привет, мир! αβγ ok"), "Привет, мир! αβγ ok");
});

test("HTML in arguments stays text", () => {
  assert.doesNotMatch(html(JSON.stringify({ "<b>": '<img src=x onerror="alert(1)">' })), /<(b|img)/);
});

test("what a person is asked about is there to its end, in pieces that fit on a screen", () => {
  const text = `${"long ".repeat(2000)}👩${"x\n".repeat(500)}end`;
  const list = Array.from({ length: 40 }, (_, index) => `item ${index}`);
  const drawn = whole(JSON.stringify({ text, list }));
  assert.equal(read(drawn), `text${text}list${list.join("")}`);
  assert.doesNotMatch(drawn, /Show all/);
  const pieces = piecesOf(text);
  assert.equal(pieces.join(""), text);
  assert.ok(pieces.every((piece) => piece.length <= 201 && piece.split("\n").length <= 6));
  assert.ok(pieces.every((piece) => !/\p{Cs}/u.test(piece)));
});

test("parts that were seen become the whole, in whatever order they were seen", () => {
  const seen = (...parts: Span[]) => isWhole(parts.reduce<Span[]>(add, []));
  assert.ok(seen([0, 0.5], [0.4, 1]) && seen([0.7, 1], [0, 0.3], [0.3, 0.7]) && seen([0.01, 0.99]));
  assert.ok(!seen() && !seen([0, 0.9]) && !seen([0.1, 1]) && !seen([0, 0.4], [0.6, 1]));
});

test("a long value of a call that was made is folded and says how long it is, a short one is whole", () => {
  const of = (text: string) => html(JSON.stringify({ text }));
  assert.match(of("x".repeat(5000)), /Show all 5,000 characters/);
  assert.match(of("line\n".repeat(50) + "x"), /Show all 251 characters/);
  assert.doesNotMatch(of("x".repeat(300)), /Show all/);
  assert.doesNotMatch(of("x".repeat(279) + "👩" + "x".repeat(200)), /[\ud800-\udbff](?![\udc00-\udfff])/);
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
