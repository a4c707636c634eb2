// A person's own account: the second factor from setting it up to losing the app.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { test } from "node:test";
import { assertAccessible, eventually, logIn, person, useApp } from "./app.js";

useApp();

/** Where a file for each page is put, for whoever wants to look. */
const SHOTS = process.env.EA_SHOTS;

/** Looks at the page in both themes, narrow and wide. */
async function look(page, name) {
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    for (const [width, height] of [
      [360, 740],
      [1280, 860],
    ]) {
      await page.setViewportSize({ width, height });
      if (SHOTS) await page.screenshot({ path: `${SHOTS}/${name}-${colorScheme}-${width}.png` });
      await assertAccessible(page, `${name} in ${colorScheme}`);
      const sideways = await page.evaluate(
        () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
      );
      assert.equal(sideways, 0, `${name} at ${width}`);
    }
  }
}

/** The code of an app that knows the secret, `steps` half minutes from now (RFC 6238). */
function codeOf(secret, steps = 0) {
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  const bits = [...secret].map((letter) => letters.indexOf(letter).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + steps));
  const hash = createHmac("sha1", key).update(counter).digest();
  const number = hash.readUInt32BE(hash.at(-1) & 15) & 0x7fffffff;
  return String(number % 1_000_000).padStart(6, "0");
}

const logOut = (page) => page.getByRole("button", { name: "Log out" }).click();

test("a second factor is set up, asked for, and survives the loss of the app", async (t) => {
  const { page, account } = await person(t);
  await page.getByRole("link", { name: /^Your account/ }).click();
  await page.getByRole("button", { name: "Set up a second factor" }).waitFor();
  await look(page, "account");
  await page.getByRole("button", { name: "Set up a second factor" }).click();
  await page.getByLabel(/^Your password/).fill("wrong");
  await page.getByRole("button", { name: "Go on" }).click();
  await page.getByText("This is not your password.").waitFor();
  await page.getByLabel(/^Your password/).fill(account.password);
  await page.getByRole("button", { name: "Go on" }).click();
  await page.getByRole("img", { name: "The picture for your app" }).waitFor();
  await look(page, "setup");
  const secret = (await page.locator("code").first().innerText()).replaceAll(" ", "");
  await page.getByLabel("Code", { exact: true }).fill(codeOf(secret));
  await page.getByRole("button", { name: "Confirm" }).click();
  await page.getByRole("button", { name: "I have kept them" }).waitFor();
  const codes = await page.getByRole("list", { name: "Recovery codes" }).getByRole("listitem").allInnerTexts();
  assert.equal(codes.length, 10);
  await look(page, "codes");
  await page.getByRole("button", { name: "I have kept them" }).click();
  await page.getByText("You have 10 recovery codes left.").waitFor();
  await look(page, "account-protected");

  await logOut(page);
  await logIn(page, account);
  await page.getByRole("heading", { name: "One more step" }).waitFor();
  await look(page, "code");
  await page.getByLabel("Code").fill("000000");
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByText("This code is wrong").waitFor();
  // The code that set it up has been used, and the next one counts already.
  await page.getByLabel("Code").fill(codeOf(secret, 1));
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByText("You have 10 recovery codes left.").waitFor();

  await logOut(page);
  await logIn(page, account);
  await page.getByLabel("Code").fill(codes[0]);
  await page.getByRole("button", { name: "Log in" }).click();
  await page.getByText("You have 9 recovery codes left.").waitFor();
  await page.getByRole("button", { name: "Remove" }).click();
  await page.getByLabel(/^Your password/).fill(account.password);
  await page.getByRole("button", { name: "Remove the second factor" }).click();
  await page.getByRole("button", { name: "Set up a second factor" }).waitFor();
  await logOut(page);
  await logIn(page, account);
  await page.getByRole("heading", { name: "Your account" }).waitFor();
});

test("a person has another name and another password", async (t) => {
  const { context, page, account } = await person(t);
  await page.goto("/settings/account");
  await page.getByRole("textbox", { name: "Name" }).fill("Countess Lovelace");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByRole("link", { name: "Your account: Countess Lovelace" }).waitFor();
  await page.getByLabel("Password until now").fill(account.password);
  await page.getByLabel("New password").fill("another horse battery");
  await page.getByRole("button", { name: "Change the password" }).click();
  await page.getByText("Your password is changed.").waitFor();
  await eventually(async () => (await context.request.get("/auth/me")).ok(), "the session goes on");
  await logOut(page);
  await logIn(page, { ...account, password: "another horse battery" });
  await page.getByRole("link", { name: "Your account: Countess Lovelace" }).waitFor();
});
