/** How long conversations are kept, in words. */
import { conversationOf } from "./tab.ts";
import assert from "node:assert/strict";
import { test } from "node:test";
import { daysToChoose, goes, goesSoon, inDays } from "../src/retention.ts";

const now = new Date("2026-11-30T12:00:00Z");
const until = (expires_at: string | null) => conversationOf("c", { expires_at });

test("the list says when a conversation goes, as soon as that is near", () => {
  for (const [at, words, soon] of [
    [null, null, false],
    ["2026-12-05T13:00:00Z", "Deleted in 5 days", true],
    ["2026-12-07T11:59:00Z", "Deleted in 7 days", true],
    ["2026-12-20T12:00:00Z", "Deleted in 20 days", false],
    ["2026-11-30T12:30:00Z", "Deleted in 30 minutes", true],
    ["2026-11-30T11:00:00Z", "Deleted soon", true],
  ] as const) {
    assert.deepEqual([goes(until(at), now), goesSoon(until(at), now)], [words, soon]);
  }
  assert.equal(goes(conversationOf("c"), now), null, "a host of an earlier release does not say it");
});

test("what a program has set can be chosen too", () => {
  assert.deepEqual(daysToChoose(conversationOf("c", { retention_days: 14 })), [0, 1, 7, 14, 30, 90, 365]);
  assert.deepEqual(daysToChoose(conversationOf("c")), [0, 1, 7, 30, 90, 365]);
  assert.deepEqual([1, 30, 365].map(inDays), ["1 day", "30 days", "1 year"]);
});
