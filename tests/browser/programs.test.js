// Programs that act for a person: one is let in with two clicks, keys are shown once, and both are ended.
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertAccessible, composer, eventually, logIn, person, useApp } from "./app.js";
import { program, REDIRECT } from "./program.js";

useApp();

test("a person logs in, lets a program in with one click, and ends it", async (t) => {
  const { page, account, context } = await person(t);
  const { address, exchange, opens } = await program(page);
  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByLabel("Email").waitFor();
  await page.goto(address);
  await logIn(page, account);
  await page.getByRole("heading", { name: "Let Letter Writer in?" }).waitFor();
  await page.getByText("program.example.org").waitFor();
  await assertAccessible(page, "a program that asks");
  await context.route(`${REDIRECT}**`, (route) => route.fulfill({ body: "Thank you." }));
  await page.getByRole("button", { name: "Let it in" }).click();
  await page.getByText("Thank you.").waitFor();
  const back = new URL(page.url()).searchParams;
  assert.equal(back.get("state"), "s");
  assert.equal(back.get("iss"), new URL(address).origin);
  const { access_token } = await exchange(back.get("code"));
  assert.ok(await opens(access_token));

  await page.goto("/");
  await page.getByRole("link", { name: "Programs and keys" }).click();
  await page.getByRole("listitem").filter({ hasText: "Letter Writer" }).waitFor();
  await assertAccessible(page, "programs and keys");
  await page.getByRole("button", { name: "Disconnect Letter Writer" }).click();
  await page.getByText("No program is connected.").waitFor();
  await eventually(async () => !(await opens(access_token)), "the program is out");
});

test("a key is shown once, works, and is revoked", async (t) => {
  const { page } = await person(t);
  await page.getByRole("link", { name: "Programs and keys" }).click();
  await page.getByLabel("Name of the key").fill("nightly report");
  await page.getByRole("button", { name: "Make a key" }).click();
  const key = await page.locator("code", { hasText: /^ea_[0-9a-f]{64}$/ }).innerText();
  const status = () =>
    page.evaluate(async (authorization) => (await fetch("/api/conversations", { headers: { authorization } })).status, `Bearer ${key}`);
  assert.equal(await status(), 200);
  await page.reload();
  const row = page.getByRole("listitem").filter({ hasText: "nightly report" });
  await row.getByText(key.slice(0, 11)).waitFor();
  assert.equal(await page.getByText(key).count(), 0);
  await row.getByRole("button", { name: "Revoke nightly report" }).click();
  await page.getByText("There are no keys.").waitFor();
  await eventually(async () => (await status()) === 401, "the key opens nothing");
});

test("a program whose request cannot be granted is told so only if the person wants it", async (t) => {
  const { page } = await person(t);
  const { address } = await program(page);
  await page.goto(address.replace("S256", "plain"));
  await page.getByRole("heading", { name: "The program cannot be let in" }).waitFor();
  const link = await page.getByRole("link", { name: "Back to program.example.org" }).getAttribute("href");
  assert.equal(new URL(link).searchParams.get("error"), "invalid_request");
  await page.goto(address.replace("program.example.org", "evil.example.org"));
  await page.getByText("at an address that is not one of its own").waitFor();
  await page.getByRole("button", { name: "Go to Edge Assistant" }).click();
  await composer(page).waitFor();
});
