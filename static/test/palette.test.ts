/** What the palette offers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type Choice, matching, MAX_OF_GROUP, moved } from "../src/state/palette.ts";

const choice = (label: string): Choice => ({ id: label, label, choose: () => undefined });
const labels = (typed: string, all: string[]) => matching(all.map(choice), typed).map(({ label }) => label);

test("every word that is typed begins a word, whatever its case and accents", () => {
  const all = ["Über die Häuser", "Houses in Rome", "A house", "東京 の 地図"];
  assert.deepEqual(labels("hau UBER", all), ["Über die Häuser"]);
  assert.deepEqual(labels("hous", all), ["Houses in Rome", "A house"]);
  assert.deepEqual(labels("ouse", all), []);
  assert.deepEqual(labels("東", all), ["東京 の 地図"]);
  assert.deepEqual(labels(" ", all), all);
});

test("there are few of each kind", () => {
  assert.equal(labels("", Array.from({ length: 20 }, (_, number) => `Chat ${number}`)).length, MAX_OF_GROUP);
});

test("the arrows go round", () => {
  assert.deepEqual([moved(0, -1, 3), moved(2, 1, 3), moved(1, 1, 3), moved(0, 1, 0)], [2, 0, 2, 0]);
});
