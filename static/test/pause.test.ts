/** A limit that is reached: the message stays, the wait is known, and the next message that is taken ends it. */
import { answers, asked, conversationOf, settled } from "./tab.ts";
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import * as chat from "../src/state/chat.ts";
import { readDraft, writeDraft } from "../src/state/drafts.ts";
import { endPause, isPaused, resumesAt } from "../src/state/pause.ts";
import { session } from "../src/state/session.ts";

const C = "00000000-0000-7000-8000-000000000001";

function refused(code: string, headers: Record<string, string>): Response {
  return Response.json({ code, detail: "It is used up." }, { status: 429, headers });
}

beforeEach(() => {
  session.value = { at: "in", user: { id: "u", email: "", name: "", role: "user", created_at: "" } };
  answers.set(`GET /api/conversations/${C}`, () => Response.json(conversationOf(C, {})));
  answers.set(`GET /api/conversations/${C}/messages`, () => Response.json({ items: [], next_cursor: null }));
});

afterEach(async () => {
  chat.leave();
  endPause();
  answers.clear();
  for (const key of Object.keys(sessionStorage)) sessionStorage.removeItem(key);
  await settled();
  asked.length = 0;
});

test("who sends too much is told for how long, and the draft stays", async () => {
  answers.set(`POST /api/conversations/${C}/messages`, () => refused("rate_limited", { "Retry-After": "6" }));
  await chat.open(C);
  writeDraft(C, "Hello?");
  const before = Date.now();
  assert.equal(await chat.say("Hello?"), false);
  assert.ok(isPaused() && resumesAt.value !== null && Math.abs(resumesAt.value - before - 6_000) < 1_000);
  assert.equal(chat.problem.value, null, "it is said once");
  assert.equal(readDraft(C), "Hello?");
});

test("a budget that is used up is said in the server's words, without a countdown", async () => {
  answers.set(`POST /api/conversations/${C}/messages`, () => refused("budget", { "Retry-After": "40000" }));
  await chat.open(C);
  assert.equal(await chat.say("Hello?"), false);
  assert.equal(isPaused(), false);
  assert.equal(chat.problem.value, "It is used up.");
});
