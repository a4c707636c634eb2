/**
 * Every request to the server: the only place that calls `fetch`. The session lives in HttpOnly cookies; this code never
 * sees a token. An access cookie that ran out is renewed once, here, and the request sent again. So is what got no answer, or
 * that of a proxy whose server is away: all of it does no harm a second time, but for what says `once`.
 */
import { isOffline, pause } from "./network.ts";
import { begin } from "./overdue.ts";
import type {
  Account,
  AuditRecord,
  Conversation,
  Decision,
  Effect,
  Group,
  Invitation,
  Link,
  Message,
  Model,
  OpenSession,
  Page,
  Permission,
  Problem,
  Role,
  Run,
  Secret,
  Session,
  Setting,
  SignUpState,
  Tool,
  ToolProblem,
  Usage,
  User,
} from "./types.ts";

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
  signupState: () => send<SignUpState>("GET", "/auth/signup", { renew: false }),
  signup: (body: { email: string; password: string; name?: string; invitation?: string }) =>
    send<Session>("POST", "/auth/signup", { body, renew: false, once: true }),
  /** A second time, the link has been used. */
  resetPassword: (token: string, password: string) =>
    send<void>("POST", "/auth/password-reset", { body: { token, password }, renew: false, once: true }),
  login: (body: { email: string; password: string }) => send<Session>("POST", "/auth/login", { body, renew: false }),
  // Not while another tab renews the session: the cookies of its answer would outlive the log-out.
  logout: () => exclusively(() => send<void>("POST", "/auth/logout", { renew: false })),
  me: () => send<User>("GET", "/auth/me"),
};

export const conversations = {
  list: (cursor: string | null) =>
    send<Page<Conversation>>("GET", `/api/conversations${query({ limit: "50", cursor })}`),
  /** One that was made without our hearing of it stays empty. */
  create: (signal: AbortSignal) => send<Conversation>("POST", "/api/conversations", { body: {}, signal }),
  get: (id: string) => send<Conversation>("GET", conversationPath(id)),
  rename: (id: string, title: string) => send<Conversation>("PATCH", conversationPath(id), { body: { title } }),
  remove: (id: string) => send<void>("DELETE", conversationPath(id)),
  /** The newest messages, or those before a cursor; newest first. */
  messages: (id: string, cursor: string | null, limit: number) =>
    send<Page<Message>>(
      "GET",
      `${conversationPath(id)}/messages${query({ order: "desc", limit: `${limit}`, cursor })}`,
    ),
  /** The server answers with what it stored the first time that it saw the key. */
  say: (id: string, content: string, idempotencyKey: string, signal: AbortSignal) =>
    send<{ message: Message; run: Run }>("POST", `${conversationPath(id)}/messages`, {
      body: { content },
      headers: { "Idempotency-Key": idempotencyKey },
      signal,
    }),
};

export const models = {
  list: () => send<Page<Model>>("GET", "/api/models"),
};

export const runs = {
  get: (id: string) => send<Run>("GET", runPath(id)),
  cancel: (id: string) => send<Run>("POST", `${runPath(id)}/cancel`),
  /** A second time it is refused with `run_active`. */
  retry: (id: string) => send<{ run: Run }>("POST", `${runPath(id)}/retry`),
  decide: (id: string, callId: string, decision: Decision) =>
    send<unknown>("POST", `${runPath(id)}/approvals`, { body: { call_id: callId, decision } }),
  /** The event stream after `lastEventId`, or null when the run has ended and everything was seen. */
  async events(
    id: string,
    lastEventId: string | null,
    signal: AbortSignal,
  ): Promise<ReadableStream<Uint8Array<ArrayBuffer>> | null> {
    const headers: Record<string, string> = { Accept: "text/event-stream" };
    if (lastEventId !== null) headers["Last-Event-ID"] = lastEventId;
    const init: RequestInit = { headers, signal, cache: "no-store" };
    const response = await renewing(() => reach(`${runPath(id)}/events`, init));
    if (response.status === 204) return null;
    if (!response.ok || response.body === null) {
      const text = await response.text().catch(() => "");
      throw problemOf({ status: response.status, headers: response.headers, text });
    }
    return response.body;
  },
};

export const tools = {
  list: (cursor: string | null) =>
    send<Page<Tool> & { problems: ToolProblem[] }>("GET", `/api/tools${query({ cursor })}`),
  setPolicy: (pattern: string, effect: Effect) =>
    send<unknown>("PUT", "/api/tools/policies", { body: { pattern, effect } }),
  secrets: () => send<{ items: Secret[] }>("GET", "/api/tools/secrets"),
  setSecret: (server: string, name: string, value: string) =>
    send<Secret>("PUT", "/api/tools/secrets", { body: { server, name, value } }),
  removeSecret: (server: string, name: string) => send<void>("DELETE", `/api/tools/secrets${query({ server, name })}`),
  removePolicy: (pattern: string) => send<void>("DELETE", `/api/tools/policies${query({ pattern })}`),
};

