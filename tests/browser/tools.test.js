// The assistant wants to call a tool, and a person decides.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  answered,
  answers,
  assertAccessible,
  composer,
  eventually,
  internal,
  logIn,
  openConversation,
  person,
  say,
  stopButton,
  useApp,
} from "./app.js";

useApp();

/** The model's name for a tool that is not declared read-only, so the person is asked first. */
const APPROVAL_TOOL = "misbehaving_note";
/** Arguments that the tool's schema accepts. */
const ARGUMENTS = { text: "buy milk and bread" };
const MODEL = `scripted-tool=${APPROVAL_TOOL}-delay=1`;

const listed = (page) => page.evaluate(async () => (await (await fetch("/api/tools")).json()).items);
const nameOf = (tool) => `${tool.server}_${tool.name}`;
const question = (page) => page.getByRole("region", { name: /^May the assistant use/ });
const choice = (page, name) => question(page).first().getByRole("button", { name });
const call = (page) => answers(page).last().locator("details", { hasText: "Done" });
const spoken = (page) => page.locator('[aria-live="polite"]').innerText();

/** A person before a question. If there is no tool that asks, the test is skipped and this is null. */
async function asked(t, { model = MODEL, said = JSON.stringify(ARGUMENTS), ...options } = {}) {
  const somebody = await person(t, options);
  const tool = (await listed(somebody.page)).find((item) => nameOf(item) === APPROVAL_TOOL);
  if (tool === undefined) {
    t.skip(`GET /api/tools does not list ${APPROVAL_TOOL}`);
    return null;
  }
  const id = await openConversation(somebody.page, model);
  await say(somebody.page, said);
  await question(somebody.page).first().waitFor();
  return { ...somebody, id, tool };
}

test("a question says what would be called, where, and with what, and a reload asks the same", async (t) => {
  const it = await asked(t);
  if (it === null) return;
  const { page, tool } = it;
  const check = async () => {
    assert.equal(await question(page).count(), 1);
    const text = await question(page).innerText();
    for (const part of [tool.title ?? tool.name, APPROVAL_TOOL, tool.server, "buy milk and bread"])
      assert.ok(text.includes(part), `${part} in ${text}`);
    assert.match(text, /Expires in \d+ (second|minute|hour|day)/);
    await page.getByText("The assistant waits for your decision about a tool.").waitFor();
    assert.match(await spoken(page), /asks whether it may use a tool/);
    assert.match(await page.title(), /^Waiting for you/);
    assert.ok(await stopButton(page).isVisible());
  };
  await check();
  await page.reload();
  await question(page).waitFor();
  await check();
  await choice(page, "Allow once").click();
  await answered(page);
  await call(page).waitFor();
  assert.equal(await question(page).count(), 0);
  assert.equal(await page.getByText("waits for your decision").count(), 0);
  assert.doesNotMatch(await page.title(), /Waiting for you/);

  await call(page).locator("summary").first().click();
  await call(page).getByRole("group", { name: "Result" }).waitFor();
  await call(page).getByText("Allowed once by you.").waitFor();

  const summary = () => call(page).locator("summary").first().innerText();
  const shown = await summary();
  assert.match(shown, /Done in /);
  await page.reload();
  await call(page).waitFor();
  assert.equal(await summary(), shown);
});

/** Waits until a scrolled position was drawn and all observers were notified. */
const drawn = (page) =>
  page.evaluate(
    () =>
      new Promise((resolve) => {
        const observer = new IntersectionObserver(() => {
          observer.disconnect();
          requestAnimationFrame(() => requestAnimationFrame(resolve));
        });
        requestAnimationFrame(() => observer.observe(document.body));
      }),
  );

test("what does not fit on the screen is allowed only once all of it was there, with the keyboard too", async (t) => {
  const text = Array.from({ length: 120 }, (_, line) => `${line}: pa\u{e0100}y 12345678901234567890`).join("\n");
  const it = await asked(t, { said: JSON.stringify({ text }) });
  if (it === null) return;
  const { page } = it;
  const allow = choice(page, "Allow once");
  await page.getByText("Some of it was not yet.").waitFor();
  assert.ok(await allow.isDisabled());
  assert.ok(await choice(page, "Deny").isEnabled());
  await allow.focus();
  await page.keyboard.press("Enter");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Show what is left");
  const shown = await question(page).innerText();
  assert.ok(shown.includes("0: pa⟨U+E0100⟩y 12345678901234567890") && shown.includes("119: pa⟨U+E0100⟩y"));
  await page.getByRole("button", { name: "Review" }).focus();
  await page.keyboard.press("Enter");
  for (let presses = 0; presses < 40 && (await allow.isDisabled()); presses++) {
    await page.keyboard.press("PageDown");
    await drawn(page);
  }
  // A busy machine may not draw everything that is scrolled past. Such pieces still have to be shown.
  for (let presses = 0; presses < 40 && (await allow.isDisabled()); presses++) {
    await page.evaluate(() => {
      const buttons = [...document.querySelectorAll("[data-approval] button")];
      buttons.find((button) => button.textContent === "Show what is left")?.click();
    });
    await drawn(page);
  }
  await allow.click();
  await answered(page);
  await call(page).waitFor();
});

