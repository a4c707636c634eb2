/** The shown conversation, with actions of the person, the server and the network. */
import {
  answers,
  asked,
  conversationOf,
  Events,
  held,
  otherTab,
  refusal,
  runOf,
  said,
  setOnline,
  settled,
  until,
} from "./tab.ts";
import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import * as chat from "../src/state/chat.ts";
import { forgetCopies } from "../src/state/copies.ts";
import { readDraft, writeDraft } from "../src/state/drafts.ts";
import { conversations as list, forgetList } from "../src/state/list.ts";
import { navigate, route } from "../src/state/route.ts";
import { session } from "../src/state/session.ts";
import type { Conversation, Message, Run } from "../src/types.ts";

const C = "00000000-0000-7000-8000-000000000001";
const D = "00000000-0000-7000-8000-000000000002";

/** Makes the server have this conversation. */
function serve(id: string, messages: Message[], fields: Partial<Conversation> = {}): void {
  const newest = messages.toReversed();
  answers.set(`GET /api/conversations/${id}`, () => Response.json(conversationOf(id, fields)));
  answers.set(`GET /api/conversations/${id}/messages`, () => Response.json({ items: newest, next_cursor: null }));
  for (const { run_id } of messages) serveRun(runOf(run_id, id));
}

function serveRun(run: Run): Events {
  const events = new Events();
  answers.set(`GET /api/runs/${run.id}`, () => Response.json(run));
  answers.set(`GET /api/runs/${run.id}/events`, events.answer);
  return events;
}

/** Makes the server accept a message and answer with this run. */
function takes(id: string, run: Run): void {
  const message = { id: run.message_id, conversation_id: id, run_id: run.id, role: "user", created_at: "" };
  answers.set(`POST /api/conversations/${id}/messages`, ({ body }) =>
    Response.json({ message: { ...message, ...(body as object) }, run }, { status: 201 }),
  );
}

/** The turns on the screen as text. */
function shown(): string[] {
  const answer = chat.live.value;
  return [...chat.shownTurns.value, ...(answer === null ? [] : [answer])].map((turn) =>
    turn.kind === "user"
      ? turn.text
      : `${turn.phase}: ${turn.parts.map((part) => (part.kind === "tool" ? part.name : part.text)).join("|")}`,
  );
}

const requests = (method: string, path: string) =>
  asked.filter((request) => request.method === method && request.path.startsWith(path));

beforeEach(() => {
  session.value = { at: "in", user: { id: "u", email: "", name: "", role: "user", created_at: "" } };
  serve(C, said(C, "r1", "Hello", "Hi"));
});

afterEach(async () => {
  setOnline(true);
  chat.leave();
  forgetCopies();
  forgetList();
  answers.clear();
  for (const key of Object.keys(sessionStorage)) sessionStorage.removeItem(key);
  await settled();
  asked.length = 0;
});

test("a conversation is loading, and then there", async () => {
  const opening = chat.open(C);
  assert.equal(chat.chatAt.value, "loading");
  await opening;
  assert.deepEqual([chat.chatAt.value, shown()], ["ready", ["Hello", "ended: Hi"]]);
  assert.equal(chat.answeringModel.value, "scripted");
  assert.deepEqual(
    list.value.map(({ id }) => id),
    [C],
  );
});

test("a conversation that is not there is missing, and one that cannot be loaded says why, until it can", async () => {
  await chat.open(D);
  assert.deepEqual([chat.chatAt.value, chat.failure.value], ["failed", null]);
  serve(D, []);
  answers.set(`GET /api/conversations/${D}`, () => refusal(500, "internal", "Out of order."));
  await chat.open(D);
  assert.deepEqual([chat.chatAt.value, chat.failure.value], ["failed", "Out of order."]);
  serve(D, []);
  await chat.open(D);
  assert.equal(chat.chatAt.value, "ready");
  assert.ok(chat.isEmpty.value);
});

