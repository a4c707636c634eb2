/** What the page says about programs, and where it finds them. */
import "./tab.ts";
import assert from "node:assert/strict";
import { test } from "node:test";

const { parsePath } = await import("../src/state/route.ts");
const { scopeInWords } = await import("../src/views/scopes.ts");

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
});
