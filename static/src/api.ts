/**
 * Every request to the server: the only place that calls `fetch`. The session lives in HttpOnly cookies; this code never
 * sees a token. An access cookie that ran out is renewed once, here, and the request sent again.
 */
import type { Conversation, Decision, Effect, Message, Page, Problem, Run, Secret, Session, Tool, ToolProblem, User } from "./types.ts";

/** A request that failed. `status` 0: the server could not be reached. `message` is for the person. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly field: string | null;
  /** From `Retry-After`. */
  readonly retryAfterMs: number | null;

  constructor(
    status: number,
    code: string,
    message: string,
    field: string | null = null,
    retryAfterMs: number | null = null,
  ) {
    super(message);
    this.status = status;
    this.code = code;
    this.field = field;
    this.retryAfterMs = retryAfterMs;
  }
}

/** What a caught value says to the person. */
export function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

export const auth = {
  signup: (body: { email: string; password: string; name?: string }) =>
    send<Session>("POST", "/auth/signup", body, false),
  login: (body: { email: string; password: string }) => send<Session>("POST", "/auth/login", body, false),
  logout: () => send<void>("POST", "/auth/logout", undefined, false),
  me: () => send<User>("GET", "/auth/me"),
};

export const conversations = {
  list: (cursor: string | null) =>
    send<Page<Conversation>>("GET", `/api/conversations${query({ limit: "50", cursor })}`),
  create: () => send<Conversation>("POST", "/api/conversations", {}),
  get: (id: string) => send<Conversation>("GET", conversationPath(id)),
  rename: (id: string, title: string) => send<Conversation>("PATCH", conversationPath(id), { title }),
  remove: (id: string) => send<void>("DELETE", conversationPath(id)),
  messages: (id: string, cursor: string | null) =>
    send<Page<Message>>("GET", `${conversationPath(id)}/messages${query({ limit: "200", cursor })}`),
  /** Safe to send again with the same key: the server answers with what it stored the first time. */
  say: (id: string, content: string, idempotencyKey: string) =>
    send<{ message: Message; run: Run }>("POST", `${conversationPath(id)}/messages`, { content }, true, {
      "Idempotency-Key": idempotencyKey,
    }),
};

export const runs = {
  get: (id: string) => send<Run>("GET", runPath(id)),
  cancel: (id: string) => send<Run>("POST", `${runPath(id)}/cancel`),
  retry: (id: string) => send<{ run: Run }>("POST", `${runPath(id)}/retry`),
  /** Saying the same again does no harm. */
  decide: (id: string, callId: string, decision: Decision) =>
    send<unknown>("POST", `${runPath(id)}/approvals`, { call_id: callId, decision }),
  /** The event stream after `lastEventId`, or null when the run has ended and everything was seen. */
  async events(
    id: string,
    lastEventId: string | null,
    signal: AbortSignal,
  ): Promise<ReadableStream<Uint8Array<ArrayBuffer>> | null> {
    const headers: Record<string, string> = { Accept: "text/event-stream" };
    if (lastEventId !== null) headers["Last-Event-ID"] = lastEventId;
    const response = await request(`${runPath(id)}/events`, { headers, signal, cache: "no-store" }, true);
    if (response.status === 204) return null;
    if (!response.ok || response.body === null) throw await problemOf(response);
    return response.body;
  },
};

export const tools = {
  list: (cursor: string | null) => send<Page<Tool> & { problems: ToolProblem[] }>("GET", `/api/tools${query({ cursor })}`),
  setPolicy: (pattern: string, effect: Effect) => send<unknown>("PUT", "/api/tools/policies", { pattern, effect }),
  secrets: () => send<{ items: Secret[] }>("GET", "/api/tools/secrets"),
  setSecret: (server: string, name: string, value: string) =>
    send<Secret>("PUT", "/api/tools/secrets", { server, name, value }),
  removeSecret: (server: string, name: string) =>
    send<void>("DELETE", `/api/tools/secrets${query({ server, name })}`),
  removePolicy: (pattern: string) => send<void>("DELETE", `/api/tools/policies${query({ pattern })}`),
};

const conversationPath = (id: string) => `/api/conversations/${encodeURIComponent(id)}`;
const runPath = (id: string) => `/api/runs/${encodeURIComponent(id)}`;

function query(values: Record<string, string | null>): string {
  const given = Object.entries(values).filter((entry): entry is [string, string] => entry[1] !== null);
  return given.length > 0 ? `?${new URLSearchParams(given)}` : "";
}

async function send<T>(
  method: string,
  path: string,
  body?: unknown,
  renew = true,
  headers: Record<string, string> = {},
): Promise<T> {
  const init: RequestInit = { method, headers };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { ...headers, "Content-Type": "application/json" };
  }
  const response = await request(path, init, renew);
  if (!response.ok) throw await problemOf(response);
  if (response.status === 204) return undefined as T;
  return (await response.json()) as T;
}

async function request(path: string, init: RequestInit, renew: boolean): Promise<Response> {
  const response = await reach(path, init);
  if (response.status !== 401 || !renew) return response;
  return (await renewSession()) ? reach(path, init) : response;
}

async function reach(path: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(path, init);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, "unreachable", "The server could not be reached. Check your connection and try again.");
  }
}

async function problemOf(response: Response): Promise<ApiError> {
  const problem = (await response.json().catch(() => ({}))) as Partial<Problem>;
  const retryAfterS = Number(response.headers.get("Retry-After"));
  return new ApiError(
    response.status,
    problem.code ?? "unexpected",
    problem.detail ?? `The server answered ${response.status} and did not say why. Try again.`,
    problem.field ?? null,
    retryAfterS > 0 ? retryAfterS * 1000 : null,
  );
}

let renewal: Promise<boolean> | null = null;

/**
 * Renews the session, unless another tab has just done so. A refresh token works once, and using one twice ends the
 * session: so one at a time in this tab, and one at a time among the tabs. Whether another was first, only the server
 * knows for certain: what tabs store for each other may arrive late.
 */
function renewSession(): Promise<boolean> {
  renewal ??= exclusively(async () => {
    if ((await reach("/auth/me", {})).ok) return true;
    const response = await reach("/auth/refresh", { method: "POST" });
    if (!response.ok && response.status !== 401) throw await problemOf(response);
    return response.ok;
  }).finally(() => (renewal = null));
  return renewal;
}

function exclusively<T>(work: () => Promise<T>): Promise<T> {
  // Absent on plain http to another machine: there, each tab is on its own.
  return "locks" in navigator ? navigator.locks.request("ea.renew", work) : work();
}