test("once another is opened nothing of the former is shown, however late it comes", async () => {
  serve(D, said(D, "r5", "Other", "Yes"));
  const late = held();
  answers.set(`GET /api/conversations/${C}`, late.answer);
  const first = chat.open(C);
  await chat.open(D);
  late.give(Response.json(conversationOf(C)));
  await first;
  assert.deepEqual([chat.conversationId.value, shown()], [D, ["Other", "ended: Yes"]]);

  serve(C, said(C, "r2", "Go on"), { active_run_id: "r2" });
  const events = serveRun(runOf("r2", C));
  await chat.open(C);
  await until(() => events.isHeard, "the run");
  events.say("token", "Hi");
  await until(() => shown().at(-1) === "writing: Hi", "its first word");
  const opening = chat.open(D);
  assert.deepEqual([chat.chatAt.value, shown(), chat.live.value, chat.busy.value], ["loading", [], null, false]);
  await opening;
  assert.deepEqual(shown(), ["Other", "ended: Yes"]);
});

test("opening what is open does nothing", async () => {
  await chat.open(C);
  asked.length = 0;
  await chat.open(C);
  assert.deepEqual(asked, []);
});

test("a run that is at work is followed to its end, and the title asked for again", async () => {
  serve(C, said(C, "r1", "Hello"), { active_run_id: "r1" });
  const events = serveRun(runOf("r1", C));
  await chat.open(C);
  assert.deepEqual([shown(), chat.busy.value, chat.lastRunId.value], [["Hello", "waiting: "], true, "r1"]);
  await until(() => events.isHeard, "the run");
  answers.set(`GET /api/conversations/${C}`, () => Response.json(conversationOf(C, { title: "Greetings" })));
  events.say("token", "Hi");
  events.say("complete", "", { finish_reason: "stop" });
  await until(() => !chat.busy.value, "the end");
  assert.deepEqual(shown(), ["Hello", "ended: Hi"]);
  assert.deepEqual([chat.live.value, chat.lastRunId.value], [null, "r1"]);
  await until(() => chat.conversation.value?.title === "Greetings", "the title");
});

test("a connection that is lost is said, and not any more when it is back", async () => {
  serve(C, said(C, "r1", "Hello"), { active_run_id: "r1" });
  const events = serveRun(runOf("r1", C));
  await chat.open(C);
  await until(() => events.isHeard, "the run");
  events.say("token", "Hi");
  const again = new Events();
  answers.set("GET /api/runs/r1/events", again.answer);
  const seen: boolean[] = [];
  const stop = chat.connected.subscribe((is) => seen.push(is));
  window.dispatchEvent(new Event("offline"));
  await until(() => again.isHeard, "another connection");
  await until(() => chat.connected.value, "that it is there");
  stop();
  assert.deepEqual(seen, [true, false, true]);
  assert.equal(requests("GET", "/api/runs/r1/events").at(-1)?.headers.get("Last-Event-ID"), "2");
  const here = Intl.DateTimeFormat().resolvedOptions().timeZone;
  assert.equal(requests("GET", "/api/runs/r1/events").at(-1)?.headers.get("Time-Zone"), here);
});

test("a run that ended without a word is what it left behind", async () => {
  serve(C, said(C, "r1", "Hello"), { active_run_id: "r1" });
  answers.set("GET /api/runs/r1/events", () => new Response(null, { status: 204 }));
  const error = { code: "run_abandoned", message: "Nobody came." };
  answers.set("GET /api/runs/r1", () => Response.json(runOf("r1", C, { error })));
  await chat.open(C);
  await until(() => !chat.busy.value, "the end");
  assert.deepEqual([chat.last.value?.error, chat.retryable.value], [error, "r1"]);
});

test("a run that cannot be followed says why", async () => {
  serve(C, said(C, "r1", "Hello"), { active_run_id: "r1" });
  answers.set("GET /api/runs/r1/events", () => refusal(403, "forbidden", "Not yours."));
  await chat.open(C);
  await until(() => !chat.busy.value, "the end");
  assert.equal(chat.last.value?.error?.message, "Not yours.");
});

