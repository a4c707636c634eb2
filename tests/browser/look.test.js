// The page on different screens and for different needs.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import {
  answered,
  answers,
  assertAccessible,
  composer,
  eventually,
  openConversation,
  person,
  say,
  useApp,
} from "./app.js";

useApp();

const RICH = `# A heading

A paragraph with a ${"very".repeat(40)}long word, \`code\` and [a link](https://example.org).

| one | two | three | four | five | six |
| --- | --- | --- | --- | --- | --- |
| a longer cell | a longer cell | a longer cell | a longer cell | a longer cell | a longer cell |

\`\`\`rust
fn main() { println!("a line of code that is longer than a phone is wide, by a good deal, and then some"); }
\`\`\`

1. one
2. two`;

const overflow = (page) =>
  page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

for (const colorScheme of ["light", "dark"]) {
  test(`axe finds nothing in ${colorScheme}: login, new chat, an answer, a deletion`, async (t) => {
    const { page, account } = await person(t, { signedUp: false, colorScheme, reducedMotion: "reduce" });
    await assertAccessible(page, "login");
    await page.getByRole("button", { name: "Create an account" }).click();
    await page.getByLabel("Email").fill(account.email);
    await page.getByLabel("Password").fill("short");
    await page.getByRole("button", { name: "Create account" }).click();
    await page.getByRole("alert").waitFor();
    await assertAccessible(page, "a sign-up with an error");
    await page.getByLabel("Password").fill(account.password);
    await page.getByRole("button", { name: "Create account" }).click();
    await composer(page).waitFor();
    await assertAccessible(page, "a new chat");

    await openConversation(page, "scripted-echo=1-delay=1-reasoning=2");
    await say(page, RICH);
    await answered(page);
    await answers(page).last().locator("pre span").first().waitFor();
    await page.getByText("Thinking").click();
    await assertAccessible(page, "an answer");
    await page.getByRole("navigation").getByRole("link").first().hover();
    await page.getByRole("button", { name: /Delete/ }).click();
    await page.getByRole("button", { name: /^Undo/ }).waitFor();
    await assertAccessible(page, "a deletion");
  });
}

