// A person talks to the assistant.
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  answered,
  answers,
  assertAccessible,
  composer,
  createConversation,
  eventually,
  internal,
  logIn,
  openConversation,
  person,
  say,
  stopButton,
  storedMessages,
  textOf,
  useApp,
} from "./app.js";

useApp();

/** Slow enough for actions during the answer: three seconds. */
const SLOW = "scripted-chunks=60-delay=50";

/** Only the words, because the stored text is markdown and the shown text is not. */
const flat = (text) => text.replace(/[^\p{L}\p{N}]+/gu, " ").trim();

test("the first message makes a conversation, the answer streams in, and a reload shows both", async (t) => {
  const { page } = await person(t);
  await say(page, "Hello there, assistant");
  await stopButton(page).waitFor();
  const text = await answered(page);
  assert.notEqual(text, "");
  assert.match(page.url(), /\/c\/[0-9a-f-]{36}$/);
  await page.waitForFunction(() => document.title.startsWith("Hello there"));
  await page
    .getByRole("navigation")
    .getByRole("link", { name: /Hello there/ })
    .waitFor();
  await page.getByText("Scripted model").waitFor();

  await page.reload();
  assert.equal(await answered(page), text);
  assert.equal(await page.getByRole("article").count(), 2);
});

test("an answer is shown while it is written", async (t) => {
  const { page } = await person(t);
  await openConversation(page, SLOW);
  await say(page, "Slowly, please");
  await eventually(async () => (await textOf(page).catch(() => "")) !== "", "the first words");
  const early = await textOf(page);
  assert.ok(await stopButton(page).isVisible());
  const late = await answered(page);
  assert.ok(late.length > early.length);
  assert.ok(flat(late).startsWith(flat(early)));
});

test("closing the tab in the middle loses nothing", async (t) => {
  const { context, page } = await person(t);
  const id = await openConversation(page, SLOW);
  await say(page, "I will leave");
  await eventually(async () => (await textOf(page).catch(() => "")) !== "", "the first words");
  await page.close();

  const later = await context.newPage();
  await later.goto(`/c/${id}`);
  const text = await answered(later);
  const stored = await storedMessages(later, id);
  assert.equal(flat(text), flat(stored.at(-1).content));
  assert.equal(await answers(later).count(), 1);
});

test("two tabs show the same answer, the second also from its beginning", async (t) => {
  const { context, page } = await person(t);
  const id = await openConversation(page, "scripted-chunks=2000-delay=50");
  const second = await context.newPage();
  await say(page, "For both of us");
  await eventually(async () => (await textOf(page).catch(() => "")) !== "", "the first words");
  const early = await textOf(page);
  await second.goto(`/c/${id}`);
  await stopButton(second).waitFor();
  await eventually(async () => flat(await textOf(second).catch(() => "")).startsWith(flat(early)), "the same beginning");
  await stopButton(second).click();
  const [one, two] = await Promise.all([answered(page), answered(second)]);
  assert.equal(two, one);
});

test("a tab that is open already hears of what is said in another", async (t) => {
  const { context, page } = await person(t);
  const id = await openConversation(page, SLOW);
  const second = await context.newPage();
  await second.goto(`/c/${id}`);
  await composer(second).waitFor();
  await say(page, "Do you hear me?");
  await second.getByText("Do you hear me?").first().waitFor();
  const [one, two] = await Promise.all([answered(page), answered(second)]);
  assert.equal(two, one);
});

test("stop ends the answer and keeps what was written", async (t) => {
  const { page } = await person(t);
  const id = await openConversation(page, "scripted-chunks=2000-delay=50");
  await say(page, "Talk until I stop you");
  await eventually(async () => (await textOf(page).catch(() => "")) !== "", "the first words");
  await stopButton(page).click();
  await page.getByText("You stopped this answer.").waitFor();
  const text = await answered(page);
  assert.notEqual(text, "");

  await page.reload();
  await page.getByText("You stopped this answer.").waitFor();
  const stored = (await storedMessages(page, id)).findLast((message) => message.role === "assistant");
  assert.equal(flat(await answered(page)), flat(stored.content));
});