type Cursor = string | null;

export const admin = {
  users: (q: string, cursor: Cursor) => send<Page<Account>>("GET", adminPath("users", { q: q || null, cursor })),
  changeUser: (id: string, change: { role?: string; suspended?: boolean }) =>
    send<Account>("PATCH", adminPath(`users/${id}`), { body: change }),
  resetLink: (id: string) => send<Link>("POST", adminPath(`users/${id}/reset-link`)),
  roles: () => send<Page<Role> & { permissions: Permission[] }>("GET", adminPath("roles")),
  setRole: (name: string, permissions: string[]) =>
    send<Role>("PUT", adminPath(`roles/${encodeURIComponent(name)}`), { body: { permissions } }),
  removeRole: (name: string) => send<void>("DELETE", adminPath(`roles/${encodeURIComponent(name)}`)),
  invitations: (cursor: Cursor) => send<Page<Invitation>>("GET", adminPath("invitations", { cursor })),
  /** One that was made without our hearing of it is in the list, and can be withdrawn. */
  invite: (role: string, days: number) =>
    send<Invitation & Link>("POST", adminPath("invitations"), { body: { role, expires_in_days: days }, once: true }),
  withdraw: (id: string) => send<void>("DELETE", adminPath(`invitations/${id}`)),
  groups: () => send<Page<Group>>("GET", adminPath("groups")),
  createGroup: (name: string, roles: string[]) => send<Group>("POST", adminPath("groups"), { body: { name, roles } }),
  changeGroup: (id: string, name: string, roles: string[]) =>
    send<Group>("PUT", adminPath(`groups/${id}`), { body: { name, roles } }),
  removeGroup: (id: string) => send<void>("DELETE", adminPath(`groups/${id}`)),
  members: (id: string, cursor: Cursor) => send<Page<Account>>("GET", adminPath(`groups/${id}/members`, { cursor })),
  addMember: (id: string, userId: string) => send<void>("PUT", adminPath(`groups/${id}/members/${userId}`)),
  removeMember: (id: string, userId: string) => send<void>("DELETE", adminPath(`groups/${id}/members/${userId}`)),
  sessions: (cursor: Cursor) => send<Page<OpenSession>>("GET", adminPath("sessions", { cursor })),
  endSession: (id: string) => send<void>("DELETE", adminPath(`sessions/${id}`)),
  settings: () => send<Page<Setting>>("GET", adminPath("settings")),
  usage: (days: number, cursor: Cursor) => send<Page<Usage>>("GET", adminPath("usage", { days: `${days}`, cursor })),
  audit: (cursor: Cursor) => send<Page<AuditRecord>>("GET", adminPath("audit", { cursor })),
};

const adminPath = (rest: string, values: Record<string, string | null> = {}) => `/api/admin/${rest}${query(values)}`;
const conversationPath = (id: string) => `/api/conversations/${encodeURIComponent(id)}`;
const runPath = (id: string) => `/api/runs/${encodeURIComponent(id)}`;

function query(values: Record<string, string | null>): string {
  const given = Object.entries(values).filter((entry): entry is [string, string] => entry[1] !== null);
  return given.length > 0 ? `?${new URLSearchParams(given)}` : "";
}

type Options = {
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  /** Whether a session that ran out is renewed first. */
  renew?: boolean;
  /** Whether it must not be sent a second time. */
  once?: boolean;
};

async function send<T>(method: string, path: string, options: Options = {}): Promise<T> {
  const { body, headers = {}, signal, renew = true, once = false } = options;
  const init: RequestInit = { method, headers, signal: signal ?? null };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { ...headers, "Content-Type": "application/json" };
  }
  const end = begin();
  try {
    const attempt = () => (once ? limited(path, init) : persistently(path, init));
    const answer = await (renew ? renewing(attempt) : attempt());
    if (answer.status >= 400) throw problemOf(answer);
    return (answer.text === "" ? undefined : JSON.parse(answer.text)) as T;
  } finally {
    end();
  }
}

async function renewing<T extends { status: number }>(attempt: () => Promise<T>): Promise<T> {
  const answer = await attempt();
  if (answer.status !== 401) return answer;
  const refusal = await renewSession();
  if (refusal !== null) throw refusal;
  return attempt();
}

