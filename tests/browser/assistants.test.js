// Assistants and the settings of a chat: a person makes one, begins a chat with it, changes the chat's settings, and shares it with a group.
import assert from "node:assert/strict";
import { test } from "node:test";
import { answered, assertAccessible, composer, person, say, useApp } from "./app.js";

useApp();

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

const overflow = (page) =>
  page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

/** A request of the person, as the page would send it. */
function send(page, method, path, body) {
  return page.evaluate(
    async ([method, path, body]) => {
      const headers = { "Content-Type": "application/json" };
      const response = await fetch(path, { method, headers, ...(body ? { body: JSON.stringify(body) } : {}) });
      if (!response.ok) throw new Error(await response.text());
      return response.status === 204 ? null : response.json();
    },
    [method, path, body],
  );
}

async function make(page, name, instructions) {
  await page.getByRole("button", { name: "New assistant" }).click();
  await page.getByLabel("Name", { exact: true }).fill(name);
  await page.getByLabel("What it is for").fill("For tests");
  await page.getByLabel("Instructions").fill(instructions);
}

test("a person shares an assistant with their group, and a member begins a chat with it and changes the chat's settings", async (t) => {
  // The first account is an administrator's, who makes the group.
  const options = { reducedMotion: "reduce" };
  const { page: owner } = await person(t, options);
  const { page: member } = await person(t, options);
  // The owner comes last: whoever comes into a group needs a new token, which the page gets by itself, and these requests do not.
  const ids = await Promise.all([member, owner].map(async (page) => (await send(page, "GET", "/auth/me")).id));
  const group = await send(owner, "POST", "/api/admin/groups", { name: "Translators", roles: [] });
  for (const id of ids) await send(owner, "PUT", `/api/admin/groups/${group.id}/members/${id}`);

  await owner.goto("/settings/assistants");
  await owner.getByText("You have no assistants").waitFor();
  await make(owner, "Translator", "Translate everything into French.");
  await owner.getByRole("radio", { name: "Only these" }).check();
  await owner.getByRole("checkbox", { name: "clock: all its tools" }).check();
  await owner.getByRole("checkbox", { name: "Translators" }).check();
  await assertAccessible(owner, "a new assistant");
  await shoot(owner, "assistant-form");
  await owner.setViewportSize({ width: 320, height: 700 });
  assert.equal(await overflow(owner), 0, "on a narrow screen");
  await owner.setViewportSize({ width: 1280, height: 860 });
  await owner.getByRole("button", { name: "Save", exact: true }).click();
  await owner.getByText("shared with Translators").waitFor();
  await assertAccessible(owner, "assistants");
  await shoot(owner, "assistants");

  await member.goto("/settings/assistants");
  const row = member.getByRole("listitem").filter({ hasText: "Translator" });
  await row.getByText("by Ada Lovelace").waitFor();
  assert.equal(await row.getByRole("button", { name: "Change Translator" }).count(), 0, "it is not theirs");
  await row.getByRole("link", { name: "Begin a chat with Translator" }).click();
  await composer(member).waitFor();
  const picker = member.getByLabel("Assistant", { exact: true });
  assert.equal(await picker.locator("option:checked").innerText(), "Translator");
  await assertAccessible(member, "a new chat with an assistant");
  await shoot(member, "assistant-picker");
  await say(member, "Hello?");
  await answered(member);
  const button = member.getByRole("button", { name: "Settings of this chat, begun with Translator" });
  await button.waitFor();
  await shoot(member, "assistant-header");

  // With the keyboard alone.
  await button.focus();
  await member.keyboard.press("Enter");
  const dialog = member.getByRole("dialog", { name: "Settings of this chat" });
  assert.equal(await dialog.getByLabel("Instructions").inputValue(), "Translate everything into French.");
  await assertAccessible(member, "settings of a chat");
  await shoot(member, "chat-settings");
  await dialog.getByLabel("Temperature, 0 to 2").fill("0.3");
  await member.keyboard.press("Enter");
  await dialog.waitFor({ state: "detached" });
  const id = new URL(member.url()).pathname.split("/").at(-1);
  const { settings, assistant } = await send(member, "GET", `/api/conversations/${id}`);
  assert.deepEqual([settings.temperature, settings.tools, assistant.name], [0.3, ["clock:*"], "Translator"]);
  await button.click();
  await dialog.getByLabel("Longest answer, in tokens").fill("20");
  await member.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  assert.equal((await send(member, "GET", `/api/conversations/${id}`)).settings.max_output_tokens, null);

  await owner.getByRole("button", { name: "Change Translator" }).click();
  await owner.getByLabel("Name", { exact: true }).fill("Interpreter");
  await owner.getByRole("button", { name: "Save", exact: true }).click();
  await owner.getByRole("button", { name: "Delete Interpreter" }).click();
  await owner.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await owner.getByText("You have no assistants").waitFor();
  await member.reload();
  await button.waitFor();
});