test("a call that is denied is not made, and the answer goes on", async (t) => {
  const it = await asked(t);
  if (it === null) return;
  const { page } = it;
  await choice(page, "Deny").click();
  await answered(page);
  const card = answers(page).last().locator("details", { hasText: "Denied" });
  await card.locator("summary").first().click();
  await card.getByRole("group", { name: "Error" }).waitFor();
});

test("what is always allowed is not asked about again, until the person takes it back", async (t) => {
  const it = await asked(t);
  if (it === null) return;
  const { page, tool } = it;
  await choice(page, "Always allow").click();
  await answered(page);
  await say(page, JSON.stringify(ARGUMENTS));
  await answered(page);
  await call(page).waitFor();

  await page.getByRole("link", { name: "Tools" }).click();
  const group = page.getByRole("group", { name: `Use of ${tool.title ?? tool.name}` });
  await group.getByRole("button", { name: "Allow", pressed: true }).waitFor();
  await page.getByRole("button", { name: `Use the default for ${tool.title ?? tool.name}` }).click();
  await group.getByRole("button", { name: "Ask", pressed: true }).waitFor();
  await page.goBack();
  await composer(page).waitFor();
  await say(page, JSON.stringify(ARGUMENTS));
  await question(page).waitFor();
});

test("several questions are answered one after the other, with the keyboard alone", async (t) => {
  const it = await asked(t, { model: `scripted-tool=${APPROVAL_TOOL}-tools=2-delay=1` });
  if (it === null) return;
  const { page } = it;
  await eventually(async () => (await question(page).count()) === 2, "two questions");
  await page.getByText("your decision about 2 tool calls").waitFor();
  await page.getByRole("button", { name: "Review" }).focus();
  await page.keyboard.press("Enter");
  const focused = () => page.evaluate(() => document.activeElement?.textContent?.trim() ?? "");
  const walkTo = async (name) => {
    for (let steps = 0; steps < 6 && (await focused()) !== name; steps++) await page.keyboard.press("Tab");
    assert.equal(await focused(), name);
  };
  await walkTo("Allow once");
  await page.keyboard.press("Enter");
  await eventually(async () => (await question(page).count()) === 1, "one question less");
  await page.waitForFunction(() => document.activeElement?.hasAttribute("data-approval"));
  await walkTo("Deny");
  await page.keyboard.press("Space");
  await eventually(async () => (await question(page).count()) === 0, "no question left");
  await page.waitForFunction(() => document.activeElement?.tagName === "SUMMARY");
  await answered(page);
  await answers(page).last().locator("summary", { hasText: "Done" }).waitFor();
  await answers(page).last().locator("summary", { hasText: "Denied" }).waitFor();
});

test("what another tab decides is seen in this one, and what another browser decides, too", async (t) => {
  const it = await asked(t);
  if (it === null) return;
  const { context, page, account, id } = it;
  const tab = await context.newPage();
  await tab.goto(`/c/${id}`);
  await question(tab).waitFor();
  const { page: elsewhere } = await person(t, { signedUp: false });
  await elsewhere.goto(`/c/${id}`);
  await logIn(elsewhere, account);
  await question(elsewhere).waitFor();
  await choice(page, "Allow once").click();
  for (const other of [tab, elsewhere]) {
    await answered(other);
    assert.equal(await question(other).count(), 0);
    await call(other).waitFor();
  }
});

test("stop ends an answer that waits for a decision", async (t) => {
  const it = await asked(t);
  if (it === null) return;
  const { page } = it;
  await stopButton(page).click();
  await page.getByText("You stopped this answer.").waitFor();
  assert.equal(await question(page).count(), 0);
  await answers(page).last().locator("summary", { hasText: "Not finished" }).waitFor();
  await page.reload();
  await page.getByText("You stopped this answer.").waitFor();
  assert.equal(await question(page).count(), 0);
});

