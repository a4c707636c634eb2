// What administrators do with people, and what these notice of it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertAccessible, composer, eventually, person, useApp } from "./app.js";

useApp();

const PASSWORD = "correct horse battery";
const SECTIONS = ["People", "Invitations", "Groups", "Roles", "Service accounts", "Sessions", "Limits", "Usage", "Record", "Retention", "Erasures", "Settings"];

/** Where a file for each section is put, for whoever wants to look. */
const SHOTS = process.env.EA_SHOTS;

async function shoot(page, name) {
  if (SHOTS) await page.screenshot({ path: `${SHOTS}/${name}.png` });
}

test("an administrator invites somebody, helps them to a new password, and suspends them", async (t) => {
  const { page: admin } = await person(t);
  await admin.getByRole("link", { name: "Administration" }).click();
  await admin.getByRole("link", { name: "Invitations" }).click();
  await admin.getByRole("button", { name: "Invite somebody" }).click();
  const link = await admin.locator("code").innerText();
  assert.match(link, /\/invitation#[0-9a-f]{64}$/);

  const { page: guest, account } = await person(t, { signedUp: false });
  await guest.goto(link);
  await guest.getByRole("heading", { name: "You are invited" }).waitFor();
  await assertAccessible(guest, "an invitation");
  await guest.getByLabel("Email").fill(account.email);
  await guest.getByLabel("Password").fill(PASSWORD);
  await guest.getByRole("button", { name: "Create account" }).click();
  await composer(guest).waitFor();
  assert.equal(new URL(guest.url()).hash, "", "the secret is gone from the address");
  assert.equal(await guest.getByRole("link", { name: "Administration" }).count(), 0);

  await admin.getByRole("link", { name: "People" }).click();
  const row = admin.getByRole("listitem").filter({ hasText: account.email });
  await row.getByRole("button", { name: "Reset password" }).click();
  const reset = await row.locator("code").innerText();
  await guest.goto(reset);
  await guest.getByLabel("New password").fill(`${PASSWORD} staple`);
  await guest.getByRole("button", { name: "Save" }).click();
  await guest.getByRole("heading", { name: "Your password is changed" }).waitFor();
  await guest.getByRole("button", { name: "Log in" }).click();
  await guest.getByLabel("Email").fill(account.email);
  await guest.getByLabel("Password").fill(`${PASSWORD} staple`);
  await guest.getByRole("button", { name: "Log in" }).click();
  await composer(guest).fill("half a thought");

  await row.getByRole("button", { name: "Suspend" }).click();
  await row.getByText("Suspended").waitFor();
  const asks = () => guest.evaluate(async () => (await fetch("/api/models")).status);
  await eventually(async () => (await asks()) === 401, "the guest's session has ended");
  await composer(guest).press("Enter");
  await guest.getByText("What you were writing is still there").waitFor();
  await guest.getByLabel("Email").fill(account.email);
  await guest.getByLabel("Password").fill(`${PASSWORD} staple`);
  await guest.getByRole("button", { name: "Log in" }).click();
  await guest.getByText("This account is suspended").waitFor();

  for (const colorScheme of ["light", "dark"]) {
    await admin.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    for (const [width, height] of [
      [1280, 860],
      [360, 740],
    ]) {
      await admin.setViewportSize({ width, height });
      for (const name of SECTIONS) {
        const nav = admin.getByRole("navigation", { name: "Administration" });
        await nav.getByRole("link", { name }).click();
        await admin.getByRole("heading", { name, exact: true }).waitFor({ state: "attached" });
        await admin.getByLabel("Loading").waitFor({ state: "detached" });
        await shoot(admin, `${name}-${colorScheme}-${width}`);
        await assertAccessible(admin, `${name} in ${colorScheme}`);
        const sideways = await admin.evaluate(
          () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
        );
        assert.equal(sideways, 0, `${name} at ${width}`);
      }
    }
  }
});