test("an error is told in words, also after a reload, and can be tried again", async (t) => {
  const { page } = await person(t);
  await openConversation(page, `scripted-fail=401-failures=1-test=browser${Date.now()}`);
  await say(page, "Fail once");
  await page.getByRole("alert").waitFor();
  await page.reload();
  await page.getByRole("button", { name: "Retry" }).click();
  assert.notEqual(await answered(page), "");
  assert.equal(await page.getByRole("alert").count(), 0);
  assert.equal(await page.getByRole("article").count(), 2);
});

test("an answer that broke off in the middle is shown as far as it went, and trying again writes it anew", async (t) => {
  const { page } = await person(t);
  await openConversation(page, `scripted-midstream_error=5-failures=1-test=broken${Date.now()}`);
  await say(page, "Break off");
  await page.getByRole("alert").waitFor();
  const broken = await textOf(page);
  assert.notEqual(broken, "");
  await page.reload();
  await page.getByRole("alert").waitFor();
  assert.equal(await textOf(page), broken);
  await page.getByRole("button", { name: "Retry" }).click();
  await eventually(async () => (await textOf(page).catch(() => "")).length > broken.length, "the new answer");
  const whole = await answered(page);
  await page.reload();
  assert.equal(await answered(page), whole);
  assert.equal(await answers(page).count(), 1);
});

test("a busy provider is waited for, and the person told", async (t) => {
  const { page } = await person(t);
  await openConversation(page, `scripted-fail=429-retry_after=2-failures=1-test=busy${Date.now()}`);
  await say(page, "Are you busy?");
  await page
    .getByText(/The model is busy, trying again/)
    .first()
    .waitFor();
  assert.notEqual(await answered(page), "");
});

test("reasoning is kept apart from the answer", async (t) => {
  const { page } = await person(t);
  await openConversation(page, "scripted-reasoning=5-delay=5");
  await say(page, "Think first");
  const text = await answered(page);
  assert.doesNotMatch(text, /Step 1 of the script/);
  await page.getByText("Thinking").click();
  await page.getByText("Step 1 of the script.").waitFor();
  await page.reload();
  await page.getByText("Thinking").click();
  await page.getByText("Step 1 of the script.").waitFor();
});

test("what was opened in an answer stays open, and nothing of it is made anew, when the next one is asked for", async (t) => {
  const { page } = await person(t);
  await openConversation(page, "scripted-reasoning=5-delay=1");
  await say(page, "Think first");
  await answered(page);
  await page.getByText("Thinking").click();
  await answers(page)
    .first()
    .evaluate((answer) => answer.querySelectorAll("*").forEach((element) => (element.isOld = true)));
  await say(page, "Once more");
  await eventually(async () => (await answers(page).count()) === 2, "the second answer");
  await answered(page);
  const first = answers(page).first();
  assert.ok(await first.locator("details").evaluate((details) => details.open));
  assert.ok(await first.evaluate((answer) => [...answer.querySelectorAll("*")].every((element) => element.isOld)));
});

test("the keyboard is not left nowhere when an answer is stopped and tried again", async (t) => {
  const { page } = await person(t);
  await openConversation(page, "scripted-chunks=2000-delay=50");
  await say(page, "Stop me");
  // Before the first words, the button would stop the sending and not the answer.
  await eventually(async () => (await textOf(page).catch(() => "")) !== "", "the first words");
  await stopButton(page).focus();
  await page.keyboard.press("Enter");
  await page.getByText("You stopped this answer.").waitFor();
  await page.waitForFunction(() => document.activeElement.ariaLabel === "Send");
  await page.getByRole("button", { name: "Retry" }).focus();
  await page.keyboard.press("Enter");
  await stopButton(page).waitFor();
  await page.waitForFunction(() => document.activeElement.tagName === "TEXTAREA");
});