test("a message is on the screen at once, its draft is forgotten, and the other tabs hear of it", async () => {
  await chat.open(C);
  takes(C, runOf("r2", C));
  serve(C, [...said(C, "r1", "Hello", "Hi"), ...said(C, "r2", "And?")], { updated_at: "2" });
  const events = serveRun(runOf("r2", C));
  const news = new Promise((resolve) =>
    otherTab.addEventListener("message", ({ data }) => resolve(data), { once: true }),
  );
  writeDraft(C, "And?");
  const saying = chat.say("And?");
  assert.deepEqual([shown(), chat.isSending.value, chat.busy.value], [["Hello", "ended: Hi", "And?"], true, true]);
  assert.equal(await chat.say("Twice"), false);
  assert.equal(await saying, true);
  assert.deepEqual(shown(), ["Hello", "ended: Hi", "And?", "waiting: "]);
  assert.equal(readDraft(C), "");
  assert.deepEqual(await news, { kind: "changed", conversationId: C });
  await until(() => events.isHeard, "the answer");
  events.say("token", "Nothing");
  events.say("complete", "");
  await until(() => !chat.busy.value, "its end");
  assert.equal(shown().at(-1), "ended: Nothing");
});

test("what another device said before is there once one speaks here", async () => {
  await chat.open(C);
  takes(C, runOf("r3", C));
  serve(C, [...said(C, "r1", "Hello", "Hi"), ...said(C, "r2", "Elsewhere", "Yes"), ...said(C, "r3", "Here")]);
  await chat.say("Here");
  await until(() => shown().length === 6, "what was said elsewhere");
  assert.deepEqual(shown(), ["Hello", "ended: Hi", "Elsewhere", "ended: Yes", "Here", "waiting: "]);
});

test("the first message makes a conversation, which takes the place of the empty page", async () => {
  answers.set("POST /api/conversations", () => Response.json(conversationOf(D, { title: "" }), { status: 201 }));
  takes(D, runOf("r2", D));
  serve(D, said(D, "r2", "First"));
  navigate("/");
  await chat.open(null);
  writeDraft("new", "First");
  const saying = chat.say("First");
  assert.deepEqual([chat.chatAt.value, chat.isEmpty.value, chat.busy.value], ["new", true, true]);
  assert.equal(await saying, true);
  assert.deepEqual(route.value, { page: "conversation", id: D });
  assert.deepEqual(shown(), ["First", "waiting: "]);
  assert.deepEqual([readDraft("new"), readDraft(D)], ["", ""]);
});

test("a message that could not be sent leaves all as it was, and is sent again with the same key", async () => {
  await chat.open(C);
  writeDraft(C, "Only once");
  answers.set(`POST /api/conversations/${C}/messages`, () => refusal(500, "internal", "Out of order."));
  assert.equal(await chat.say("Only once"), false);
  assert.deepEqual([shown(), chat.problem.value, readDraft(C)], [["Hello", "ended: Hi"], "Out of order.", "Only once"]);
  takes(C, runOf("r2", C));
  assert.equal(await chat.say("Only once"), true);
  assert.equal(chat.problem.value, null);
  const keys = requests("POST", `/api/conversations/${C}/messages`).map(({ headers }) =>
    headers.get("Idempotency-Key"),
  );
  assert.equal(new Set(keys).size, 1);
});

test("a message that had arrived though nobody heard of it is there once", async () => {
  await chat.open(C);
  takes(C, runOf("r1", C));
  assert.equal(await chat.say("Hello"), true);
  assert.deepEqual([shown(), chat.busy.value], [["Hello", "ended: Hi"], false]);
});

