// What people see of webhooks: one is added, its secret is shown once, a test is sent, and it is removed. Administrators have those of the installation.
import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { createServer } from "node:http";
import { test } from "node:test";
import { assertAccessible, person, useApp } from "./app.js";

useApp({ variables: async () => ["webhook_host=http://127.0.0.1:*"] });

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

/** A receiver, what it got, and what it answers. */
async function receiver(t) {
  const got = [];
  const state = { status: 204, got };
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    got.push({ headers: request.headers, body });
    response.writeHead(state.status).end();
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  t.after(() => server.close());
  return { url: `http://127.0.0.1:${server.address().port}/hook`, state };
}

test("a person adds a webhook, sends a test and removes it, and administrators have their own", async (t) => {
  const { url, state } = await receiver(t);
  const { page } = await person(t);
  await page.goto("/settings/account");
  const section = page.getByRole("region", { name: "Webhooks" });
  await section.getByLabel("Address").fill(url);
  await section.getByLabel("A tool call waits for a decision").uncheck();
  await section.getByRole("button", { name: "Add" }).click();
  await section.getByText("Copy it now: it is not shown again.").waitFor();
  const secret = await section.locator("code").innerText();
  const row = section.getByRole("listitem");
  await row.getByText("Nothing was sent yet").waitFor();
  await assertAccessible(page, "one's own webhooks");
  await section.scrollIntoViewIfNeeded();
  await shoot(page, "webhooks-new");

  await row.getByRole("button", { name: /^Send a test/ }).click();
  await row.getByText("It answered 204").waitFor();
  const [{ headers, body }] = state.got;
  const key = Buffer.from(secret.replace("whsec_", ""), "base64");
  const signed = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`;
  assert.equal(headers["webhook-signature"], `v1,${createHmac("sha256", key).update(signed).digest("base64")}`);
  assert.equal(JSON.parse(body).type, "webhook.test");

  state.status = 500;
  await row.getByRole("button", { name: /^Send a test/ }).click();
  await row.getByText("It answered 500").waitFor();
  await row.getByText("1 waiting").waitFor();
  await page.reload();
  await row.getByText("It answered 500").waitFor();
  assert.equal(await section.getByText(secret).count(), 0, "the secret is shown once");
  await section.scrollIntoViewIfNeeded();
  await shoot(page, "webhooks-failing");

  await row.getByRole("button", { name: /^Remove/ }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Remove" }).click();
  await section.getByText("There are no webhooks.").waitFor();

  await page.goto("/settings/administration/webhooks");
  await page.getByLabel("A budget is used up").waitFor();
  await page.getByLabel("Address").fill("https://example.org/");
  await page.getByLabel("Something was recorded").check();
  await page.getByRole("button", { name: "Add" }).click();
  await page.getByText("This installation sends no webhooks there.").waitFor();
  await assertAccessible(page, "the installation's webhooks");
  await shoot(page, "webhooks-administration");
});
