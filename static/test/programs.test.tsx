/** What the page says about programs, and where it finds them. */
import "./tab.ts";
import assert from "node:assert/strict";
import { test } from "node:test";
import { renderToString } from "preact-render-to-string";
import type { User, Wanted } from "../src/types.ts";

const { parsePath } = await import("../src/state/route.ts");
const { scopeInWords } = await import("../src/views/scopes.ts");
const { Question } = await import("../src/views/authorize.tsx");

test("the pages about programs have addresses of their own", () => {
  assert.deepEqual(parsePath("/authorize"), { page: "authorize" });
  assert.deepEqual(parsePath("/settings/programs"), { page: "programs" });
  assert.deepEqual(parsePath("/authorize/x"), { page: "unknown" });
});

test("a scope is said in words, and one without words as it is written", () => {
  assert.match(scopeInWords("tools:call:*"), /all tools/);
  assert.match(scopeInWords("tools:call:clock:*"), /tools of clock/);
  assert.equal(scopeInWords("tools:call:clock:now"), "tools:call:clock:now");
  assert.equal(scopeInWords("users:manage"), "users:manage");
  assert.equal(scopeInWords("tools:call:a\u202eb"), "tools:call:a⟨U+202E⟩b");
  assert.doesNotMatch(scopeInWords("tools:call:a\u202eb:*"), /\u202e/);
});

const user = { email: "ada@example.org" } as User;
const shown = (changes: Partial<Wanted>) => {
  const wanted: Wanted = {
    client_name: "Letter Writer",
    client_host: null,
    redirect_host: "program.example.org",
    is_on_this_computer: false,
    scopes: ["tools:call:clock:*"],
    resource: "/mcp",
    request: "r",
    ...changes,
  };
  return renderToString(<Question user={user} wanted={wanted} fault={null} decide={async () => {}} />);
};

test("a person sees which program wants what, for whom, and where they are sent", () => {
  const page = shown({});
  for (const words of ["Letter Writer", "tools of clock", "ada@example.org", "program.example.org"]) assert.ok(page.includes(words), words);
});

test("a person is told when it is about one server alone", () => {
  assert.doesNotMatch(shown({}), /Only the server/);
  assert.match(shown({ resource: "/mcp/clock" }), /Only the server.*clock/s);
});

test("a person is warned where nothing proves which program it is", () => {
  const warning = /Go on only if you have just connected it yourself/;
  assert.match(shown({}), warning);
  assert.doesNotMatch(shown({ client_host: "program.example.org" }), warning);
  const local = { redirect_host: "this computer", is_on_this_computer: true };
  assert.match(shown(local), warning);
  assert.match(shown({ ...local, client_host: "program.example.org" }), warning);
});
