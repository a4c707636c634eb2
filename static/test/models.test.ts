/** Which model answers: the person's choice for the next conversation, or the shown one. */
import { answers, asked, conversationOf, refusal, runOf, said, settled } from "./tab.ts";
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import * as chat from "../src/state/chat.ts";
import { forgetModels, loadModels, models } from "../src/state/models.ts";
import { navigate } from "../src/state/route.ts";
import { session } from "../src/state/session.ts";
import { wordsOf } from "../src/views/run-details.tsx";

const C = "00000000-0000-7000-8000-000000000001";
const body = (method: string, path: string) =>
  asked.find((request) => request.method === method && request.path === path)?.body;

beforeEach(() => {
  session.value = { at: "in", user: { id: "u", email: "", name: "", role: "user", created_at: "" } };
  const items = [
    { id: "big", default: false },
    { id: "small", default: true },
  ];
  answers.set("GET /api/models", () => Response.json({ items, next_cursor: null }));
});

afterEach(async () => {
  chat.leave();
  forgetModels();
  answers.clear();
  await settled();
  asked.length = 0;
  navigate("/");
});

test("the default answers until the person chooses, and what they chose begins the next conversation", async () => {
  await loadModels();
  assert.deepEqual([models.value.map(({ id }) => id), chat.answeringModel.value], [["big", "small"], "small"]);
  assert.equal(await chat.chooseModel("big"), true);
  assert.equal(chat.answeringModel.value, "big");
  answers.set("POST /api/conversations", () => Response.json(conversationOf(C, { model: "big" }), { status: 201 }));
  await chat.say("Hello");
  assert.deepEqual(body("POST", "/api/conversations"), { model: "big" });
});

test("without a choice a conversation names no model", async () => {
  await loadModels();
  answers.set("POST /api/conversations", () => Response.json(conversationOf(C), { status: 201 }));
  await chat.say("Hello");
  assert.deepEqual(body("POST", "/api/conversations"), {});
});

test("a choice in a conversation is stored with it, and one that is refused says why", async () => {
  const messages = said(C, "r1", "Hello", "Hi");
  answers.set(`GET /api/conversations/${C}`, () => Response.json(conversationOf(C)));
  answers.set(`GET /api/conversations/${C}/messages`, () => Response.json({ items: messages.toReversed(), next_cursor: null }));
  answers.set("GET /api/runs/r1", () => Response.json(runOf("r1", C)));
  await chat.open(C);
  answers.set(`PATCH /api/conversations/${C}`, () => Response.json(conversationOf(C, { model: "big" })));
  assert.equal(await chat.chooseModel("big"), true);
  assert.deepEqual([body("PATCH", `/api/conversations/${C}`), chat.answeringModel.value], [{ model: "big" }, "big"]);
  answers.set(`PATCH /api/conversations/${C}`, () => refusal(422, "invalid_field", "Not offered."));
  assert.equal(await chat.chooseModel("huge"), false);
  assert.deepEqual([chat.problem.value, chat.answeringModel.value], ["Not offered.", "big"]);
});

test("a run says who answered and for how much, as far as it is known", () => {
  const run = { ...runOf("r1", C), model: "m", usage: { prompt_tokens: 1200, completion_tokens: 30, total_tokens: 1230 } };
  const words = wordsOf({ ...run, provider: "near", cost: { amount: 0.0012, currency: "EUR" } });
  assert.ok(words.startsWith("m from near · ") && words.includes("30 written") && words.includes("0.0012"), words);
  assert.equal(wordsOf({ ...run, usage: null }), "m");
  assert.match(wordsOf({ ...run, created_at: "2026-01-02T12:04:00Z" }), /2026.* · m/);
});
