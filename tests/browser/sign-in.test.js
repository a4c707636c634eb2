// Signing in with an organisation's provider.
import assert from "node:assert/strict";
import { test } from "node:test";
import { answered, assertAccessible, composer, eventually, openConversation, person, say, signUp, useApp } from "./app.js";
import { program, REDIRECT } from "./program.js";
import { agree, Organisation } from "./provider.js";

const organisation = new Organisation();

useApp({
  variables: () => organisation.variables({ roles: { staff: "service" } }),
  started: (url) => organisation.serve(url),
});

const button = (page) => page.getByRole("link", { name: "Continue with Corp" });

/** A browser that asks no other site for a font. */
async function visitor(t) {
  const visitor = await person(t, { signedUp: false });
  await visitor.context.route(/googleapis|gstatic/, (route) => route.abort());
  return visitor;
}

/** The path of an invitation by Ada, who was here first and so is an administrator. */
async function invitation(t) {
  const { page } = await visitor(t);
  await button(page).click();
  await agree(page, "ada");
  await composer(page).waitFor();
  return page.evaluate(async () => {
    const headers = { "Content-Type": "application/json" };
    return (await (await fetch("/api/admin/invitations", { method: "POST", headers, body: "{}" })).json()).path;
  });
}

const me = (page) => page.evaluate(async () => (await fetch("/auth/me")).json());

test("who signs in with the organisation comes back after the session's end to where they were, draft included", async (t) => {
  const { context, page } = await visitor(t);
  await assertAccessible(page, "a log-in page with a provider");
  await button(page).click();
  await agree(page, "ada");
  await composer(page).waitFor();
  const user = await me(page);
  assert.deepEqual([user.email, user.name], ["ada@corp.example", "Ada of Corp"]);
  assert.ok(user.roles.includes("service"), "the group's role");

  const id = await openConversation(page, "scripted-delay=1");
  await say(page, "Remember this");
  const text = await answered(page);
  await composer(page).fill("half a thought");
  const other = await context.newPage();
  await other.goto("/settings/tools");
  await other.getByRole("heading", { name: "Tools", exact: true }).waitFor();
  await context.clearCookies({ name: /^ea_/ });
  await other.reload();
  await button(other).waitFor();
  await composer(page).press("Enter");
  await page.getByText("What you were writing is still there").waitFor();
  // The session at the provider goes on, so nobody is asked for anything.
  await button(page).click();
  await page.waitForURL(`**/c/${id}`);
  assert.equal(await answered(page), text);
  assert.equal(await composer(page).inputValue(), "half a thought");
  // The other tab hears of it.
  await other.getByRole("heading", { name: "Tools", exact: true }).waitFor();

  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByRole("button", { name: "Yes, sign me out" }).click();
  await button(page).waitFor();
  assert.equal(new URL(page.url()).pathname, "/");
  await button(page).click();
  await page.locator("input[name=login]").waitFor();
});

test("a log-out at the provider ends the session here", async (t) => {
  const { context, page } = await visitor(t);
  await button(page).click();
  await agree(page, "grace");
  await composer(page).waitFor();
  const there = await context.newPage();
  await there.goto(`${organisation.issuer}/session/end`);
  await there.getByRole("button", { name: "Yes, sign me out" }).click();
  await eventually(async () => (await page.evaluate(async () => (await fetch("/auth/me")).status)) === 401, "the end");
});

test("whoever signs in with the organisation on the way lets a program in", async (t) => {
  const { context, page } = await visitor(t);
  await page.goto((await program(page)).address);
  await button(page).click();
  await agree(page, "edsger");
  await page.getByRole("heading", { name: "Let Letter Writer in?" }).waitFor();
  await context.route(`${REDIRECT}**`, (route) => route.fulfill({ body: "Thank you." }));
  await page.getByRole("button", { name: "Let it in" }).click();
  await page.getByText("Thank you.").waitFor();
  assert.equal(new URL(page.url()).searchParams.get("state"), "s");
});

test("an account with a password is linked after the password, invited or not, and what goes wrong is said", async (t) => {
  const { context, page, account } = await visitor(t);
  const known = { ...account, email: "linus@corp.example" };
  await signUp(page, known);
  await page.getByRole("button", { name: "Log out" }).click();
  await button(page).waitFor();
  await page.goto(await invitation(t));
  await page.getByRole("heading", { name: "You are invited" }).waitFor();
  await button(page).click();
  await agree(page, "linus");
  await page.getByRole("heading", { name: "Is this account yours?" }).waitFor();
  await assertAccessible(page, "linking an account");
  const password = page.getByLabel("Password");
  await password.fill("not the password");
  await page.getByRole("button", { name: "Link and log in" }).click();
  await page.getByText("This is not the account’s password.").waitFor();
  await password.fill(known.password);
  await page.getByRole("button", { name: "Link and log in" }).click();
  await composer(page).waitFor();
  assert.equal(new URL(page.url()).pathname, "/");
  assert.equal((await me(page)).name, known.name);

  // Taken off again, it opens the account no more.
  await page.goto("/settings/account");
  const linked = page.getByRole("region", { name: "Signing in with an organisation" });
  await linked.getByText("linus@corp.example").waitFor();
  await linked.getByRole("button", { name: /^Remove/ }).click();
  await assertAccessible(page, "taking an organisation off");
  await linked.getByLabel(/^Your password/).fill(known.password);
  await linked.getByRole("button", { name: "Remove" }).click();
  await linked.waitFor({ state: "detached" });
  await page.goto("/");
  await composer(page).waitFor();

  await context.clearCookies();
  await page.goto("/?sign_in=denied");
  await page.getByText("Nobody was signed in").waitFor();
  assert.equal(new URL(page.url()).search, "");
});