test("formulas are drawn under the page's own policy, with its own fonts", async (t) => {
  const { page } = await person(t);
  await openConversation(page, "scripted-echo=1-delay=5");
  await say(
    page,
    "With $\\sqrt{x^2}$ and \\[\\left(\\begin{matrix} a \\\\ b \\\\ c \\end{matrix}\\right)\\] and $\\frac{1}{$ for $5",
  );
  await answered(page);
  await answers(page).last().locator(".katex").nth(1).waitFor();
  assert.match(await answers(page).last().innerText(), /\$\\frac\{1\}\{\$ for \$5/);
  await page.waitForFunction(() =>
    [...document.fonts].some((font) => font.family === "KaTeX_Main" && font.status === "loaded"),
  );
  await assertAccessible(page, "formulas");
});

test("with colours of the person's own everything that can be pressed has an edge", async (t) => {
  const { page } = await person(t, { forcedColors: "active" });
  await openConversation(page, "scripted-chunks=2000-delay=50");
  await say(page, "Talk");
  const stop = page.getByRole("button", { name: "Stop" });
  const look = (locator) =>
    locator.evaluate((element) => [
      getComputedStyle(element).borderTopStyle,
      getComputedStyle(element).backgroundColor,
    ]);
  assert.equal((await look(stop))[0], "solid");
  assert.notEqual((await look(stop.locator("span")))[1], (await look(stop))[1], "the mark on it");
  await stop.click();
  await page.getByRole("link", { name: "Tools" }).click();
  const choices = page
    .getByRole("group", { name: /^Use of/ })
    .first()
    .getByRole("button");
  await choices.first().waitFor();
  const [chosen, other] = [
    choices.and(page.locator("[aria-pressed=true]")),
    choices.and(page.locator("[aria-pressed=false]")),
  ];
  assert.notEqual((await look(chosen))[1], (await look(other.first()))[1]);
});

test("code is wrapped and saved as a file of its language, and a table for a spreadsheet", async (t) => {
  const { page } = await person(t);
  await openConversation(page, "scripted-echo=1-delay=1");
  const code = `print("${"long ".repeat(80)}")`;
  await say(page, `\`\`\`python\n${code}\n\`\`\`\n\n| a | b |\n|---|---|\n| 1, 2 | =x |`);
  await answered(page);
  const answer = answers(page).last();
  const saved = async (button) => {
    const [download] = await Promise.all([page.waitForEvent("download"), answer.getByRole("button", { name: button }).click()]);
    return [download.suggestedFilename(), await readFile(await download.path(), "utf8")];
  };
  assert.deepEqual(await saved("Save code as a file"), ["code.py", `${code}\n`]);
  await answer.getByRole("group", { name: "Table" }).hover();
  assert.deepEqual(await saved("Save table as CSV"), ["table.csv", "a,b\r\n\"1, 2\",'=x\r\n"]);
  const block = answer.locator(".code-block pre");
  const isWider = () => block.evaluate((element) => element.scrollWidth > element.clientWidth);
  assert.equal(await isWider(), true);
  await answer.getByRole("button", { name: "Wrap long lines" }).click();
  await eventually(async () => !(await isWider()), "wrapped lines");
  await assertAccessible(page, "wrapped code");
});

test("a page whose code cannot be loaded says so, and is loaded when it can be", async (t) => {
  const { page } = await person(t);
  await page.route("**/assets/memory-*.js", (route) => route.abort());
  await page.goto("/settings/memory");
  await page.getByText("This page could not be loaded.").waitFor();
  await assertAccessible(page, "a page that is not there");
  await page.unroute("**/assets/memory-*.js");
  await page.getByRole("button", { name: "Load it anew" }).click();
  await page.getByText("Facts about you that models had remembered").waitFor();
});

test("there is room to read at 400 % zoom, and a whole conversation on paper", async (t) => {
  const { page } = await person(t, { viewport: { width: 320, height: 256 } });
  await openConversation(page, "scripted-echo=1-delay=1");
  await say(page, RICH.repeat(5));
  await answered(page);
  const box = page.locator("[data-scroller]");
  assert.ok((await box.evaluate((element) => element.clientHeight)) >= 128, "half of the screen");
  await page.emulateMedia({ media: "print" });
  const [shown, whole, below] = await box.evaluate((element) => [
    element.clientHeight,
    element.scrollHeight,
    document.documentElement.scrollHeight,
  ]);
  assert.ok(shown >= whole && below >= whole, `${shown} of ${whole} on ${below}`);
  assert.equal(await composer(page).isVisible(), false);
});

test("of a long conversation the newest is there at once, and the rest on demand, above what is being read", async (t) => {
  const { page } = await person(t);
  const id = await openConversation(page, null);
  const all = Array.from({ length: 500 }, (_, index) => ({
    ...{ id: `m${index}`, conversation_id: id, run_id: `r${index >> 1}`, created_at: "2026-01-01T00:00:00Z" },
    ...(index % 2 === 0 ? { role: "user" } : { role: "assistant", finish_reason: "stop" }),
    content: `Number ${index}. ${"Some **words**. ".repeat(20)}`,
  })).reverse();
  await page.route("**/messages?*", (route) => {
    const query = new URL(route.request().url()).searchParams;
    const [from, limit] = [Number(query.get("cursor")), Number(query.get("limit"))];
    const next = from + limit < all.length ? String(from + limit) : null;
    return route.fulfill({ json: { items: all.slice(from, from + limit), next_cursor: next } });
  });
  await page.reload();
  await page.getByText("Number 499.").waitFor();
  const drawn = (count) =>
    eventually(async () => (await page.getByRole("article").count()) === count, `${count} messages`);
  await drawn(50);
  const earlier = page.getByRole("button", { name: "Show earlier messages" });
  await earlier.scrollIntoViewIfNeeded();
  const first = page.getByRole("article").first();
  const text = (await first.textContent()).match(/Number \d+\./)[0];
  const before = (await page.getByText(text).boundingBox()).y;
  await earlier.click();
  await drawn(100);
  assert.ok(Math.abs((await page.getByText(text).boundingBox()).y - before) < 60, "what was read stays in its place");
});

test("on a narrow screen, the button that undoes a deletion is on the screen, however long the name is", async (t) => {
  const { page } = await person(t, { viewport: { width: 360, height: 740 } });
  await openConversation(page, "scripted-echo=1-delay=1");
  await say(page, "A name that goes on and on ".repeat(10));
  await answered(page);
  await page.getByRole("button", { name: "Show conversations" }).click();
  await page.getByRole("navigation").getByRole("link").first().hover();
  await page.getByRole("button", { name: /^Delete/ }).click();
  const { x, width } = await page.getByRole("button", { name: /^Undo/ }).boundingBox();
  assert.ok(x >= 0 && x + width <= 360, `from ${x} to ${x + width}`);
});

test("dark follows the system", async (t) => {
  const { page } = await person(t, { signedUp: false });
  const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await paper();
  await page.emulateMedia({ colorScheme: "dark" });
  assert.notEqual(await paper(), light);
});

test("a phone has room for everything", async (t) => {
  const { page } = await person(t, { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
  assert.equal(await overflow(page), 0);
  await openConversation(page, "scripted-echo=1-delay=1");
  await say(page, RICH);
  await answered(page);
  assert.equal(await overflow(page), 0);
  const widest = await answers(page)
    .last()
    .evaluate((answer) => answer.getBoundingClientRect().right);
  assert.ok(widest <= 360, `the answer ends at ${widest}`);

  await openConversation(page, "scripted-delay=1");
  await page.getByRole("button", { name: "Show conversations" }).click();
  const list = page.getByRole("complementary", { name: "Conversations" });
  await list.getByRole("button", { name: /^More about “# A heading/ }).click();
  const small = await page.evaluate(() =>
    [...document.querySelectorAll("button, aside a")]
      .filter((element) => element.checkVisibility({ visibilityProperty: true }))
      .map((element) => [element.ariaLabel ?? element.textContent, element.getBoundingClientRect()])
      .filter(([, { width, height }]) => width > 0 && (width < 43.5 || height < 43.5))
      .map(([name, { width, height }]) => `${name}: ${width} by ${height}`),
  );
  assert.deepEqual(small, [], "too small for a finger");
  await list.getByRole("button", { name: /^Rename “# A heading/ }).click();
  await page.getByRole("textbox", { name: "New name" }).fill("Renamed by a finger");
  await page.getByRole("button", { name: "Rename", exact: true }).click();
  await list.getByRole("link", { name: "Renamed by a finger" }).waitFor();
  await list.getByRole("link", { name: "New chat" }).first().click();
  await page.getByText("What shall we work on?").waitFor();
  await page.waitForFunction(() => document.querySelector("aside").inert);
  await page.getByRole("button", { name: "Show conversations" }).click();
  await page.waitForFunction(() => !document.querySelector("aside").inert);
  await page.keyboard.press("Escape");
  await page.waitForFunction(() => document.querySelector("aside").inert);

  // Before the drawer is painted.
  await page.getByRole("button", { name: "Show conversations" }).focus();
  await page.evaluate(
    () =>
      new Promise((resolve) => {
        const drawer = document.querySelector("aside");
        new MutationObserver((_, seen) => {
          seen.disconnect();
          drawer.dispatchEvent(new KeyboardEvent("keydown", { key: "Escape", bubbles: true }));
          resolve();
        }).observe(drawer, { attributeFilter: ["inert"] });
        document.activeElement.click();
      }),
  );
  await page.waitForFunction(
    () => document.querySelector("aside").inert && document.activeElement.ariaLabel === "Show conversations",
  );
});

test("the keyboard alone is enough", async (t) => {
  const { page } = await person(t);
  await page.waitForFunction(() => document.activeElement?.tagName === "TEXTAREA");
  await page.keyboard.type("Typed, not clicked");
  await page.keyboard.press("Enter");
  await answered(page);
  const visited = new Set();
  for (let steps = 0; steps < 20; steps++) {
    await page.keyboard.press("Tab");
    visited.add(
      await page.evaluate(
        () => document.activeElement?.getAttribute("aria-label") ?? document.activeElement?.textContent?.trim() ?? "",
      ),
    );
    assert.ok(
      await page.evaluate(
        () =>
          document.activeElement === document.body ||
          getComputedStyle(document.activeElement).outlineStyle !== "none" ||
          document.activeElement.tagName === "TEXTAREA",
      ),
      "focus is visible",
    );
  }
  for (const name of ["New chat", "Log out", "Copy the answer"])
    assert.ok(visited.has(name), `${name} among ${[...visited]}`);
});

for (const colorScheme of ["light", "dark"]) {
  test(`the description of the API is shown in ${colorScheme}, on a phone, with little, and asks nobody else for anything`, async (t) => {
    const viewport = { width: 360, height: 740 };
    const { context, page } = await person(t, { signedUp: false, colorScheme, viewport });
    const asked = [];
    page.on("request", (request) => asked.push(new URL(request.url())));
    await page.goto("/docs");
    await page.getByRole("heading", { name: "Edge Assistant API" }).waitFor();
    const ids = await page.locator("[id]").evaluateAll((elements) => elements.map(({ id }) => id));
    assert.equal(new Set(ids).size, ids.length, "a subject or route has the address of another");
    await page.getByRole("searchbox", { name: "Search routes" }).fill("messages post");
    const route = page.locator("#sendMessage");
    await route.locator("summary").first().click();
    await route.getByText("run_active").waitFor();
    await route.getByText("ResponseFormatWanted", { exact: true }).click();
    await route.getByText("json_schema", { exact: true }).first().waitFor();
    assert.equal(await page.getByText("/api/conversations", { exact: true }).count(), 0, "what was not searched for");
    await assertAccessible(page, "the description of the API");
    assert.ok((await overflow(page)) <= 0);
    assert.equal(await page.getByRole("button").count(), 0, "nothing is sent from here");
    const bytes = await page.evaluate(() =>
      performance.getEntriesByType("resource").reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0),
    );
    assert.ok(bytes < 100_000, `${bytes} bytes`);
    const elsewhere = asked.filter(({ protocol, hostname }) => protocol !== "data:" && hostname !== "127.0.0.1");
    assert.deepEqual(elsewhere.map(String), []);

    // Its address leads there.
    const other = await context.newPage();
    await other.goto(page.url());
    await other.locator("#sendMessage").getByText("run_active").waitFor();
  });
}
