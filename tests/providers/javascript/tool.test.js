import assert from "node:assert/strict";
import { test } from "node:test";

import { measure, TEXT_MAX_CHARS } from "./tool.js";

test("words are counted in any script, and signs are none", () => {
  assert.deepEqual(measure("Well-being, isn't it? Ünïcode — 42!"), { words: 5, minutes: 1 });
  assert.deepEqual(measure(""), { words: 0, minutes: 0 });
});

test("what is too long is refused in words", () => {
  assert.throws(() => measure("x".repeat(TEXT_MAX_CHARS + 1)), /at most 100000/);
});
