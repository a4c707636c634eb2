/**
 * The parts of a browser's tab that Node does not have. This must be imported first. It also has a server with a handler
 * for each request.
 */
import assert from "node:assert/strict";
import type { Conversation, Message, Run } from "../src/types.ts";

/** A `Storage` whose keys are its own properties, as in browsers. */
class MemoryStorage {
  [key: string]: unknown;
  getItem(key: string): string | null {
    return Object.hasOwn(this, key) ? String(this[key]) : null;
  }
  setItem(key: string, value: string): void {
    this[key] = value;
  }
  removeItem(key: string): void {
    delete this[key];
  }
}

/** Does not keep the process running after the tests. */
class Channel extends BroadcastChannel {
  constructor(name: string) {
    super(name);
    (this as unknown as { unref(): void }).unref();
  }
}

const network = { onLine: true };
const address = { pathname: "/", search: "", hash: "" };
const goTo = (_state: unknown, _title: string, to: string) => {
  const { pathname, search, hash } = new URL(to, "http://app.invalid");
  Object.assign(address, { pathname, search, hash });
};

for (const [name, value] of Object.entries({
  window: new EventTarget(),
  navigator: network,
  location: address,
  history: { pushState: goTo, replaceState: goTo },
  sessionStorage: new MemoryStorage(),
  BroadcastChannel: Channel,
  requestAnimationFrame: (draw: () => void) => setTimeout(draw),
  cancelAnimationFrame: clearTimeout,
}))
  Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });

/** Another tab of the same browser: it receives and sends messages. */
export const otherTab = new Channel("ea.tabs");

export function setOnline(is: boolean): void {
  network.onLine = is;
  window.dispatchEvent(new Event(is ? "online" : "offline"));
}

export type Asked = { method: string; path: string; body: unknown; headers: Headers; signal: AbortSignal | null };
export type Answer = (asked: Asked) => Response | Promise<Response>;

/** The handlers of requests, by method and path without query. Other requests get 404. */
export const answers = new Map<string, Answer>();
/** The requests, in order. */
export const asked: Asked[] = [];

globalThis.fetch = async (path, init = {}) => {
  assert.ok(typeof path === "string");
  if (!network.onLine) throw new TypeError("fetch failed");
  const { method = "GET", body, headers, signal = null } = init;
  const request = {
    method,
    path,
    body: typeof body === "string" ? (JSON.parse(body) as unknown) : null,
    headers: new Headers(headers),
    signal,
  };
  asked.push(request);
  const answer = answers.get(`${method} ${path.split("?")[0]}`);
  if (answer === undefined) return refusal(404, "not_found", "There is no such thing.");
  return Promise.race([answer(request), aborted(signal)]);
};

function aborted(signal: AbortSignal | null): Promise<never> {
  return new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason as Error)));
}

export function refusal(status: number, code: string, detail: string): Response {
  return Response.json({ status, code, detail }, { status });
}

/** A response that waits until it is given. */
export function held(): { answer: Answer; give: (response: Response) => void } {
  let give: (response: Response) => void = () => undefined;
  const response = new Promise<Response>((resolve) => (give = resolve));
  return { answer: async () => (await response).clone(), give };
}

/** The events of a run on a connection that stays open. */
export class Events {
  #controller: ReadableStreamDefaultController<Uint8Array> | null = null;
  #id = 0;

  answer: Answer = ({ signal }) => {
    const start = (controller: ReadableStreamDefaultController<Uint8Array>) => {
      this.#controller = controller;
      signal?.addEventListener("abort", () => controller.error(signal.reason));
    };
    return new Response(new ReadableStream({ start }), { headers: { "Content-Type": "text/event-stream" } });
  };

  say(type: string, content: string, metadata: object = {}): void {
    assert.ok(this.#controller, "somebody listens");
    this.#id += Math.max(1, content.length);
    const data = JSON.stringify({ type, content, metadata });
    this.#controller.enqueue(new TextEncoder().encode(`id: ${this.#id}\nevent: ${type}\ndata: ${data}\n\n`));
  }

  /** Sends a comment, as the server does when there is no event. */
  keepAwake(): void {
    this.#controller?.enqueue(new TextEncoder().encode(": awake\n\n"));
  }

  get isHeard(): boolean {
    return this.#controller !== null;
  }
}

/** A network that seems to exist but transports nothing. */
export const dead: Answer = () => {
  throw new TypeError("fetch failed");
};

/** Accepts a request and never responds. */
export const silent: Answer = () => new Promise(() => undefined);

/** Waits for a condition, without a fake clock. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const end = Date.now() + 10_000;
  while (!condition()) {
    assert.ok(Date.now() < end, `waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** Waits until everything has happened that needs neither network nor time. */
export async function settled(): Promise<void> {
  for (let turns = 0; turns < 5; turns++) await new Promise((resolve) => setTimeout(resolve));
}

export function conversationOf(id: string, fields: Partial<Conversation> = {}): Conversation {
  return { id, title: `Title of ${id}`, model: null, created_at: "", updated_at: "1", active_run_id: null, ...fields };
}

export function runOf(id: string, conversationId: string, fields: Partial<Run> = {}): Run {
  const links = { message_id: `m-${id}`, events_url: `/api/runs/${id}/events` };
  const times = { created_at: "", updated_at: "" };
  return { id, conversation_id: conversationId, ...links, ...times, ...RUN, ...fields };
}

const RUN: Pick<Run, "state" | "model" | "error" | "usage"> = {
  state: "queued",
  model: "scripted",
  error: null,
  usage: null,
};

/** A person's message, and its answer if there is one. */
export function said(conversationId: string, runId: string, text: string, answer?: string): Message[] {
  const of = { conversation_id: conversationId, run_id: runId, created_at: "" };
  const messages: Message[] = [{ ...of, id: `m-${runId}`, role: "user", content: text }];
  if (answer !== undefined)
    messages.push({ ...of, id: `a-${runId}`, role: "assistant", content: answer, finish_reason: "stop" });
  return messages;
}
