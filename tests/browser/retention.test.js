// Chats that are not kept, and how long the others are.
import assert from "node:assert/strict";
import { test } from "node:test";
import { answered, assertAccessible, composer, eventually, openConversation, person, say, useApp } from "./app.js";

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

const statusOf = (context, id) => context.request.get(`/api/conversations/${id}`).then((answer) => answer.status());

test("a temporary chat is in no list, and is gone when it is left or its tab is closed", async (t) => {
  const { context, page } = await person(t);
  const begin = async (words) => {
    await page.getByRole("button", { name: "Temporary chat" }).click();
    await say(page, words);
    await answered(page);
    const id = new URL(page.url()).pathname.split("/").at(-1);
    assert.equal(await statusOf(context, id), 200);
    return id;
  };
  await page.getByRole("button", { name: "Temporary chat" }).click();
  await page.getByText("Temporary chat: it is in no list").waitFor();
  await look(page, "temporary-new");
  await page.getByRole("button", { name: "Temporary chat" }).click();
  const left = await begin("Between us");
  await page.getByRole("heading", { name: "Temporary chat" }).waitFor();
  assert.equal(await page.getByRole("navigation").getByRole("link", { name: /Between us/ }).count(), 0);
  await look(page, "temporary");
  await page.getByRole("link", { name: "New chat" }).first().click();
  await eventually(async () => (await statusOf(context, left)) === 404, "it is deleted");

  const closed = await begin("And this");
  await page.close({ runBeforeUnload: true });
  await eventually(async () => (await statusOf(context, closed)) === 404, "it is deleted with its tab");
});

test("a person says how long a conversation is kept, and the list says when it goes", async (t) => {
  const { page } = await person(t);
  await openConversation(page, "scripted-echo=1-delay=1");
  await say(page, "For some days");
  await answered(page);
  const list = page.getByRole("complementary", { name: "Conversations" });
  await list.getByRole("link", { name: /For some days/ }).hover();
  await list.getByRole("button", { name: /^How long “For some days/ }).click();
  await page.getByText("At present it is kept until somebody deletes it.").waitFor();
  await look(page, "keep");
  await page.getByLabel("Delete it").selectOption("7");
  await page.getByRole("button", { name: "Save" }).click();
  await list.getByText("Deleted in 7 days").waitFor();
  await look(page, "kept");
  await composer(page).waitFor();
});
