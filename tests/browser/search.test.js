// A person finds what was said.
import assert from "node:assert/strict";
import { test } from "node:test";
import { answered, eventually, openConversation, person, say, useApp } from "./app.js";

useApp();

test("what was said long ago in a conversation is found by its words, and opened where it was said", async (t) => {
  const { page } = await person(t);
  await openConversation(page);
  await say(page, "Where are the cabins near the Zugspitze?");
  await answered(page);
  await page.goto("/");
  const field = page.getByLabel("Search your conversations");
  const found = page.getByRole("list", { name: "What was found" }).getByRole("link", { name: /Where are the cabins/ });
  // What was just said may not be indexed on a busy machine.
  await eventually(async () => {
    await field.fill("");
    await field.fill("zugspitze cabin from:me");
    return found.waitFor({ timeout: 2_000 }).then(() => true, () => false);
  }, "the message is found");
  assert.deepEqual(await found.locator("mark").allTextContents(), ["cabins", "Zugspitze"]);
  await found.click();
  // The script of a model repeats what it was asked.
  const message = page.getByRole("article").filter({ hasText: "Where are the cabins" }).first();
  await eventually(() => message.evaluate((element) => element === document.activeElement), "it is gone to");
  await field.fill("nothingofthekind");
  await page.getByText("Nothing was found.").waitFor();
  await field.fill("");
  await page.getByRole("navigation").getByRole("link", { name: /Where are the cabins/ }).waitFor();
});
