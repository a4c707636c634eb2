// What people see of what is remembered about them: the call, the fact with its conversation, an edit, the switch, and that it is gone.
import assert from "node:assert/strict";
import { test } from "node:test";
import { answered, assertAccessible, openConversation, person, say, useApp } from "./app.js";

useApp();

test("a person sees what is remembered and where it was said, edits it, turns it off and has it forgotten", async (t) => {
  const { page } = await person(t);
  await openConversation(page, "scripted-tool=memory_remember-delay=0-ttft=0");
  await say(page, JSON.stringify({ fact: "Prefers metric units." }));
  await answered(page);
  const said = page.url();
  await page.goto("/settings/account");
  await page.getByRole("link", { name: "See what is remembered" }).click();
  const facts = page.getByRole("main").getByRole("listitem");
  const row = facts.filter({ hasText: "metric units" });
  await row.waitFor();
  await assertAccessible(page, "what is remembered");
  await row.getByRole("button", { name: /^Edit/ }).click();
  await page.getByLabel("What is remembered", { exact: true }).fill("Prefers miles.");
  await page.getByRole("button", { name: "Save" }).click();
  const edited = facts.filter({ hasText: "Prefers miles." });
  await edited.waitFor();
  const on = page.getByLabel("Remember, and use what is remembered");
  await on.uncheck();
  await page.reload();
  await edited.waitFor();
  assert.equal(await on.isChecked(), false);
  await edited.getByRole("link", { name: "this conversation" }).click();
  await page.waitForURL(said);
  await page.goBack();
  await edited.getByRole("button", { name: /^Forget/ }).click();
  await page.getByText("Nothing is remembered about you.").waitFor();
});
