// What people see of limits: the text field counts down, administrators set budgets, and everybody sees what is left.
import assert from "node:assert/strict";
import { test } from "node:test";
import { assertAccessible, composer, openConversation, person, useApp } from "./app.js";

/** One more every three seconds, so that the test need not wait for long. */
useApp({ variables: async () => ["person_requests_per_minute=20", "session_requests_per_minute=20"] });

/** Where a file for each page is put, for whoever wants to look. */
const SHOTS = process.env.EA_SHOTS;

async function shoot(page, name) {
  if (!SHOTS) return;
  for (const [scheme, width] of [["light", 1280], ["dark", 1280], ["light", 390], ["dark", 390]]) {
    await page.emulateMedia({ colorScheme: scheme });
    await page.setViewportSize({ width, height: 860 });
    await page.screenshot({ path: `${SHOTS}/${name}-${scheme}-${width}.png` });
  }
  await page.setViewportSize({ width: 1280, height: 860 });
}

/** Uses up the person's messages, in other conversations. */
function useUp(page) {
  return page.evaluate(async () => {
    const post = (path, body) =>
      fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
    for (let sent = 0; sent < 60; sent++) {
      const { id } = await (await post("/api/conversations", {})).json();
      const answer = await post(`/api/conversations/${id}/messages`, { content: "x" });
      if (answer.status === 429) return;
    }
    throw new Error("There is no end to messages.");
  });
}

test("an administrator sets a budget, and a limit that is reached counts down and keeps the message", async (t) => {
  const { page } = await person(t);
  await page.goto("/settings/administration/limits");
  await page.getByRole("button", { name: "Add" }).click();
  const row = page.getByRole("listitem").filter({ hasText: "Everybody together" });
  await row.getByLabel("Tokens a day").fill("100000");
  await row.getByRole("button", { name: "Save" }).click();
  await row.getByText("0 taken, 100,000 left").waitFor();
  await assertAccessible(page, "limits");
  await shoot(page, "limits");

  await row.getByRole("button", { name: "Remove all limits: Everybody together" }).click();
  await row.waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Add" }).click();
  await row.getByLabel("Tokens a day").fill("100000");
  await row.getByRole("button", { name: "Save" }).click();
  await row.getByText("0 taken, 100,000 left").waitFor();

  await page.goto("/settings/account");
  await page.getByText("100,000 of 100,000 tokens left").waitFor();
  await assertAccessible(page, "one's own usage");
  await page.getByRole("heading", { name: "Usage" }).scrollIntoViewIfNeeded();
  await shoot(page, "own-usage");

  await openConversation(page, "scripted");
  await useUp(page);
  await composer(page).fill("Hello?");
  await page.keyboard.press("Enter");
  await page.getByText("Your message stays here.").waitFor();
  assert.equal(await composer(page).inputValue(), "Hello?");
  await assertAccessible(page, "a limit that is reached");
  await shoot(page, "paused");
  await page.getByRole("button", { name: "Send the message" }).click();
  await page.locator("article, li, div").filter({ hasText: "Hello?" }).first().waitFor();
  await page.getByText("You can go on now.").waitFor({ state: "hidden" });
  assert.equal(await composer(page).inputValue(), "");
});
