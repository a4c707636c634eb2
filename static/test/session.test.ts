/** The session, in this tab and others, and what remains after its end. */
import { answers, asked, otherTab, refusal, setOnline, settled, until } from "./tab.ts";
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { ApiError } from "../src/api.ts";
import { readDraft, writeDraft } from "../src/state/drafts.ts";
import { endedBy, leaveForProvider, linkAccount, logIn, logOut, outcome, resume, session, signUp } from "../src/state/session.ts";
import { navigate, route } from "../src/state/route.ts";
import type { User } from "../src/types.ts";

const ada: User = { id: "ada", email: "ada@example.org", name: "Ada", role: "user", created_at: "" };
const eve: User = { ...ada, id: "eve" };
const heard: unknown[] = [];
otherTab.addEventListener("message", ({ data }) => heard.push(data));

function isHere(user: User): void {
  answers.set("GET /auth/me", () => Response.json(user));
  for (const path of ["POST /auth/login", "POST /auth/signup"]) answers.set(path, () => Response.json({ user }));
}

afterEach(async () => {
  await settled();
  answers.clear();
  heard.length = asked.length = 0;
  session.value = { at: "asking" };
  outcome.value = null;
  history.replaceState(null, "", "/");
  for (const key of Object.keys(sessionStorage)) sessionStorage.removeItem(key);
});

test("who comes back is known", async () => {
  isHere(ada);
  await resume();
  assert.deepEqual(session.value, { at: "in", user: ada });
});

for (const [code, words] of [
  ["unauthenticated", null],
  ["session_expired", /away for a long time/],
  ["session_ended", /logged out in another place/],
  ["session_revoked", /used in two places/],
] as const) {
  test(`whoever comes with a session that is no more (${code}) is told ${words === null ? "nothing" : "why"}`, async () => {
    for (const path of ["GET /auth/me", "POST /auth/refresh"]) answers.set(path, () => refusal(401, code, "No."));
    await resume();
    assert.ok(session.value.at === "out");
    if (words === null) assert.equal(session.value.reason, null);
    else assert.match(session.value.reason ?? "", words);
  });
}

test("how one came back from a provider is told once, in words, unless one is signed in", async () => {
  for (const path of ["GET /auth/me", "POST /auth/refresh"])
    answers.set(path, () => refusal(401, "unauthenticated", "No."));
  for (const [code, words] of [
    ["denied", /Nobody was signed in/],
    ["provider_unavailable", /cannot be used/],
    ["link_account", null],
    ["made up", null],
  ] as const) {
    location.search = `?sign_in=${encodeURIComponent(code)}`;
    await resume();
    location.search = "";
    assert.ok(session.value.at === "out");
    if (words === null) assert.equal(session.value.reason, null);
    else assert.match(session.value.reason ?? "", words);
    assert.equal(outcome.value, code);
  }
  isHere(ada);
  await resume();
  assert.deepEqual([session.value.at, outcome.value], ["in", null]);
});

test("who comes back from a provider signed in tells the other tabs, once", async () => {
  isHere(ada);
  leaveForProvider();
  await resume();
  await resume();
  await until(() => heard.length > 0, "news");
  await settled();
  assert.deepEqual(heard, [{ kind: "signed_in" }]);
});

test("who comes back too late is where they were, and is told", async () => {
  for (const path of ["GET /auth/me", "POST /auth/refresh"])
    answers.set(path, () => refusal(401, "unauthenticated", "No."));
  location.pathname = "/settings/tools";
  leaveForProvider();
  location.pathname = "/";
  location.search = "?sign_in=expired";
  await resume();
  location.search = "";
  assert.equal(route.value.page, "tools");
  assert.ok(session.value.at === "out");
  assert.match(session.value.reason ?? "", /took too long/);
});

/** A program's request, as long as such are: the server keeps no way back of this length. */
const REQUEST = `/authorize?client_id=${"c".repeat(500)}&state=s%2B1&scope=a+b`;

/** The server brings this tab's person back to an address, and the page is loaded there. */
async function comeBack(to: string): Promise<void> {
  history.replaceState(null, "", to);
  route.value = { page: "unknown" };
  await resume();
}

const address = () => location.pathname + location.search + location.hash;

test("a program that wants to be let in still has its request after its person has signed in with a provider", async () => {
  isHere(ada);
  history.replaceState(null, "", REQUEST);
  leaveForProvider();
  await comeBack("/authorize");
  assert.deepEqual([address(), route.value.page, session.value.at], [REQUEST, "authorize", "in"]);
});

test("a program's request is still there for whoever was not signed in by the provider, or came back too late", async () => {
  for (const path of ["GET /auth/me", "POST /auth/refresh"])
    answers.set(path, () => refusal(401, "unauthenticated", "No."));
  for (const back of ["/authorize?sign_in=link_account", "/authorize?sign_in=denied", "/?sign_in=expired"]) {
    history.replaceState(null, "", REQUEST);
    leaveForProvider();
    await comeBack(back);
    assert.deepEqual([address(), route.value.page, session.value.at], [REQUEST, "authorize", "out"], back);
  }
});

test("whoever left for a provider and then opens something else gets that", async () => {
  isHere(ada);
  for (const other of ["/authorize?client_id=other", "/settings/tools", "/"]) {
    history.replaceState(null, "", REQUEST);
    leaveForProvider();
    await comeBack(other);
    assert.equal(address(), other);
  }
});