test("a person who does not want to wait has the message back", async () => {
  await chat.open(C);
  answers.set(`POST /api/conversations/${C}/messages`, held().answer);
  writeDraft(C, "Wait");
  const saying = chat.say("Wait");
  await settled();
  await chat.stop();
  assert.equal(await saying, false);
  assert.match(chat.problem.value ?? "", /Your message is back/);
  assert.deepEqual([shown(), readDraft(C)], [["Hello", "ended: Hi"], "Wait"]);
  chat.closeProblem();
  assert.equal(chat.problem.value, null);
});

test("what is sent while the person goes elsewhere is sent, and shows nothing there", async () => {
  serve(D, []);
  await chat.open(C);
  const late = held();
  answers.set(`POST /api/conversations/${C}/messages`, late.answer);
  const saying = chat.say("Bye");
  await chat.open(D);
  const message = { id: "m2", conversation_id: C, run_id: "r2", role: "user", content: "Bye", created_at: "" };
  late.give(Response.json({ message, run: runOf("r2", C) }, { status: 201 }));
  assert.equal(await saying, true);
  assert.deepEqual([shown(), chat.busy.value, readDraft(C)], [[], false, ""]);
});

test("what failed after the person went elsewhere is not told there", async () => {
  serve(D, []);
  await chat.open(C);
  const late = held();
  answers.set(`POST /api/conversations/${C}/messages`, late.answer);
  const saying = chat.say("Bye");
  await chat.open(D);
  late.give(refusal(500, "internal", "Out of order."));
  assert.equal(await saying, true);
  assert.deepEqual([chat.problem.value, readDraft(C)], [null, "Bye"]);
});

test("who asks a second time to stop does not wait for the stream, and a double click is one request", async (t) => {
  serve(C, said(C, "r9", "Hello"), { active_run_id: "r9" });
  const events = serveRun(runOf("r9", C));
  await chat.open(C);
  await until(() => events.isHeard, "the run");
  let now = 10_000;
  t.mock.method(performance, "now", () => now);
  answers.set("POST /api/runs/r9/cancel", () => Response.json(runOf("r9", C)));
  await chat.stop();
  now += 200;
  await chat.stop();
  assert.deepEqual([chat.busy.value, requests("POST", "/api/runs/r9/cancel").length], [true, 1]);
  answers.set("POST /api/runs/r9/cancel", () => Response.json({ ...runOf("r9", C), state: "cancelled" }));
  now += 1_000;
  await chat.stop();
  assert.deepEqual([chat.busy.value, chat.stopping.value], [false, false]);
});

test("an answer is stopped once, and that it could not be is said", async () => {
  serve(C, said(C, "r1", "Hello"), { active_run_id: "r1" });
  const events = serveRun(runOf("r1", C));
  await chat.open(C);
  await until(() => events.isHeard, "the run");
  answers.set("POST /api/runs/r1/cancel", () => refusal(500, "internal", "Out of order."));
  await chat.stop();
  assert.deepEqual([chat.stopping.value, chat.problem.value], [false, "Out of order."]);
  answers.set("POST /api/runs/r1/cancel", () => Response.json(runOf("r1", C)));
  await Promise.all([chat.stop(), chat.stop()]);
  assert.deepEqual([chat.stopping.value, chat.problem.value], [true, null]);
  assert.equal(requests("POST", "/api/runs/r1/cancel").length, 2);
  events.say("complete", "", { finish_reason: "cancelled" });
  await until(() => !chat.busy.value, "the end");
  assert.deepEqual([chat.stopping.value, chat.retryable.value], [false, "r1"]);
});

test("a broken answer is tried again in its place", async () => {
  const [question, half] = said(C, "r1", "Hello", "Half of");
  serve(C, [question!, { ...half!, finish_reason: "error" }]);
  const events = serveRun(runOf("r1", C));
  await chat.open(C);
  await until(() => events.isHeard, "the run");
  events.say("token", "Half of");
  events.say("error", "Broke off.", { code: "model_broke_off", retryable: true });
  await until(() => chat.retryable.value === "r1", "the error");
  answers.set("POST /api/runs/r1/retry", () => Response.json({ run: runOf("r2", C) }, { status: 201 }));
  serveRun(runOf("r2", C));
  await chat.retry();
  assert.deepEqual([shown(), chat.retryable.value], [["Hello", "waiting: "], null]);
});