test("what was said on another device is there once one speaks here", async (t) => {
  const { page, account } = await person(t);
  const id = await openConversation(page, "scripted-delay=1");
  await say(page, "From the desktop");
  await answered(page);
  const { page: phone } = await person(t, { signedUp: false });
  await phone.goto(`/c/${id}`);
  await logIn(phone, account);
  await answered(phone);
  await say(phone, "From the phone");
  await answered(phone);
  await say(page, "From the desktop again");
  await page.getByRole("article").getByText("From the phone").first().waitFor();
  await answered(page);
  const said = await page.getByRole("article").filter({ hasText: "From the" }).allInnerTexts();
  assert.deepEqual(
    said
      .map((text) => /From the [a-z ]+/.exec(text)[0])
      .slice(0, 5)
      .filter((text, index, all) => all.indexOf(text) === index),
    ["From the desktop", "From the phone", "From the desktop again"],
  );
});

test("a server that does not answer is told within five seconds, and need not be waited for", async (t) => {
  const { page } = await person(t);
  const id = await openConversation(page, "scripted-delay=1");
  await page.route("**/messages", (route) => (route.request().method() === "POST" ? undefined : route.fallback()));
  await say(page, "Is anybody there?");
  await page.getByText("The server does not answer").waitFor({ timeout: 5_000 });
  await stopButton(page).click();
  await page.getByRole("alert").getByText("Your message is back").waitFor();
  assert.equal(await composer(page).inputValue(), "Is anybody there?");
  await page.unroute("**/messages");
  await composer(page).press("Enter");
  await answered(page);
  assert.equal((await storedMessages(page, id)).filter((message) => message.role === "user").length, 1);
});

test("what cannot be sent now is said and stays", async (t) => {
  const { page } = await person(t);
  await openConversation(page, "scripted-chunks=2000-delay=50");
  await say(page, "Talk");
  await stopButton(page).waitFor();
  await say(page, "And another thing");
  await page.getByText("still being written").waitFor();
  assert.equal(await composer(page).inputValue(), "And another thing");
  await stopButton(page).click();
  await page.getByText("You stopped this answer.").waitFor();
  await page.getByText("still being written").waitFor({ state: "detached" });
});

test("an answer that was cut off is gone on with", async (t) => {
  const { page } = await person(t);
  await openConversation(page, "scripted-finish=length-delay=1");
  await say(page, "Be brief");
  await page.getByRole("button", { name: "Continue" }).click();
  await page.getByText("Continue where you stopped.").waitFor();
});

test("a message that could not be sent stays in the composer, and is stored once however often it is sent", async (t) => {
  const { page } = await person(t);
  const id = await openConversation(page, "scripted-delay=1");
  await page.route("**/messages", async (route) => {
    if (route.request().method() !== "POST") return route.fallback();
    await route.fetch(); // the server stores the message, but the page gets an error
    await route.fulfill(internal);
  });
  await say(page, "Only once");
  await page.getByRole("alert").waitFor();
  await page.unroute("**/messages");
  assert.equal(await composer(page).inputValue(), "Only once");
  await page.reload();
  await answered(page);
  await eventually(
    async () => (await composer(page).inputValue()) === "Only once",
    "the draft, which survives a reload",
  );
  await composer(page).press("Enter");
  await eventually(async () => (await composer(page).inputValue()) === "", "the sending");
  await answered(page);
  // A message is shown at once while it is being sent, and becomes the stored message with the server's response.
  await eventually(async () => (await page.getByRole("article").count()) === 2, "one message and its answer");
  const mine = (await storedMessages(page, id)).filter((message) => message.role === "user");
  assert.equal(mine.length, 1);
});

test("after a lost connection the answer goes on where it was", async (t) => {
  const { page } = await person(t);
  await openConversation(page, "scripted-chunks=30-delay=10");
  const resumed = [];
  let connections = 0;
  await page.route("**/events", async (route) => {
    connections += 1;
    if (connections > 1) {
      resumed.push(route.request().headers()["last-event-id"]);
      return route.fallback();
    }
    const whole = await (await route.fetch()).text();
    const events = whole.split("\n\n");
    await route.fulfill({
      status: 200,
      contentType: "text/event-stream",
      body: `${events.slice(0, Math.floor(events.length / 2)).join("\n\n")}\n\n`,
    });
  });
  await say(page, "Do not lose the thread");
  const text = await answered(page);
  assert.equal(resumed.length, 1);
  assert.match(resumed[0], /^\d+$/);
  await page.unroute("**/events");
  await page.reload();
  assert.equal(await answered(page), text);
});

