/** Conversations that were just deleted, and can be brought back. */
import { answers, asked, conversationOf, otherTab, refusal, settled, until } from "./tab.ts";
import assert from "node:assert/strict";
import { afterEach, mock, test } from "node:test";
import * as list from "../src/state/list.ts";
import * as removals from "../src/state/removals.ts";
import { navigate, route } from "../src/state/route.ts";

const heard: unknown[] = [];
otherTab.addEventListener("message", ({ data }) => heard.push(data));
const told = () => asked.filter(({ method }) => method === "DELETE").map(({ path }) => path);
const shown = () => list.conversations.value.map(({ id }) => id).filter((id) => !removals.isRemoved(id));
const A = "0199aaaa-bbbb-7ccc-8ddd-0123456789ab";
const [a, b] = [conversationOf(A, { updated_at: "2" }), conversationOf("b")];
const deletes = (id: string, answer = () => new Response(null, { status: 204 })) =>
  answers.set(`DELETE /api/conversations/${id}`, answer);

async function listed(): Promise<void> {
  answers.set("GET /api/conversations", () => Response.json({ items: [a, b], next_cursor: null }));
  await list.loadList();
}

/** What happens when ten seconds are over. Nobody waits for that here; all other time goes on. */
const later: (() => void)[] = [];
const start = globalThis.setTimeout;
mock.method(globalThis, "setTimeout", (call: () => void, ms?: number) => {
  if (ms !== removals.UNDO_MS) return start(call, ms);
  later.push(call);
  return start(() => undefined);
});

function timeIsOver(): void {
  for (const call of later) call();
}

afterEach(async () => {
  await settled();
  removals.forgetRemovals();
  list.forgetList();
  navigate("/");
  answers.clear();
  heard.length = asked.length = later.length = 0;
});

test("a conversation is hidden at once, and deleted when ten seconds are over", async () => {
  await listed();
  deletes(A);
  removals.removeSoon(a);
  await settled();
  assert.deepEqual([shown(), told()], [["b"], []]);
  timeIsOver();
  await until(() => removals.removals.value.length === 0, "the end of the removal");
  assert.deepEqual([told(), list.conversations.value.map(({ id }) => id)], [[`/api/conversations/${A}`], ["b"]]);
  await until(() => heard.length === 1, "news");
  assert.deepEqual(heard, [{ kind: "changed", conversationId: A }]);
});

test("what is brought back in time is not deleted, and is shown if it was", async () => {
  await listed();
  navigate(`/c/${A}`);
  removals.removeSoon(a);
  assert.equal(route.value.page, "new");
  removals.bringBack(A);
  timeIsOver();
  assert.deepEqual([shown(), route.value], [[A, "b"], { page: "conversation", id: A }]);
  await settled();
  assert.deepEqual(told(), []);
});

test("whoever leaves or logs out within the time has deleted it", async () => {
  await listed();
  for (const id of [A, "b"]) deletes(id);
  removals.removeSoon(a);
  removals.abandonRemoved();
  assert.deepEqual(told(), [`/api/conversations/${A}`]);
  removals.removeSoon(b);
  await removals.removeAllNow();
  assert.deepEqual([told().slice(1), removals.removals.value], [["/api/conversations/b"], []]);
});

test("one that the server does not delete is there again, and says why", async () => {
  await listed();
  deletes(A, () => refusal(500, "internal", "Out of order."));
  removals.removeSoon(a);
  await removals.removeAllNow();
  assert.deepEqual([shown(), removals.removals.value.map(({ fault }) => fault)], [[A, "b"], ["Out of order."]]);
  removals.dismiss(A);
  assert.deepEqual(removals.removals.value, []);
});

test("one that somebody else has deleted is no fault", async () => {
  await listed();
  removals.removeSoon(a);
  answers.set("GET /api/conversations", () => Response.json({ items: [b], next_cursor: null }));
  await removals.removeAllNow();
  assert.deepEqual([shown(), removals.removals.value], [["b"], []]);
});
