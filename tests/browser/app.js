// The running app and a browser for it. A test gets a person with their own browser, signed up, with a page open.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { after, before } from "node:test";
import { AxeBuilder } from "@axe-core/playwright";
import { chromium } from "playwright-core";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const HOST = process.env.EA_HOST ?? join(ROOT, "target/host/embedded-host");
/** The scripted model's program, for a host that does not start one: Spin. */
const MODEL = process.env.EA_MODEL;
/** The manifest with tools that ask, written by `cargo dev test`. */
const MANIFEST = process.env.EA_FIXTURES_MANIFEST ?? join(ROOT, "target/dev/fixtures.toml");
const CHROMIUM =
  process.env.EA_CHROMIUM ?? ["/usr/bin/chromium-headless-shell", "/usr/bin/chromium"].find((path) => existsSync(path));
/** Compiling the components for the first time took 180 s on two cores that were busy with other compilers. */
const START_LIMIT_MS = 300_000;
/** Longer than anything that a test waits for, even on a busy machine. */
const WAIT_LIMIT_MS = 30_000;
/** Of a page whose test failed: enough to see where it was. */
const SHOWN_CHARS = 2_000;

const QUIET = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

let url = process.env.EA_URL ?? "";
let browser;
let people = 0;

/** One session sends more messages in a test than people do. Tests of limits set them as variables, which come first. */
const WITHOUT_LIMITS = {
  SPIN_VARIABLE_REQUESTS_PER_MINUTE: "0",
  SPIN_VARIABLE_PERSON_REQUESTS_PER_MINUTE: "0",
  SPIN_VARIABLE_SESSION_REQUESTS_PER_MINUTE: "0",
};

/**
 * Starts everything that the tests of a file need, and ends it after them. `variables` are further ones of the app, as
 * `name=value`; `started` hears its address.
 */
export function useApp({ variables = async () => [], started = () => undefined } = {}) {
  const servers = [];
  let stateDir;
  const serve = (program, ...args) => {
    const env = { ...WITHOUT_LIMITS, ...process.env };
    servers.push(spawn(program, args, { cwd: ROOT, env, stdio: ["ignore", "pipe", "pipe"] }));
    return served(program, servers.at(-1));
  };
  before(async () => {
    if (!process.env.EA_URL) {
      stateDir = await mkdtemp(join(tmpdir(), "edge-assistant-"));
      const model = MODEL ? await variablesOf(serve(MODEL, "--listen", "127.0.0.1:0")) : ["--model-server"];
      const state = ["--listen", "127.0.0.1:0", "--state-dir", stateDir];
      const more = (await variables()).flatMap((variable) => ["--variable", variable]);
      url = await serve(HOST, "up", "--from", MANIFEST, ...state, "--quiet", ...model, ...more);
      started(url);
    }
    browser = await chromium.launch({ executablePath: CHROMIUM, args: QUIET });
  });
  after(async () => {
    await browser?.close();
    for (const server of servers) server.kill();
    if (stateDir) await rm(stateDir, { recursive: true, force: true });
  });
}

async function variablesOf(model) {
  const names = [
    "openai_model=scripted",
    "openai_models=scripted*",
    "openai_api_key=scripted",
    `openai_base_url=${await model}`,
  ];
  return names.flatMap((variable) => ["--variable", variable]);
}

function served(program, server) {
  return new Promise((resolve, reject) => {
    let said = "";
    const timer = setTimeout(
      () => reject(new Error(`${program} did not say that it serves:\n${said}`)),
      START_LIMIT_MS,
    );
    server.on("error", (error) =>
      reject(new Error(`${program} could not be started (${error.message}). Run \`cargo dev test\`, which builds it.`)),
    );
    server.on("exit", (code) => reject(new Error(`${program} ended with ${code}:\n${said}`)));
    for (const stream of [server.stdout, server.stderr]) {
      createInterface({ input: stream }).on("line", (line) => {
        said += `${line}\n`;
        const at = /^Serving .*?(http:\S+)/.exec(line);
        if (at === null) return;
        clearTimeout(timer);
        resolve(at[1]);
      });
    }
  });
}