test("a decision that does not arrive is told in words and can be made again", async (t) => {
  const it = await asked(t);
  if (it === null) return;
  const { page } = it;
  let release;
  const held = new Promise((resolve) => (release = resolve));
  await page.route("**/approvals", async (route) => (await held, route.fulfill(internal)));
  await choice(page, "Allow once").click();
  for (const name of ["Allow once", "Always allow", "Deny"])
    await eventually(() => choice(page, name).isDisabled(), `${name} to be out of reach`);
  release();
  await question(page).getByRole("alert").waitFor();
  assert.match(await question(page).getByRole("alert").innerText(), /not confirmed.*Out of order/s);
  await page.unroute("**/approvals");
  await choice(page, "Allow once").click();
  await answered(page);
  await call(page).waitFor();
});

for (const [code, words] of [
  ["already_decided", "decided in another place"],
  ["approval_expired", "The question expired"],
]) {
  test(`a decision that comes too late (${code}) closes the question and says why`, async (t) => {
    const it = await asked(t);
    if (it === null) return;
    const { page } = it;
    await page.route("**/approvals", (route) =>
      route.fulfill({
        status: 409,
        contentType: "application/problem+json",
        body: JSON.stringify({ status: 409, code, detail: "Too late." }),
      }),
    );
    await choice(page, "Allow once").click();
    await eventually(async () => (await question(page).count()) === 0, "the question to close");
    const card = answers(page).last().locator("details");
    await card.locator("summary").first().click();
    await card.getByText(words).waitFor();
  });
}

for (const colorScheme of ["light", "dark"]) {
  test(`axe finds nothing in ${colorScheme}: a question, its end, the settings`, async (t) => {
    const it = await asked(t, { colorScheme, reducedMotion: "reduce" });
    if (it === null) return;
    const { page } = it;
    await assertAccessible(page, "a question");
    await choice(page, "Allow once").click();
    await answered(page);
    await call(page).locator("summary").first().click();
    await assertAccessible(page, "a call that was made");
    await page.getByRole("link", { name: "Tools" }).click();
    await page.getByRole("heading", { level: 3 }).first().waitFor();
    await assertAccessible(page, "the settings");
  });
}

test("a phone has room for a question and for the settings", async (t) => {
  const it = await asked(t, { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
  if (it === null) return;
  const { page } = it;
  const fits = async (where) => {
    const wider = await page.evaluate(
      () =>
        [...document.querySelectorAll("main *")].filter((element) => element.getBoundingClientRect().right > 360.5)
          .length,
    );
    assert.equal(wider, 0, where);
  };
  await fits("the question");
  await page.goto("/settings/tools");
  await page.getByRole("heading", { level: 3 }).first().waitFor();
  await fits("the settings");
});

test("the use of each tool is chosen, kept, and goes back to the default", async (t) => {
  const { page } = await person(t);
  const [tool] = await listed(page);
  if (tool === undefined) return t.skip("GET /api/tools lists no tool");
  await page.getByRole("link", { name: "Tools" }).click();
  await page.waitForURL("**/settings/tools");
  await page.getByRole("heading", { level: 2, name: tool.server, exact: true }).waitFor();
  const title = tool.title ?? tool.name;
  const group = page.getByRole("group", { name: `Use of ${title}`, exact: true }).first();
  const pressed = (name) => group.getByRole("button", { name, pressed: true });
  const label = (effect) => effect[0].toUpperCase() + effect.slice(1);
  await pressed(label(tool.policy)).waitFor();

  await page.route("**/api/tools/policies", (route) => route.fulfill(internal));
  await group.getByRole("button", { name: "Deny" }).click();
  await page.getByRole("alert").getByText("Out of order").waitFor();
  await page.unroute("**/api/tools/policies");
  await pressed(label(tool.policy)).waitFor();

  await group.getByRole("button", { name: "Deny" }).click();
  await pressed("Deny").waitFor();
  await page.getByText("Your choice").first().waitFor();
  await page.reload();
  await pressed("Deny").waitFor();
  await page
    .getByRole("button", { name: `Use the default for ${title}`, exact: true })
    .first()
    .click();
  await pressed(label(tool.policy)).waitFor();
  const [after] = await listed(page);
  assert.equal(after.own_policy, null);
});

test("a list of tools that cannot be had says so, and is had on trying again", async (t) => {
  const { page } = await person(t);
  await page.route("**/api/tools", (route) => route.fulfill(internal));
  await page.getByRole("link", { name: "Tools" }).click();
  await page.getByRole("alert").getByText("could not be listed").waitFor();
  await page.unroute("**/api/tools");
  await page.getByRole("button", { name: "Try again" }).click();
  await eventually(async () => (await page.getByRole("alert").count()) === 0, "the list");
});