test("a conversation is renamed and deleted, the latter with ten seconds to undo it", async (t) => {
  const { page } = await person(t);
  const id = await openConversation(page, "scripted-delay=1");
  await say(page, "A name to change");
  await answered(page);
  const list = page.getByRole("navigation");
  await list.getByRole("link", { name: /A name to change/ }).hover();
  await list.getByRole("button", { name: /Rename/ }).click();
  await page.getByRole("textbox", { name: "New name" }).fill("The better name");
  await page.getByRole("button", { name: "Rename", exact: true }).click();
  await list.getByRole("link", { name: "The better name" }).hover();
  await page.waitForFunction(() => document.title.startsWith("The better name"));

  await page.clock.install();
  await list.getByRole("button", { name: /Delete/ }).click();
  await page.waitForURL((url) => url.pathname === "/");
  await page.waitForFunction(() => document.activeElement?.tagName === "TEXTAREA");
  assert.equal(await list.getByRole("link", { name: "The better name" }).count(), 0);
  await assertAccessible(page, "after a deletion");
  await page.getByRole("button", { name: /^Undo/ }).click();
  await page.waitForURL((url) => url.pathname === `/c/${id}`);

  await list.getByRole("link", { name: "The better name" }).hover();
  await list.getByRole("button", { name: /Delete/ }).click();
  await page.getByText("Deleted: The better name").waitFor();
  const isTold = page.waitForResponse((response) => response.request().method() === "DELETE");
  await page.clock.runFor(10_000);
  assert.equal((await isTold).status(), 204);
  await page.getByText("Deleted: The better name").waitFor({ state: "detached" });
  await page.goto(`/c/${id}`);
  await page.getByText("There is no such conversation").waitFor();
});

test("a conversation that was just deleted is gone when its page is left", async (t) => {
  const { page } = await person(t);
  const id = await openConversation(page, "scripted-delay=1");
  await say(page, "Leave at once");
  await answered(page);
  const list = page.getByRole("navigation");
  await list.getByRole("link", { name: /Leave at once/ }).hover();
  await list.getByRole("button", { name: /Delete/ }).click();
  await page.getByRole("button", { name: /^Undo/ }).waitFor();
  await page.goto(`/c/${id}`);
  await page.getByText("There is no such conversation").waitFor();
});

/** Opens a new conversation that is loading until it is released. */
async function openHeld(page) {
  const id = await createConversation(page, "scripted-delay=1");
  let release;
  const held = new Promise((resolve) => (release = resolve));
  await page.route(`**/api/conversations/${id}`, async (route) => (await held, route.fallback()));
  await page.goto(`/c/${id}`);
  return { id, release };
}

test("what is typed while a conversation loads is not lost", async (t) => {
  const { page } = await person(t);
  const { release } = await openHeld(page);
  await composer(page).fill("I type fast");
  release();
  await page.getByText("What shall we work on?").waitFor();
  assert.equal(await composer(page).inputValue(), "I type fast");
});

test("Enter while a conversation loads sends as soon as it has loaded", async (t) => {
  const { page } = await person(t);
  const { id, release } = await openHeld(page);
  await say(page, "I type fast");
  release();
  await answered(page);
  const [message] = await storedMessages(page, id);
  assert.equal(message.content, "I type fast");
  assert.equal(await composer(page).inputValue(), "");
});

test("Enter while a conversation loads sends nothing once the person types on or goes elsewhere", async (t) => {
  const { page } = await person(t);
  const other = await openConversation(page, "scripted-delay=1");
  await composer(page).fill("half a thought");
  const { id, release } = await openHeld(page);
  await say(page, "I type fast");
  await page.locator(`a[href="/c/${other}"]`).click();
  await page.getByText("What shall we work on?").waitFor();
  assert.equal(await composer(page).inputValue(), "half a thought");
  await page.locator(`a[href="/c/${id}"]`).click();
  await say(page, "I type faster");
  await composer(page).fill("I type on");
  release();
  await page.getByText("What shall we work on?").waitFor();
  assert.equal(await composer(page).inputValue(), "I type on");
  assert.deepEqual([await storedMessages(page, id), await storedMessages(page, other)], [[], []]);
});