/** Before each further try. Proxies take a host for dead for ten seconds after it was restarted. */
const PAUSES_MS = [250, 1_000, 2_500, 5_000, 5_000];
/** What a server asks us to wait at most; beyond it the person is told instead. */
const LONGEST_PAUSE_MS = 10_000;
/** After this no further try is begun: a network that takes everything and gives nothing back is dead. */
const PATIENCE_MS = 20_000;
/** A proxy whose server is away, or a server that cannot take any more. */
const AWAY = new Set([502, 503, 504]);

/** An answer that came to its end. */
type Answer = { status: number; headers: Headers; text: string };

async function persistently(path: string, init: RequestInit): Promise<Answer> {
  const startedAt = performance.now();
  for (let tried = 0; ; tried++) {
    const pauseMs = PAUSES_MS[tried];
    const isLast = () => pauseMs === undefined || performance.now() - startedAt > PATIENCE_MS;
    let askedMs = 0;
    try {
      const answer = await limited(path, init);
      // The first time it was done, and only the answer to it was lost.
      if (tried > 0 && init.method === "DELETE" && answer.status === 404) return { ...answer, status: 204, text: "" };
      askedMs = waitAskedMs(answer) ?? 0;
      if (!AWAY.has(answer.status) || isLast() || askedMs > LONGEST_PAUSE_MS) return answer;
    } catch (error) {
      if (!(error instanceof ApiError) || isLast() || isOffline()) throw error;
    }
    await pause(Math.max(askedMs, (pauseMs ?? 0) * (0.75 + Math.random() / 2)), init.signal ?? undefined);
  }
}

/** Longer than the server takes for anything. */
const TRY_LIMIT_MS = 10_000;
/** And for what is sent with it, over a slow line: 20 kB a second. */
const SENDING_MS_PER_CHAR = 1 / 20;

/** One try, which ends. */
async function limited(path: string, init: RequestInit): Promise<Answer> {
  const size = typeof init.body === "string" ? init.body.length : 0;
  const limit = AbortSignal.timeout(TRY_LIMIT_MS + Math.ceil(size * SENDING_MS_PER_CHAR));
  const signal = init.signal ? AbortSignal.any([init.signal, limit]) : limit;
  const response = await reach(path, { ...init, signal });
  try {
    return { status: response.status, headers: response.headers, text: await response.text() };
  } catch (error) {
    throw broken(error, init);
  }
}

async function reach(path: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(path, init);
  } catch (error) {
    throw broken(error, init);
  }
}

/** A connection that broke, as what the person is told; what was ended on purpose stays what it is. */
function broken(error: unknown, init: RequestInit): unknown {
  if (init.signal?.aborted && error instanceof DOMException && error.name === "AbortError") return error;
  return new ApiError(
    0,
    "unreachable",
    isOffline()
      ? "You are offline. Try again when you are connected."
      : "The server could not be reached. Check your connection and try again.",
  );
}

/** `Retry-After` (RFC 9110, section 10.2.3): seconds or a date. */
function waitAskedMs({ headers }: { headers: Headers }): number | null {
  const value = headers.get("Retry-After");
  if (value === null) return null;
  const ms = /^\d+$/.test(value.trim()) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return ms > 0 ? ms : null;
}

function problemOf(answer: Answer): ApiError {
  const { status } = answer;
  const problem = parsed(answer.text);
  return new ApiError(
    status,
    problem.code ?? "unexpected",
    problem.detail ??
      (AWAY.has(status)
        ? `The server is away for the moment: what stands before it answers ${status}. Try again soon.`
        : `The server answered ${status} and did not say why. Try again.`),
    problem.field ?? null,
    waitAskedMs(answer),
  );
}

/** What is no problem of ours says nothing. */
function parsed(text: string): Partial<Problem> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    return {};
  }
}

let renewal: Promise<ApiError | null> | null = null;

/**
 * Renews the session, unless another tab has just done so; gives back why that is not possible. A refresh token works once,
 * and using one twice ends the session (but for a moment, in which its answer may have been lost): so one at a time in this
 * tab, and one at a time among the tabs. Whether another was first, only the server knows for certain: what tabs store for
 * each other may arrive late.
 */
function renewSession(): Promise<ApiError | null> {
  renewal ??= exclusively(async () => {
    if ((await persistently("/auth/me", {})).status < 400) return null;
    const answer = await persistently("/auth/refresh", { method: "POST" });
    if (answer.status < 400) return null;
    if (answer.status !== 401) throw problemOf(answer);
    return problemOf(answer);
  }).finally(() => (renewal = null));
  return renewal;
}

function exclusively<T>(work: () => Promise<T>): Promise<T> {
  // Absent on plain http to another machine: there, each tab is on its own.
  return typeof navigator !== "undefined" && "locks" in navigator ? navigator.locks.request("ea.renew", work) : work();
}
