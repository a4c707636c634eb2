// A person's session: logging in, logging out, coming back.
import assert from "node:assert/strict";
import { test } from "node:test";
import { answered, assertAccessible, composer, logIn, openConversation, person, say, useApp } from "./app.js";

useApp();

test("after logging out nothing is left, and logging in leads back to where one was", async (t) => {
  const { context, page, account } = await person(t);
  const id = await openConversation(page, "scripted-delay=1");
  await say(page, "Remember this");
  const text = await answered(page);
  await composer(page).fill("a secret draft");
  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByRole("heading", { name: "Welcome back" }).waitFor();
  const left = await page.evaluate(
    () => JSON.stringify(sessionStorage) + JSON.stringify(localStorage) + document.cookie,
  );
  assert.doesNotMatch(left, /secret|Remember|eyJ/);
  assert.deepEqual(
    (await context.cookies())
      .filter((cookie) => cookie.name.startsWith("ea_") && cookie.value !== "")
      // The browser stays known, which opens nothing: strangers who try passwords elsewhere do not keep the person out here.
      .filter((cookie) => !cookie.name.startsWith("ea_known_")),
    [],
  );

  await page.goto(`/c/${id}`);
  await logIn(page, account);
  assert.equal(await answered(page), text);
});

test("a wrong password and a malformed sign-up are told at their place", async (t) => {
  const { page } = await person(t, { signedUp: false });
  await logIn(page, { email: "nobody@example.org", password: "wrong password here" });
  await page.getByRole("alert").waitFor();

  await page.getByRole("button", { name: "Create an account" }).click();
  await page.getByLabel("Email").fill("somebody@example.org");
  await page.getByLabel("Password").fill("short");
  await page.getByRole("button", { name: "Create account" }).click();
  const password = page.getByLabel("Password");
  await page.waitForFunction(() => document.activeElement?.getAttribute("aria-invalid") === "true");
  assert.equal(await password.getAttribute("aria-invalid"), "true");
  const said = await page.locator(`#${await password.getAttribute("aria-describedby")}`).innerText();
  assert.notEqual(said, "");
});

test("the page never sees a token", async (t) => {
  const { context, page } = await person(t);
  const cookies = await context.cookies();
  for (const name of ["ea_access", "ea_refresh"])
    assert.equal(cookies.find((cookie) => cookie.name === name)?.httpOnly, true, name);
  assert.equal(await page.evaluate(() => document.cookie), "");
});

test("a session that ran out is renewed once, though several tabs ask at the same time", async (t) => {
  const { context, page } = await person(t);
  // The page that is already open may send a request at any moment, which counts too.
  let renewals = 0;
  context.on("request", (request) => request.url().endsWith("/auth/refresh") && renewals++);
  await context.clearCookies({ name: "ea_access" });
  const tabs = [page, ...(await Promise.all([context.newPage(), context.newPage(), context.newPage()]))];
  await Promise.all(tabs.map((tab) => tab.goto("/")));
  for (const tab of tabs) await composer(tab).waitFor();
  assert.equal(renewals, 1);
});

test("a new installation says whose the first account is, and one that is closed offers none", async (t) => {
  const { page } = await person(t, { signedUp: false });
  const greet = async (state) => {
    // Also what the page before the reload still asks.
    await page.unroute("**/auth/signup");
    await page.route("**/auth/signup", (route) => route.fulfill({ json: state }));
    await page.reload();
  };
  await greet({ open: true, first: true });
  await page.getByText("Whoever makes the first one is the administrator").waitFor();
  assert.equal(await page.getByText("Welcome back").count(), 0);
  await assertAccessible(page, "a new installation");
  await page.getByRole("button", { name: "Create an account" }).click();
  await page.getByText("It is the first one here").waitFor();
  await greet({ open: false, first: false });
  await page.getByText("This installation accepts no new accounts.").waitFor();
  assert.equal(await page.getByRole("button", { name: "Create an account" }).count(), 0);
});

test("why one is logged out, or still logged in, is said to everybody", async (t) => {
  const { context, page } = await person(t);
  await context.setOffline(true);
  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByRole("alert").getByText("You are still logged in. You are offline.").waitFor();
  await context.setOffline(false);
  await composer(page).fill("half a thought");
  await context.clearCookies();
  await composer(page).press("Enter");
  await page.getByText(/Log in to go on\. What you were writing is still there/).waitFor();
});

test("logging out in one tab logs out the others", async (t) => {
  const { context, page } = await person(t);
  const other = await context.newPage();
  await other.goto("/");
  await composer(other).waitFor();
  await page.getByRole("button", { name: "Log out" }).click();
  await other.getByRole("heading", { name: "Welcome back" }).waitFor();
});