test("what is written in the moment in which another conversation is opened is written there", async (t) => {
  const { page } = await person(t);
  const other = await openConversation(page, "scripted-delay=1");
  const id = await openConversation(page, "scripted-delay=1");
  await composer(page).fill("half a thought");
  const found = await page.evaluate(async (path) => {
    // Everything after a click that needs no painted frame.
    const settled = async () => {
      for (let turns = 0; turns < 20; turns++) await null;
    };
    document.querySelector(`a[href="${path}"]`).click();
    await settled();
    const field = document.querySelector("textarea");
    const draft = field.value;
    Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value").set.call(field, "I am fast");
    field.dispatchEvent(new InputEvent("input", { bubbles: true }));
    await settled();
    field.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true }));
    return draft;
  }, `/c/${other}`);
  assert.equal(found, "");
  await answered(page);
  const [message] = await storedMessages(page, other);
  assert.equal(message.content, "I am fast");
  assert.deepEqual(await storedMessages(page, id), []);
});

test("back and forward go through conversations, and each keeps its draft", async (t) => {
  const { page } = await person(t);
  const first = await openConversation(page, "scripted-delay=1");
  await say(page, "The first one");
  await answered(page);
  await composer(page).fill("half a thought");
  await page.getByRole("link", { name: "New chat" }).first().click();
  await page.getByText("What shall we work on?").waitFor();
  assert.equal(await composer(page).inputValue(), "");
  await page.goBack();
  await page.waitForURL(`**/c/${first}`);
  await answered(page);
  await eventually(async () => (await composer(page).inputValue()) === "half a thought", "the draft");
  await page.goForward();
  await page.getByText("What shall we work on?").waitFor();
});

test("Enter that ends a composition does not send, and Shift+Enter makes a line", async (t) => {
  const { page } = await person(t);
  await composer(page).fill("nihongo");
  await composer(page).dispatchEvent("keydown", { key: "Enter", isComposing: true, bubbles: true, cancelable: true });
  assert.equal(await composer(page).inputValue(), "nihongo");
  await composer(page).press("Shift+Enter");
  assert.equal(await composer(page).inputValue(), "nihongo\n");
  assert.equal(await page.getByRole("article").count(), 0);
});

test("scrolling up stays there while the answer grows, and one button leads back to the end", async (t) => {
  const { page } = await person(t, { viewport: { width: 900, height: 420 } });
  await openConversation(page, "scripted-chunks=600-delay=10");
  await say(page, "Write a lot");
  const scroller = page.locator("main > div.overflow-y-auto").first();
  const top = () => scroller.evaluate((box) => box.scrollTop);
  const atEnd = () => scroller.evaluate((box) => box.scrollHeight - box.scrollTop - box.clientHeight < 60);
  await eventually(async () => (await top()) > 200, "the text to fill more than a screen");
  assert.ok(await atEnd());
  await scroller.hover();
  await page.mouse.wheel(0, -150);
  const jump = page.getByRole("button", { name: "Jump to the end" });
  await jump.waitFor();
  const stayed = await top();
  const grown = (await textOf(page)).length;
  await eventually(async () => (await textOf(page)).length > grown + 100, "more text");
  assert.ok(Math.abs((await top()) - stayed) < 5);
  await jump.click();
  await eventually(atEnd, "the end");
  await stopButton(page).click();
  await answered(page);
});

test("the list shows more on demand", async (t) => {
  const { page } = await person(t);
  for (let made = 0; made < 55; made++) await createConversation(page, null);
  await page.reload();
  const links = page.getByRole("navigation").getByRole("link");
  const more = page.getByRole("button", { name: "Show more" });
  await more.waitFor();
  assert.equal(await links.count(), 50);
  await more.click();
  await eventually(async () => (await links.count()) === 55, "the rest of the list");
  assert.equal(await more.count(), 0);
});