test("only the outcome is taken out of the address", async () => {
  isHere(ada);
  for (const [before, after] of [
    ["/authorize?client_id=c&sign_in=denied&state=s", "/authorize?client_id=c&state=s"],
    ["/?sign_in=denied#part", "/#part"],
  ] as const) {
    await comeBack(before);
    assert.equal(address(), after);
  }
});

test("an invited person whose account exists already links it, and is in, at the start", async () => {
  for (const path of ["GET /auth/me", "POST /auth/refresh"])
    answers.set(path, () => refusal(401, "unauthenticated", "No."));
  answers.set("POST /auth/oidc/link", () => Response.json(ada));
  history.replaceState(null, "", "/invitation#secret");
  navigate("/invitation");
  leaveForProvider();
  // As when the page is loaded at the start.
  history.replaceState(null, "", "/?sign_in=link_account");
  navigate("/");
  await resume();
  assert.equal(outcome.value, "link_account");
  await linkAccount("secret", null);
  assert.deepEqual([address(), route.value.page, session.value.at], ["/", "new", "in"]);
});

test("an account is linked with its password, and one is in", async () => {
  answers.set("POST /auth/oidc/link", () => Response.json(ada));
  await linkAccount("secret", "123456");
  assert.deepEqual(asked.at(-1)?.body, { password: "secret", code: "123456" });
  assert.deepEqual(session.value, { at: "in", user: ada });
});

test("a session of a provider ends there too", async () => {
  isHere(ada);
  await resume();
  const gone: string[] = [];
  location.assign = (to: string | URL) => void gone.push(String(to));
  answers.set("POST /auth/logout", () => Response.json({ location: "https://id.example.org/logout" }));
  await logOut();
  assert.deepEqual(gone, ["https://id.example.org/logout"]);
  assert.deepEqual(session.value, { at: "out", reason: null });
});

test("a server that is not there has logged nobody out", async () => {
  setOnline(false);
  await resume();
  setOnline(true);
  assert.ok(session.value.at === "unreachable");
  assert.match(session.value.reason, /You are offline/);
});

test("logging in and signing up lead in, and the other tabs hear of it", async () => {
  isHere(ada);
  await logIn("ada@example.org", "secret");
  assert.deepEqual(asked.at(-1)?.body, { email: "ada@example.org", password: "secret" });
  await signUp("ada@example.org", "secret", "");
  assert.deepEqual(asked.at(-1)?.body, { email: "ada@example.org", password: "secret" });
  await signUp("ada@example.org", "secret", "Ada");
  assert.deepEqual(asked.at(-1)?.body, { email: "ada@example.org", password: "secret", name: "Ada" });
  assert.deepEqual(session.value, { at: "in", user: ada });
  await until(() => heard.length === 3, "news");
  assert.deepEqual(heard[0], { kind: "signed_in" });
});

test("logging out leaves no draft and tells the other tabs; where it cannot be told, one is still in", async () => {
  isHere(ada);
  await resume();
  writeDraft("c", "a secret");
  answers.set("POST /auth/logout", () => refusal(500, "internal", "Out of order."));
  await assert.rejects(logOut(), /Out of order/);
  assert.deepEqual([session.value.at, readDraft("c")], ["in", "a secret"]);
  answers.set("POST /auth/logout", () => new Response(null, { status: 204 }));
  await logOut();
  assert.deepEqual(session.value, { at: "out", reason: null });
  assert.deepEqual(Object.keys(sessionStorage), []);
  await until(() => heard.length > 0, "news");
  assert.deepEqual(heard, [{ kind: "signed_out" }]);
});

test("what another tab does with the session holds here, too", async () => {
  isHere(ada);
  otherTab.postMessage({ kind: "signed_in" });
  await until(() => session.value.at === "in", "to be in");
  asked.length = 0;
  otherTab.postMessage({ kind: "signed_in" });
  await settled();
  assert.deepEqual(asked, []);
  writeDraft("c", "a secret");
  otherTab.postMessage({ kind: "signed_out" });
  await until(() => session.value.at === "out", "to be out");
  assert.equal(readDraft("c"), "");
});

test("a session that ends on the way keeps what was being written, for the same person", async () => {
  isHere(ada);
  await resume();
  writeDraft("c", "half a thought");
  assert.equal(endedBy(new ApiError(401, "session_expired", "No.")), true);
  assert.ok(session.value.at === "out");
  assert.match(session.value.reason ?? "", /away for a long time.*still there/);
  await logIn("ada@example.org", "secret");
  assert.equal(readDraft("c"), "half a thought");
  isHere(eve);
  await logIn("eve@example.org", "secret");
  assert.equal(readDraft("c"), "");
});

test("other errors end no session", () => {
  for (const error of [new ApiError(403, "forbidden", "No."), new ApiError(0, "unreachable", "Gone."), new Error("x")])
    assert.equal(endedBy(error), false);
  assert.equal(session.value.at, "asking");
});

test("who comes back to an account that is going to be erased is told, and can keep it", async () => {
  for (const path of ["GET /auth/me", "POST /auth/refresh"])
    answers.set(path, () => refusal(401, "unauthenticated", "Log in."));
  history.replaceState(null, "", "/?sign_in=erasure_pending");
  await resume();
  assert.equal(outcome.value, "erasure_pending");
  assert.ok(session.value.at === "out" && /going to be erased/.test(session.value.reason ?? ""));
});
