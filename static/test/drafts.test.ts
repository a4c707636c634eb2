/** Drafts: text that was typed but not sent. */
import "./tab.ts";
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { draftKey, forgetDrafts, moveDraft, NEW_CHAT, ownDrafts, readDraft, writeDraft } from "../src/state/drafts.ts";

beforeEach(() => {
  for (const key of Object.keys(sessionStorage)) sessionStorage.removeItem(key);
});

test("each conversation has its own draft, and an empty one is none", () => {
  writeDraft("a", "one");
  writeDraft("b", "two");
  assert.deepEqual([readDraft("a"), readDraft("b"), readDraft("c")], ["one", "two", ""]);
  writeDraft("a", "");
  assert.deepEqual(Object.keys(sessionStorage), ["ea.draft.b"]);
});

test("the key stays as long as the text does, and another text has another", () => {
  const key = draftKey("a", "one");
  assert.match(key, /^[0-9a-f]{32}$/);
  writeDraft("a", "one");
  assert.equal(draftKey("a", "one"), key);
  assert.notEqual(draftKey("a", "two"), key);
  assert.notEqual(draftKey("b", "one"), key);
});

test("the key of files without a text stays as long as they do, in the new conversation too", () => {
  const key = draftKey(NEW_CHAT, "", ["f", "g"]);
  assert.equal(draftKey(NEW_CHAT, "", ["f", "g"]), key);
  moveDraft(NEW_CHAT, "a");
  assert.equal(draftKey("a", "", ["f", "g"]), key);
  assert.equal(readDraft("a"), "");
  assert.notEqual(draftKey("a", "", ["f"]), key);
  writeDraft("a", "");
  assert.deepEqual(Object.keys(sessionStorage), []);
});

test("what was typed in a new chat goes with it, and its key too", () => {
  const key = draftKey(NEW_CHAT, "one");
  moveDraft(NEW_CHAT, "a");
  assert.deepEqual([readDraft(NEW_CHAT), readDraft("a"), draftKey("a", "one")], ["", "one", key]);
  moveDraft(NEW_CHAT, "a");
  assert.equal(readDraft("a"), "one");
});

test("drafts are for who wrote them, and nothing else in the storage is touched", () => {
  sessionStorage.setItem("other", "kept");
  ownDrafts("ada");
  writeDraft("a", "one");
  ownDrafts("ada");
  assert.equal(readDraft("a"), "one");
  ownDrafts("eve");
  assert.equal(readDraft("a"), "");
  writeDraft("a", "two");
  forgetDrafts();
  assert.deepEqual(Object.keys(sessionStorage), ["other"]);
});

test("a text that the storage has no room for is no error", (t) => {
  t.mock.method(sessionStorage, "setItem", () => {
    throw new DOMException("full", "QuotaExceededError");
  });
  writeDraft("a", "x");
  assert.equal(readDraft("a"), "");
});
