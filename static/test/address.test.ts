/** The address bar, copies of conversations, and frames. */
import "./tab.ts";
import assert from "node:assert/strict";
import { test } from "node:test";
import { effect, signal } from "@preact/signals";
import { NEW, type Ready, reduce } from "../src/chat.ts";
import { findCopy, forgetCopies, forgetCopy, keepCopy } from "../src/state/copies.ts";
import { eachFrame } from "../src/state/frames.ts";
import {
  administrationPath,
  conversationPath,
  follow,
  navigate,
  parsePath,
  route,
  SECTIONS,
} from "../src/state/route.ts";
import { conversationOf, until } from "./tab.ts";

const ID = "00000000-0000-7000-8000-000000000001";

test("an address says what is shown", () => {
  assert.deepEqual(parsePath("/"), { page: "new" });
  assert.deepEqual(parsePath("/settings/tools"), { page: "tools" });
  assert.deepEqual(parsePath("/invitation"), { page: "invitation" });
  assert.deepEqual(parsePath("/password-reset"), { page: "password-reset" });
  for (const section of SECTIONS)
    assert.deepEqual(parsePath(administrationPath(section)), { page: "administration", section });
  assert.deepEqual(parsePath(conversationPath(ID)), { page: "conversation", id: ID });
  assert.deepEqual(parsePath(`/c/${ID}/`), { page: "conversation", id: ID });
  for (const path of [
    "/c/",
    "/c/x",
    "/settings",
    "/settings/administration",
    "/settings/administration/x",
    `/c/${ID}/more`,
    "//",
  ])
    assert.equal(parsePath(path).page, "unknown");
});

test("going somewhere changes the address, and the browser's buttons lead back", () => {
  navigate(conversationPath(ID));
  assert.deepEqual([location.pathname, route.value], [`/c/${ID}`, { page: "conversation", id: ID }]);
  location.pathname = "/";
  window.dispatchEvent(new Event("popstate"));
  assert.deepEqual(route.value, { page: "new" });
});

test("a click stays in the page, unless it is one for another tab or window", () => {
  const click = (fields: Partial<MouseEvent>): boolean => {
    let stayed = false;
    const event = { defaultPrevented: false, button: 0, preventDefault: () => (stayed = true), ...fields };
    follow(event as unknown as MouseEvent, "/settings/tools");
    return stayed;
  };
  for (const fields of [
    { ctrlKey: true },
    { metaKey: true },
    { shiftKey: true },
    { button: 1 },
    { defaultPrevented: true },
  ])
    assert.equal(click(fields), false);
  assert.equal(click({}), true);
  assert.deepEqual(route.value, { page: "tools" });
});

function copyOf(id: string): Ready {
  const piece = { messages: [], before: null };
  const opened = reduce(NEW, { type: "opened", id });
  const state = reduce(opened, { type: "loaded", conversation: conversationOf(id), piece, at: new Date(0) });
  assert.ok(state.at === "ready");
  return state;
}

test("the conversations that were open last are kept, ten of them, until they are to be forgotten", () => {
  for (let index = 0; index < 11; index++) keepCopy(copyOf(`c${index}`));
  assert.deepEqual([findCopy("c0"), findCopy("c1")?.conversation.id], [undefined, "c1"]);
  keepCopy(copyOf("c1"));
  keepCopy(copyOf("c11"));
  assert.deepEqual([findCopy("c1")?.conversation.id, findCopy("c2")], ["c1", undefined]);
  forgetCopy("c1");
  assert.equal(findCopy("c1"), undefined);
  forgetCopies();
  assert.equal(findCopy("c11"), undefined);
});

test("many changes are one in a frame, in their order, and none is left behind", async () => {
  const text = signal("");
  let drawn = -1;
  effect(() => void (text.value, drawn++));
  const frames = eachFrame<string>((piece) => (text.value += piece));
  for (const piece of ["a", "b", "c"]) frames.push(piece);
  assert.equal(text.value, "");
  await until(() => text.value === "abc", "a frame");
  assert.equal(drawn, 1);
  frames.push("d");
  frames.flush();
  assert.equal(text.value, "abcd");
});
