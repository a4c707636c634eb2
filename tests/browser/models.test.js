// Providers of models and their models: an administrator adds one, a person chooses a model, and the answer says who wrote it.
import assert from "node:assert/strict";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { answered, answers, assertAccessible, composer, person, say, useApp } from "./app.js";

useApp({ variables: async () => ["model_provider_hosts=http://127.0.0.1:*"] });

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

const KEY = "right-key-1";
let server;

/** A provider with two models, which wants a key. */
before(async () => {
  server = createServer((request, response) => {
    request.resume();
    const json = (status, body) => response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(body));
    if (request.headers.authorization !== `Bearer ${KEY}`) {
      return json(401, { error: { message: "This key is not ours. See our handbook.", code: "invalid_api_key" } });
    }
    if (request.url === "/v1/models") return json(200, { data: [{ id: "llama-small" }, { id: "llama-large" }] });
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    const choice = { index: 0, delta: { content: "Hello from near." }, finish_reason: "stop" };
    const usage = { prompt_tokens: 12, completion_tokens: 3 };
    response.end(`data: ${JSON.stringify({ choices: [choice], usage })}\n\ndata: [DONE]\n\n`);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
});
after(() => server.close());

test("an administrator adds a provider, and a person has its model answer and sees that it did", async (t) => {
  const { page } = await person(t);
  await page.goto("/settings/administration/providers");
  await page.getByRole("button", { name: "Add a provider" }).click();
  await page.getByLabel("Name", { exact: true }).fill("near");
  await page.getByLabel("Address", { exact: true }).fill(`http://127.0.0.1:${server.address().port}/v1`);
  await page.getByLabel("Key", { exact: true }).fill("wrong-key-1");
  await page.getByLabel(/^Models/).fill("llama-*");
  await page.getByRole("button", { name: "Save", exact: true }).click();
  await page.getByText("See our handbook").waitFor();
  await page.getByRole("button", { name: "Save nevertheless" }).waitFor();
  await assertAccessible(page, "a provider that refuses");
  await shoot(page, "provider-refused");
  await page.getByLabel("Key", { exact: true }).fill(KEY);
  await page.getByRole("button", { name: "Save", exact: true }).click();
  const row = page.getByRole("listitem").filter({ hasText: "near" });
  await row.getByText("with a key").waitFor();
  await row.getByRole("button", { name: "Test near" }).click();
  await row.getByText("llama-small answers. 2 of 2 listed models fit.").waitFor();
  await assertAccessible(page, "providers");
  await shoot(page, "providers");

  await page.goto("/");
  await composer(page).waitFor();
  const picker = page.getByLabel("Model", { exact: true });
  assert.equal(await picker.inputValue(), "scripted");
  await picker.selectOption("llama-large");
  await assertAccessible(page, "a choice of model");
  await shoot(page, "picker");
  await say(page, "Hello?");
  await answered(page);
  await answers(page).last().getByText("Hello from near.").waitFor();
  await page.getByRole("button", { name: "Who wrote this answer" }).click();
  await page.getByText("llama-large from near · 12 tokens read, 3 written").waitFor();
  await assertAccessible(page, "who wrote an answer");
  await shoot(page, "details");
});