test("where another tab was faster, what is going on is shown", async () => {
  await chat.open(C);
  serve(C, [...said(C, "r1", "Hello", "Hi"), ...said(C, "r2", "From there")], { active_run_id: "r2" });
  answers.set(`POST /api/conversations/${C}/messages`, () => refusal(409, "run_active", "An answer is being written."));
  assert.equal(await chat.say("From here"), false);
  assert.deepEqual(shown(), ["Hello", "ended: Hi", "From there", "waiting: "]);
  assert.equal(chat.problem.value, "An answer is being written.");
});

test("looking around shows what is new, and asks no more than it must", async () => {
  await chat.open(C);
  asked.length = 0;
  await chat.refresh();
  assert.equal(asked.length, 1);
  serve(C, [...said(C, "r1", "Hello", "Hi"), ...said(C, "r2", "More", "Yes")], { updated_at: "2" });
  await chat.refresh();
  assert.deepEqual(shown(), ["Hello", "ended: Hi", "More", "ended: Yes"]);
});

test("what was read is there without a network, says how old it is, and is renewed with it", async () => {
  serve(D, []);
  await chat.open(C);
  setOnline(false);
  chat.goOffline();
  assert.ok(chat.copyFrom.value instanceof Date);
  await chat.open(D);
  assert.equal(chat.chatAt.value, "failed");
  assert.match(chat.failure.value ?? "", /offline/);
  await chat.open(C);
  assert.deepEqual([chat.chatAt.value, shown()], ["ready", ["Hello", "ended: Hi"]]);
  assert.ok(chat.copyFrom.value instanceof Date);
  setOnline(true);
  await chat.refresh();
  assert.equal(chat.copyFrom.value, null);
});

test("an older page is put before, asked for once, and missed in words", async () => {
  const page = (from: number, next: string | null) => {
    const messages = Array.from({ length: 25 }, (_, n) =>
      said(C, `r${from + n}`, `q${from + n}`, `a${from + n}`),
    ).flat();
    return Response.json({ items: messages.reverse(), next_cursor: next });
  };
  let broken = true;
  answers.set(`GET /api/conversations/${C}/messages`, ({ path }) => {
    if (!path.includes("cursor")) return page(25, "older");
    return broken ? refusal(500, "internal", "Out of order.") : page(0, null);
  });
  answers.set("GET /api/runs/r49", () => Response.json(runOf("r49", C)));
  await chat.open(C);
  assert.deepEqual([chat.shownTurns.value.length, chat.hasEarlier.value, chat.isFilling.value], [6, true, true]);
  chat.fill();
  assert.equal(chat.shownTurns.value.length, 8);
  await chat.loadEarlier();
  assert.deepEqual([chat.problem.value, chat.loadingEarlier.value], ["Out of order.", false]);
  broken = false;
  asked.length = 0;
  const loading = [chat.loadEarlier(), chat.loadEarlier()];
  assert.deepEqual([chat.loadingEarlier.value, chat.problem.value], [true, null]);
  await Promise.all(loading);
  assert.deepEqual([asked.length, chat.hasEarlier.value, chat.shownTurns.value.length], [1, false, 8]);
  chat.fill(true);
  assert.deepEqual([chat.shownTurns.value.length, shown()[0]], [100, "q0"]);
});

test("all of a long conversation is loaded for paper", async () => {
  let pages = 0;
  answers.set(`GET /api/conversations/${C}/messages`, () => {
    const messages = Array.from({ length: 25 }, (_, n) => said(C, `p${pages}-${n}`, "q", "a")).flat();
    return Response.json({ items: messages, next_cursor: ++pages < 4 ? "older" : null });
  });
  answers.set("GET /api/runs/p0-0", () => Response.json(runOf("p0-0", C)));
  await chat.open(C);
  await chat.loadWhole();
  assert.deepEqual([pages, chat.hasEarlier.value, chat.isFilling.value], [4, false, false]);
});

