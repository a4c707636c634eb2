/** What administrators are offered, and lists that come page by page. */
import { answers, asked, refusal } from "./tab.ts";
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { admin } from "../src/api.ts";
import { may, sectionsOf } from "../src/permissions.ts";
import { Pages } from "../src/state/pages.ts";
import { resetPassword, session, signUp } from "../src/state/session.ts";
import type { Page, User } from "../src/types.ts";

const user = (permissions?: string[]): User => ({
  id: "1",
  email: "a@example.org",
  name: "",
  role: "user",
  created_at: "",
  ...(permissions && { permissions }),
});

afterEach(() => {
  answers.clear();
  asked.length = 0;
});

test("who may see a section is offered it, and who may see none is not told of them", () => {
  assert.deepEqual(sectionsOf(user(["*"])).length, 15);
  assert.deepEqual(sectionsOf(user(["audit:read", "conversations:read"])), ["audit"]);
  assert.deepEqual(sectionsOf(user(["users:read"])), ["users", "roles"]);
  assert.deepEqual([sectionsOf(user([])), sectionsOf(user())], [[], []]);
  assert.deepEqual([may(user(["*"]), "x"), may(user(["x"]), "x"), may(user(["x:y"]), "x")], [true, true, false]);
});

type Item = { id: string; word: string };
const item = (id: string, word = ""): Item => ({ id, word });

function listOf(pages: Record<string, Page<Item> | Error>): Pages<Item> {
  const ask = (cursor: string | null) => {
    const page = pages[cursor ?? ""];
    return page === undefined || page instanceof Error
      ? Promise.reject(page ?? new Error("Gone."))
      : Promise.resolve(page);
  };
  return new Pages(ask, ({ id }) => id);
}

const items = (pages: Pages<Item>) => (pages.state.value.at === "ready" ? pages.state.value.items : null);

test("a list comes page by page until it is whole", async () => {
  const pages = listOf({
    "": { items: [item("c"), item("b")], next_cursor: "b" },
    b: { items: [item("a")], next_cursor: null },
  });
  assert.equal(pages.state.value.at, "loading");
  await pages.load();
  await pages.more();
  await pages.more();
  assert.deepEqual(items(pages), [item("c"), item("b"), item("a")]);
});

test("a list that cannot be had says why, and a next page that cannot be had leaves what there is", async () => {
  const broken = listOf({ "": new Error("Out of order.") });
  await broken.load();
  assert.deepEqual(broken.state.value, { at: "failed", reason: "Out of order." });
  const pages = listOf({ "": { items: [item("a")], next_cursor: "a" }, a: new Error("Out of order.") });
  await pages.load();
  await pages.more();
  assert.deepEqual(pages.state.value, { at: "ready", items: [item("a")], cursor: "a", fault: "Out of order." });
});

test("what was changed is shown at its place, what was removed is not, and what could not be changed stays", async () => {
  const pages = listOf({ "": { items: [item("b"), item("a")], next_cursor: null } });
  await pages.load();
  assert.equal(await pages.change(item("a"), () => Promise.resolve(item("a", "new"))), true);
  pages.add(item("c"));
  assert.deepEqual(items(pages), [item("c"), item("b"), item("a", "new")]);
  assert.equal(await pages.change(item("b"), () => Promise.resolve(null)), true);
  assert.equal(await pages.change(item("c"), () => Promise.reject(new Error("Not yours."))), false);
  assert.deepEqual(items(pages), [item("c"), item("a", "new")]);
  assert.equal(pages.state.value.at === "ready" && pages.state.value.fault, "Not yours.");
});

test("only the newest answer is shown", async () => {
  const waiting: ((page: Page<Item>) => void)[] = [];
  const pages = new Pages<Item>(
    () => new Promise((resolve) => waiting.push(resolve)),
    ({ id }) => id,
  );
  const loads = [pages.load(), pages.load()];
  waiting[1]?.({ items: [item("new")], next_cursor: null });
  waiting[0]?.({ items: [item("old")], next_cursor: null });
  await Promise.all(loads);
  assert.deepEqual(items(pages), [item("new")]);
});

test("an invitation is sent with the sign-up, and with none nothing is", async () => {
  answers.set("POST /auth/signup", () => Response.json({ user: user([]) }, { status: 201 }));
  await signUp("a@example.org", "secret", "", "token");
  await signUp("a@example.org", "secret", "Ada");
  assert.deepEqual(
    asked.map(({ body }) => body),
    [
      { email: "a@example.org", password: "secret", invitation: "token" },
      { email: "a@example.org", password: "secret", name: "Ada" },
    ],
  );
});

test("whoever sets a new password is logged out here, too", async () => {
  session.value = { at: "in", user: user() };
  answers.set("POST /auth/password-reset", () => new Response(null, { status: 204 }));
  await resetPassword("token", "secret");
  assert.deepEqual(session.value, { at: "out", reason: null });
  answers.set("POST /auth/password-reset", () => refusal(403, "link_invalid", "Used."));
  await assert.rejects(resetPassword("token", "secret"), /Used/);
});

test("the secret of a link is in no address that is asked for", async () => {
  answers.set("POST /auth/password-reset", () => new Response(null, { status: 204 }));
  await resetPassword("the-secret", "x");
  assert.ok(asked.every(({ path }) => !path.includes("the-secret")));
});

test("a search for people is a part of the query", async () => {
  answers.set("GET /api/admin/users", () => Response.json({ items: [], next_cursor: null }));
  await admin.users("", null);
  await admin.users("a&b", "x");
  assert.deepEqual(
    asked.map(({ path }) => path),
    ["/api/admin/users", "/api/admin/users?q=a%26b&cursor=x"],
  );
});
