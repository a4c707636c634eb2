// One field for commands, conversations and what was said in them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { answered, assertAccessible, composer, eventually, openConversation, person, say, useApp } from "./app.js";

useApp();

const dialog = (page) => page.getByRole("dialog", { name: "Go to anything" });
const options = (page) => dialog(page).getByRole("option");

async function openPalette(page, keys = "Control+K") {
  await page.keyboard.press(keys);
  await dialog(page).waitFor();
}

for (const colorScheme of ["light", "dark"])
  test(`by keyboard alone, everything is reached in ${colorScheme}`, async (t) => {
    const { page } = await person(t, { colorScheme, viewport: { width: 320, height: 600 } });
    const id = await openConversation(page, "scripted-delay=1");
    await say(page, "A wonderful harbour");
    await answered(page);
    await openPalette(page);
    await options(page).filter({ hasText: "New chat" }).first().waitFor();
    await assertAccessible(page, "the palette");
    await page.keyboard.type("memo");
    await eventually(async () => (await options(page).count()) === 1, "one command");
    await page.keyboard.press("Enter");
    await page.waitForURL((url) => url.pathname === "/settings/memory");
    await dialog(page).waitFor({ state: "detached" });

    await openPalette(page, "Meta+K");
    await page.keyboard.type("harb");
    const selected = dialog(page).locator("[aria-selected=true]");
    await selected.filter({ hasText: "A wonderful harbour" }).waitFor();
    await page.keyboard.press("ArrowUp");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await page.waitForURL((url) => url.pathname === `/c/${id}`);
    await openPalette(page);
    await page.keyboard.type("temporary");
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "Temporary chat", pressed: true }).waitFor();
    await openPalette(page);
    await page.keyboard.press("Escape");
    await dialog(page).waitFor({ state: "detached" });
    assert.equal(await composer(page).isVisible(), true);
  });

test("what was said is found, also behind titles", async (t) => {
  const { page } = await person(t);
  const id = await openConversation(page, "scripted-delay=1");
  await say(page, "Nothing in particular");
  await answered(page);
  await say(page, "The lighthouse keeper is called Quintus");
  await answered(page);
  await page.goto("/");
  await composer(page).waitFor();
  await eventually(async () => {
    // The index has it a moment later.
    await openPalette(page);
    await page.keyboard.type("quintus");
    const found = options(page).filter({ hasText: "lighthouse keeper" }).first();
    const isFound = await found.waitFor({ timeout: 2_000 }).then(
      () => true,
      () => false,
    );
    if (isFound) await found.click();
    else await page.keyboard.press("Escape");
    return isFound;
  }, "what was said");
  await page.waitForURL((url) => url.pathname === `/c/${id}`);
});