test("a session that cannot be renewed brings the login page, and is no problem of the conversation", async () => {
  await chat.open(C);
  writeDraft(C, "Still here");
  for (const path of ["POST /api/conversations/" + C + "/messages", "GET /auth/me", "POST /auth/refresh"])
    answers.set(path, () => refusal(401, "session_expired", "Long ago."));
  assert.equal(await chat.say("Still here"), false);
  assert.ok(session.value.at === "out" && session.value.reason?.includes("still there"));
  assert.deepEqual([chat.problem.value, readDraft(C)], [null, "Still here"]);
});

test("a new title is shown where it belongs", async () => {
  await chat.open(C);
  chat.showRenamed(conversationOf(D, { title: "Not this" }));
  chat.showRenamed(conversationOf(C, { title: "This" }));
  assert.equal(chat.conversation.value?.title, "This");
});

test("a temporary chat is in no list, and is deleted as soon as it is left", async () => {
  const T = "00000000-0000-7000-8000-00000000000f";
  const run = runOf("rt", T);
  serve(T, said(T, "rt", "Between us"), { temporary: true, title: "" });
  serveRun(run);
  takes(T, run);
  answers.set("POST /api/conversations", ({ body }) => {
    assert.deepEqual(body, { temporary: true });
    return Response.json(conversationOf(T, { temporary: true, title: "" }), { status: 201 });
  });
  answers.set(`DELETE /api/conversations/${T}`, () => new Response(null, { status: 204 }));
  await chat.open(null);
  chat.wantsTemporary.value = true;
  assert.ok(chat.isTemporary.value);
  assert.ok(await chat.say("Between us"));
  assert.ok(chat.isTemporary.value);
  assert.deepEqual(list.value, []);
  writeDraft(T, "half a thought");
  await chat.open(C);
  await settled();
  assert.equal(requests("DELETE", `/api/conversations/${T}`).length, 1);
  assert.deepEqual([readDraft(T), chat.isTemporary.value, chat.wantsTemporary.value], ["", false, false]);
  // The next chat is a usual one.
  await chat.open(null);
  assert.equal(chat.isTemporary.value, false);
  assert.equal(requests("DELETE", "/api/conversations").length, 1);
});

test("a temporary chat that has ended meanwhile says so", async () => {
  const T = "00000000-0000-7000-8000-00000000000e";
  serve(T, said(T, "rt", "Hello", "Hi"), { temporary: true });
  await chat.open(T);
  answers.delete(`POST /api/conversations/${T}/messages`);
  assert.equal(await chat.say("Still there?"), false);
  assert.match(chat.problem.value ?? "", /This temporary chat has ended/);
});

test("where no temporary chat can be had, nothing is said in one that would be kept", async () => {
  const K = "00000000-0000-7000-8000-00000000000d";
  answers.set("POST /api/conversations", () => Response.json(conversationOf(K), { status: 201 }));
  await chat.open(null);
  chat.wantsTemporary.value = true;
  assert.equal(await chat.say("Between us"), false);
  assert.match(chat.problem.value ?? "", /cannot be had at the moment/);
  assert.deepEqual([requests("POST", `/api/conversations/${K}`).length, requests("DELETE", `/api/conversations/${K}`).length], [0, 1]);
});

test("who logs out ends the temporary chat before, and who comes back to its page finds a new one", async () => {
  const T = "00000000-0000-7000-8000-00000000000c";
  serve(T, said(T, "rt", "Hello", "Hi"), { temporary: true });
  answers.set(`DELETE /api/conversations/${T}`, () => new Response(null, { status: 204 }));
  await chat.open(T);
  await chat.endTemporary();
  assert.equal(requests("DELETE", `/api/conversations/${T}`).length, 1);
  chat.comeBack();
  assert.equal(route.value.page, "new");
});
