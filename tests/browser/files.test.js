// A person attaches files to messages.
import assert from "node:assert/strict";
import { test } from "node:test";
import { answered, composer, eventually, openConversation, person, say, storedMessages, useApp } from "./app.js";

useApp();

const MODEL = "scripted-echo=1-delay=0";
const attached = (page) => page.getByRole("list", { name: "Attached files" });
/** The files of the message that was sent. */
const shown = (page) => page.getByRole("list", { name: "Files", exact: true });

/** Gives the text field files as a paste or a drop does. A picture is drawn, so that it has as many pixels. */
const give = (page, kind, { name, width = 0, text = "" }) =>
  composer(page).evaluate(
    async (field, { kind, name, width, text }) => {
      let content = text;
      if (width > 0) {
        const canvas = Object.assign(document.createElement("canvas"), { width, height: width / 2 });
        const context = canvas.getContext("2d");
        context.fillStyle = "teal";
        context.fillRect(0, 0, width / 2, width / 2);
        content = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
      }
      const data = new DataTransfer();
      data.items.add(new File([content], name, { type: width > 0 ? "image/png" : "text/plain" }));
      const Kind = kind === "paste" ? ClipboardEvent : DragEvent;
      const init = { bubbles: true, cancelable: true, [kind === "paste" ? "clipboardData" : "dataTransfer"]: data };
      field.dispatchEvent(new Kind(kind, init));
    },
    { kind, name, width, text },
  );

test("a picture that is pasted and a text that is dropped are sent, and shown after a reload", async (t) => {
  const { page } = await person(t);
  const id = await openConversation(page, MODEL);
  await give(page, "paste", { name: "photo.png", width: 3_000 });
  await attached(page).locator("img").waitFor();
  await give(page, "drop", { name: "notes.txt", text: "buy milk" });
  await attached(page).getByText("8 bytes").waitFor();
  await say(page, "What is this?");
  await answered(page);
  assert.equal(await attached(page).count(), 0);
  const [message] = await storedMessages(page, id);
  // It is scaled to what models look at, and its type is that of its content.
  assert.deepEqual(message.files.map(({ name, type }) => [name, type]), [
    ["photo.jpg", "image/jpeg"],
    ["notes.txt", "text/plain"],
  ]);
  for (const again of [false, true]) {
    if (again) await page.reload();
    await shown(page).getByRole("link", { name: /notes\.txt/ }).waitFor();
    const picture = shown(page).getByRole("img", { name: "photo.jpg" });
    await eventually(() => picture.evaluate((image) => image.naturalWidth === 1_568), "the picture");
  }
});

test("a file is chosen, and removed before it is sent", async (t) => {
  const { page } = await person(t);
  await openConversation(page, MODEL);
  const button = page.getByRole("button", { name: "Attach files" });
  for (const name of ["one.txt", "two.txt"]) {
    const [chooser] = await Promise.all([page.waitForEvent("filechooser"), button.click()]);
    await chooser.setFiles({ name, mimeType: "text/plain", buffer: Buffer.from(name) });
  }
  await attached(page).getByText("7 bytes").nth(1).waitFor();
  await page.getByRole("button", { name: "Remove one.txt" }).click();
  await composer(page).press("Enter");
  await answered(page);
  await shown(page).getByText("two.txt").waitFor();
  assert.equal(await shown(page).getByText("one.txt").count(), 0);
});

test("a file that is too long is refused in words, and the message stays", async (t) => {
  const { page } = await person(t);
  await openConversation(page, MODEL);
  await page.locator("input[type=file]").setInputFiles({
    name: "long.bin",
    mimeType: "application/octet-stream",
    buffer: Buffer.alloc(17_000_000, 7),
  });
  await attached(page).getByText("The file is too long").waitFor();
  await say(page, "Take it anyway");
  await page.getByText("A file could not be uploaded.").waitFor();
  assert.equal(await composer(page).inputValue(), "Take it anyway");
});
