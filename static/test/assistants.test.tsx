/** Assistants and settings: what is sent for them, and what a form makes of what was typed. */
import { answers, asked, conversationOf, runOf, said, settled } from "./tab.ts";
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { numberOf, patternInWords, patternsToChoose, settingsInWords, toggled, USUAL } from "../src/settings.ts";
import { forgetAssistants, loadAssistants, nextAssistant, usableAssistants } from "../src/state/assistants.ts";
import * as chat from "../src/state/chat.ts";
import { forgetModels } from "../src/state/models.ts";
import { navigate } from "../src/state/route.ts";
import { session } from "../src/state/session.ts";
import type { Assistant, Tool } from "../src/types.ts";

const C = "00000000-0000-7000-8000-000000000001";
const body = (method: string, path: string) =>
  asked.find((request) => request.method === method && request.path === path)?.body;
const assistant = (id: string, name: string): Assistant => ({
  id,
  name,
  description: "",
  model: null,
  settings: USUAL,
  own: true,
  owner_name: null,
  groups: [],
  created_at: "",
  updated_at: "",
});

beforeEach(() => {
  session.value = { at: "in", user: { id: "u", email: "", name: "", role: "user", created_at: "" } };
});

afterEach(async () => {
  chat.leave();
  forgetAssistants();
  forgetModels();
  answers.clear();
  await settled();
  asked.length = 0;
  navigate("/");
});

test("assistants are listed by name, page by page", async () => {
  const pages = [
    { items: [assistant("1", "B")], next_cursor: "next" },
    { items: [assistant("2", "A")], next_cursor: null },
  ];
  answers.set("GET /api/assistants", () => Response.json(pages.shift()));
  await loadAssistants();
  assert.deepEqual(usableAssistants.value.map(({ name }) => name), ["A", "B"]);
});

test("the assistant that was chosen begins the next chat, and no later one", async () => {
  const chosen = { ...assistant("a", "Translator"), model: "big" };
  nextAssistant.value = chosen;
  assert.equal(chat.answeringModel.value, "big");
  const begun = conversationOf(C, { settings: USUAL, assistant: { id: "a", name: "Translator" } });
  answers.set("POST /api/conversations", () => Response.json(begun, { status: 201 }));
  await chat.say("Hello");
  assert.deepEqual([body("POST", "/api/conversations"), nextAssistant.value], [{ assistant_id: "a" }, null]);
});

test("settings of the shown chat are stored with it", async () => {
  const messages = said(C, "r1", "Hello", "Hi");
  answers.set(`GET /api/conversations/${C}`, () => Response.json(conversationOf(C)));
  answers.set(`GET /api/conversations/${C}/messages`, () => Response.json({ items: messages.toReversed(), next_cursor: null }));
  answers.set("GET /api/runs/r1", () => Response.json(runOf("r1", C)));
  await chat.open(C);
  const settings = { ...USUAL, temperature: 0.5 };
  answers.set(`PATCH /api/conversations/${C}`, () => Response.json(conversationOf(C, { settings })));
  await chat.configure(settings, null);
  assert.deepEqual([body("PATCH", `/api/conversations/${C}`), chat.conversation.value?.settings], [{ settings }, settings]);
});

test("where no assistant can be had, nothing is said without it", async () => {
  nextAssistant.value = assistant("a", "Translator");
  // A host of an earlier release.
  answers.set("POST /api/conversations", () => Response.json(conversationOf(C), { status: 201 }));
  answers.set(`DELETE /api/conversations/${C}`, () => new Response(null, { status: 204 }));
  assert.equal(await chat.say("Hello"), false);
  assert.match(chat.problem.value ?? "", /cannot be begun at the moment/);
  assert.deepEqual([nextAssistant.value.id, body("POST", `/api/conversations/${C}/messages`)], ["a", undefined]);
});

test("an empty field is as usual, and words say what is not", () => {
  assert.deepEqual([numberOf(""), numberOf(" "), numberOf("0"), numberOf("0.5")], [null, null, 0, 0.5]);
  assert.deepEqual(settingsInWords(USUAL), []);
  const set = { instructions: "x", temperature: 0, max_output_tokens: 500, reasoning_effort: "low" as const, tools: [] };
  assert.deepEqual(settingsInWords(set), ["own instructions", "temperature 0", "at most 500 tokens", "reasoning effort low", "no tools"]);
});

test("tools are chosen by server, and what was chosen otherwise stays", () => {
  const tools = ["mail", "clock", "mail"].map((server) => ({ server, name: "t" }) as Tool);
  assert.deepEqual(patternsToChoose(tools, ["mail:send"]), ["clock:*", "mail:*", "mail:send"]);
  assert.deepEqual([toggled(["a"], "b"), toggled(["a", "b"], "a")], [["a", "b"], ["b"]]);
  assert.deepEqual(["mail:*", "mail:send", "*:*"].map(patternInWords), ["mail: all its tools", "mail:send", "*:*"]);
});
