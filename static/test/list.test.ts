/** The list of conversations. */
import { answers, asked, conversationOf, otherTab, refusal, settled, until } from "./tab.ts";
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import * as list from "../src/state/list.ts";
import { session } from "../src/state/session.ts";

const heard: unknown[] = [];
otherTab.addEventListener("message", ({ data }) => heard.push(data));
const at = (id: string, updated_at: string) => conversationOf(id, { updated_at });
const ids = () => list.conversations.value.map(({ id }) => id);

/** Two pages. A conversation that changed between the requests is in both. */
function serve(): void {
  answers.set("GET /api/conversations", ({ path }) =>
    Response.json(
      path.includes("cursor=next")
        ? { items: [at("b", "2"), at("a", "1")], next_cursor: null }
        : { items: [at("c", "3"), at("b", "2")], next_cursor: "next" },
    ),
  );
}

afterEach(async () => {
  await settled();
  list.forgetList();
  answers.clear();
  heard.length = asked.length = 0;
});

test("the list comes page by page, and nothing is in it twice", async () => {
  serve();
  const loading = list.loadList();
  assert.equal(list.loading.value, true);
  await loading;
  assert.deepEqual([ids(), list.hasMore.value, list.loading.value], [["c", "b"], true, false]);
  await list.loadMore();
  assert.deepEqual([ids(), list.hasMore.value], [["c", "b", "a"], false]);
  await list.loadList();
  assert.deepEqual([ids(), list.hasMore.value], [["c", "b"], true]);
});

test("what has changed takes its place", async () => {
  serve();
  await list.loadList();
  list.upsert(at("b", "9"));
  list.upsert(at("d", "5"));
  assert.deepEqual(ids(), ["b", "d", "c"]);
});

test("a list that cannot be had says why, and keeps what it had", async () => {
  serve();
  await list.loadList();
  answers.set("GET /api/conversations", () => refusal(500, "internal", "Out of order."));
  await list.loadMore();
  assert.deepEqual([ids(), list.listError.value, list.loading.value], [["c", "b"], "Out of order.", false]);
  serve();
  await list.loadList();
  assert.equal(list.listError.value, null);
});

test("a session that ends on the way is no error of the list", async () => {
  for (const path of ["GET /api/conversations", "GET /auth/me", "POST /auth/refresh"])
    answers.set(path, () => refusal(401, "session_ended", "No."));
  await list.loadList();
  assert.deepEqual([list.listError.value, session.value.at], [null, "out"]);
});

test("what is renamed or deleted is so in the list, and the other tabs hear of it", async () => {
  serve();
  await list.loadList();
  answers.set("PATCH /api/conversations/b", ({ body }) => Response.json({ ...at("b", "9"), ...(body as object) }));
  assert.equal((await list.rename("b", "Better")).title, "Better");
  assert.deepEqual([ids(), list.conversations.value[0]?.title], [["b", "c"], "Better"]);
  answers.set("DELETE /api/conversations/c", () => new Response(null, { status: 204 }));
  await list.remove("c");
  assert.deepEqual(ids(), ["b"]);
  await until(() => heard.length === 2, "news");
  assert.deepEqual(heard, [
    { kind: "changed", conversationId: "b" },
    { kind: "changed", conversationId: "c" },
  ]);
  await assert.rejects(list.remove("b"), /no such thing/);
  assert.deepEqual(ids(), ["b"]);
});