/** A new person with their own browser. An error in any of their pages fails the test. */
export async function person(t, { signedUp = true, ...options } = {}) {
  const context = await browser.newContext({ baseURL: url, viewport: { width: 1280, height: 860 }, ...options });
  context.setDefaultTimeout(WAIT_LIMIT_MS);
  const trouble = [];
  await context.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) =>
      console.error(`CSP refused ${event.violatedDirective} ${event.blockedURI}`),
    );
  });
  context.on(
    "console",
    (message) => /CSP refused|Content Security Policy/.test(message.text()) && trouble.push(message.text()),
  );
  context.on("weberror", (error) => trouble.push(String(error.error())));
  const unanswered = new Set();
  context.on("request", (request) => unanswered.add(request));
  for (const end of ["requestfinished", "requestfailed"]) context.on(end, (request) => unanswered.delete(request));
  context.on("dialog", (dialog) => (trouble.push(`a dialog: ${dialog.message()}`), dialog.dismiss()));
  t.after(async () => {
    const failure = t.error?.cause;
    if (failure instanceof Error) failure.message += await surroundings(context, unanswered);
    await context.close();
    assert.deepEqual(trouble, []);
  });
  const page = await context.newPage();
  const account = {
    email: `person-${process.pid}-${Date.now()}-${++people}@example.org`,
    password: "correct horse battery staple",
    name: "Ada Lovelace",
  };
  await page.goto("/");
  if (signedUp) await signUp(page, account);
  return { context, page, account };
}

/** For whoever reads why a test failed: what a person would see, and what the page still waits for. */
async function surroundings(context, unanswered) {
  const pages = context.pages().map(async (page) => {
    const text = await page.locator("body").innerText().catch(String);
    return `\n${page.url()} showed: ${text.replace(/\s+/g, " ").slice(0, SHOWN_CHARS)}`;
  });
  const requests = [...unanswered].map((request) => `\nunanswered: ${request.method()} ${request.url()}`);
  return [...(await Promise.all(pages)), ...requests].join("");
}

export async function signUp(page, account) {
  await page.getByRole("button", { name: "Create an account" }).click();
  await page.getByLabel("Name").fill(account.name);
  await page.getByLabel("Email").fill(account.email);
  await page.getByLabel("Password").fill(account.password);
  await page.getByRole("button", { name: "Create account" }).click();
  await composer(page).waitFor();
}

export async function logIn(page, account) {
  await page.getByLabel("Email").fill(account.email);
  await page.getByLabel("Password").fill(account.password);
  await page.getByRole("button", { name: "Log in" }).click();
}

/** Opens a new conversation whose model is the script with these knobs, and returns its id. */
export async function openConversation(page, model) {
  const id = await createConversation(page, model);
  await page.goto(`/c/${id}`);
  await page.getByText("What shall we work on?").waitFor();
  return id;
}

export function createConversation(page, model) {
  return page.evaluate(
    async (body) => {
      const response = await fetch("/api/conversations", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
      });
      if (!response.ok) throw new Error(await response.text());
      return (await response.json()).id;
    },
    { model },
  );
}

/** The stored messages of a conversation. */
export function storedMessages(page, id) {
  return page.evaluate(async (path) => (await (await fetch(path)).json()).items, `/api/conversations/${id}/messages`);
}

export const composer = (page) => page.getByRole("textbox", { name: "Message" });
export const answers = (page) =>
  page.locator("article", { has: page.getByRole("heading", { name: "Assistant", exact: true }) });
export const stopButton = (page) => page.getByRole("button", { name: /^Stop(ping)?$/ });

export async function say(page, text) {
  await composer(page).fill(text);
  await composer(page).press("Enter");
}

/** Waits for the end of the last answer and returns its text. */
export async function answered(page) {
  const last = page.locator("article").last().and(page.locator("[aria-busy=false]"));
  await last.getByRole("button", { name: "Copy the answer" }).waitFor();
  return textOf(page);
}

/** The text of the last answer, without its buttons. */
export async function textOf(page) {
  return (await answers(page).last().locator(".md").allInnerTexts()).join("\n").trim();
}

/** Fails if axe finds a fault. */
export async function assertAccessible(page, where) {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const found = violations.map(
    ({ id, help, nodes }) => `${id}: ${help}\n  ${nodes.map((node) => node.html).join("\n  ")}`,
  );
  assert.deepEqual(found, [], where);
}

/** A response in place of the server's: an internal error, after which the page does not retry. */
export const internal = {
  status: 500,
  contentType: "application/problem+json",
  body: JSON.stringify({ status: 500, code: "internal", detail: "Out of order." }),
};

/** Polls a condition for which the page has no event. */
export async function eventually(condition, what) {
  const until = Date.now() + WAIT_LIMIT_MS;
  while (!(await condition())) {
    assert.ok(Date.now() < until, `waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
