/**
 * All requests to the server: the only module that calls `fetch`. The session is in HttpOnly cookies, and this code never
 * sees a token. An expired access cookie is renewed once, here, and the request is sent again. A request is also sent
 * again if it got no response, or if a proxy responded that its server is away. Repeating is harmless for all requests
 * except those with `once`.
 */
import { isOffline, pause } from "./network.ts";
import { begin } from "./overdue.ts";
import { began, newTrace, traceOf } from "./trace.ts";
import type {
  Account,
  ApiKey,
  AuditChain,
  AuditRecord,
  Connection,
  Conversation,
  Decision,
  Effect,
  Erasure,
  ErasureRequest,
  Grant,
  Group,
  Identity,
  Invitation,
  Key,
  LimitKind,
  LimitList,
  LimitSubject,
  Link,
  MadeApiKey,
  MadeWebhook,
  Message,
  Model,
  ModelProvider,
  ModelSettings,
  NewApiKey,
  OpenSession,
  OwnUsage,
  Page,
  Permission,
  Problem,
  Proof,
  ProviderContents,
  ProviderTest,
  RetentionRule,
  Role,
  Run,
  SecondFactor,
  Secret,
  SentBack,
  ServiceAccount,
  Session,
  Setting,
  Setup,
  SignUpState,
  Tool,
  ToolProblem,
  Usage,
  User,
  Webhook,
  Wanted,
} from "./types.ts";

/** A failed request. `status` 0: the server could not be reached. `message` is for the person. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly field: string | null;
  /** From `Retry-After`. */
  readonly retryAfterMs: number | null;
  /** To send back with the answer to the problem: the second step of a log-in. */
  readonly challenge: string | null;

  constructor(
    status: number,
    code: string,
    message: string,
    field: string | null = null,
    retryAfterMs: number | null = null,
    challenge: string | null = null,
  ) {
    super(message);
    this.status = status;
    this.code = code;
    this.field = field;
    this.retryAfterMs = retryAfterMs;
    this.challenge = challenge;
  }
}

/** The message for the person about a caught value. */
export function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Where the browser goes on, at a provider. */
type Onward = { location: string };

export const auth = {
  signupState: () => send<SignUpState>("GET", "/auth/signup", { renew: false }),
  signup: (body: { email: string; password: string; name?: string; invitation?: string }) =>
    send<Session>("POST", "/auth/signup", { body, renew: false, once: true }),
  /** A second time, the link has been used. */
  resetPassword: (token: string, password: string) =>
    send<void>("POST", "/auth/password-reset", { body: { token, password }, renew: false, once: true }),
  /** `keep_account`: takes back the erasure of the account, with a code if it has a second factor. */
  login: (body: { email: string; password: string; keep_account?: boolean; code?: string }) =>
    send<Session>("POST", "/auth/login", { body, renew: false, ...(body.code === undefined ? {} : { once: true }) }),
  /** The second step of a log-in. A code counts once, so it is not sent again. */
  answer: (challenge: string, code: string) =>
    send<Session>("POST", "/auth/login/second-factor", { body: { challenge, code }, renew: false, once: true }),
  beginSetup: (challenge: string) =>
    send<Setup>("POST", "/auth/login/second-factor/setup", { body: { challenge }, renew: false }),
  confirmSetup: (challenge: string, setup: string, code: string) =>
    send<Session>("POST", "/auth/login/second-factor/confirm", {
      body: { challenge, setup, code },
      renew: false,
      once: true,
    }),
  /** Links the account to the provider that the person has come from. Answers with its user. */
  link: (password: string, code: string | null) =>
    send<User>("POST", "/auth/oidc/link", { body: { password, code }, renew: false, once: true }),
  /** Where somebody who was invited goes on, to sign in with a provider. */
  leaveInvited: (provider: string, invitation: string) =>
    send<Onward>("POST", "/auth/oidc/login", { body: { provider, invitation }, renew: false }),
  /** The same for somebody who signs in to keep an account that is going to be erased. */
  leaveToKeep: (provider: string) =>
    send<Onward>("POST", "/auth/oidc/login", { body: { provider, keep_account: true }, renew: false }),
  // It waits while another tab renews the session. Otherwise the cookies of that renewal would outlive the log-out.
  logout: () => exclusively(() => send<Onward | undefined>("POST", "/auth/logout", { renew: false })),
  me: () => send<User>("GET", "/auth/me"),
};

/** The person's own account. */
export const account = {
  usage: () => send<OwnUsage>("GET", "/api/usage"),
  rename: (name: string) => send<User>("PATCH", "/auth/me", { body: { name } }),
  /** Logs out all other browsers. */
  changePassword: (password: string, newPassword: string) =>
    send<Session>("POST", "/auth/password", { body: { password, new_password: newPassword }, once: true }),
  secondFactor: () => send<SecondFactor>("GET", "/auth/second-factor"),
  beginSetup: (proof: Proof) => send<Setup>("POST", "/auth/second-factor/setup", { body: proof, once: true }),
  confirmSetup: (setup: string, code: string) =>
    send<RecoveryCodes>("POST", "/auth/second-factor/confirm", { body: { setup, code }, once: true }),
  removeSecondFactor: (proof: Proof) => send<void>("POST", "/auth/second-factor/remove", { body: proof, once: true }),
  renewRecoveryCodes: (proof: Proof) =>
    send<RecoveryCodes>("POST", "/auth/second-factor/recovery-codes", { body: proof, once: true }),
  /** Closes the account at once. The receipt's token is told once. */
  erase: (proof: Proof | Record<string, never>) =>
    send<ErasureRequest>("DELETE", "/api/account", { body: proof, once: true }),
  identities: () => send<{ items: Identity[] }>("GET", "/auth/oidc/identities"),
  /** Ends the other sessions that began with it. */
  removeIdentity: (issuer: string, proof: Proof) =>
    send<void>("POST", "/auth/oidc/identities/remove", { body: { issuer, ...proof }, once: true }),
};

type RecoveryCodes = { recovery_codes: string[] };

export const conversations = {
  list: (cursor: string | null) =>
    send<Page<Conversation>>("GET", `/api/conversations${query({ limit: "50", cursor })}`),
  /** If the response is lost, the created conversation stays empty. */
  create: (chosen: { model?: string; assistant_id?: string }, signal: AbortSignal, temporary = false) =>
    send<Conversation>("POST", "/api/conversations", {
      body: { ...chosen, ...(temporary ? { temporary } : {}) },
      signal,
    }),
  get: (id: string) => send<Conversation>("GET", conversationPath(id)),
  rename: (id: string, title: string) => send<Conversation>("PATCH", conversationPath(id), { body: { title } }),
  /** After how many days without use it is deleted; null: as the installation's rules say. */
  keep: (id: string, days: number | null) =>
    send<Conversation>("PATCH", conversationPath(id), { body: { retention_days: days } }),
  chooseModel: (id: string, model: string) => send<Conversation>("PATCH", conversationPath(id), { body: { model } }),
  configure: (id: string, change: { assistant_id?: string; settings: ModelSettings }) =>
    send<Conversation>("PATCH", conversationPath(id), { body: change }),
  remove: (id: string) => send<void>("DELETE", conversationPath(id)),
  /** The same while the page is being left. If the request is lost, the server deletes a temporary chat by itself. */
  abandon: (id: string) => void fetch(conversationPath(id), { method: "DELETE", keepalive: true }).catch(() => undefined),
  /** The newest messages, or those before a cursor, newest first. */
  messages: (id: string, cursor: string | null, limit: number) =>
    send<Page<Message>>(
      "GET",
      `${conversationPath(id)}/messages${query({ order: "desc", limit: `${limit}`, cursor })}`,
    ),
  /** A repeated key gets the response to the first request with it. */
  say: (id: string, content: string, idempotencyKey: string, signal: AbortSignal) =>
    traced((traceparent) =>
      send<{ message: Message; run: Run }>("POST", `${conversationPath(id)}/messages`, {
        body: { content },
        headers: { "Idempotency-Key": idempotencyKey, traceparent },
        signal,
      }),
    ),
};

/** Keys of one's own, or of a service account. */
export const keysAt = (path: string) => ({
  list: () => send<Page<ApiKey>>("GET", path),
  /** One that was made without our hearing of it is in the list, and can be revoked. */
  make: (key: NewApiKey) => send<MadeApiKey>("POST", path, { body: key, once: true }),
  revoke: (id: string) => send<void>("DELETE", `${path}/${encodeURIComponent(id)}`),
});
export type Keys = ReturnType<typeof keysAt>;
export const ownKeys = keysAt("/auth/api-keys");
export const keysOfServiceAccount = (id: string) =>
  keysAt(adminPath(`service-accounts/${encodeURIComponent(id)}/api-keys`));

/** Programs that people let in. */
export const programs = {
  /** What a program wants, by the query with which it sent the person; or where to send them back. */
  wanted: (search: string) => send<Wanted | SentBack>("GET", `/oauth/authorization${search}`),
  decide: (request: string, decision: "allow" | "deny") =>
    send<{ redirect_to: string }>("POST", "/oauth/authorization", { body: { request, decision }, once: true }),
  list: (cursor: string | null) => send<Page<Grant>>("GET", `/oauth/grants${query({ cursor })}`),
  end: (id: string) => send<void>("DELETE", `/oauth/grants/${encodeURIComponent(id)}`),
};

export const models = {
  list: () => send<Page<Model>>("GET", "/api/models"),
};

/** Begins a run, in a trace in which its events are read as well. */
async function traced<T extends { run: Run }>(begins: (traceparent: string) => Promise<T>): Promise<T> {
  const traceparent = newTrace();
  const begun = await begins(traceparent);
  began(begun.run.id, traceparent);
  return begun;
}

export const runs = {
  get: (id: string) => send<Run>("GET", runPath(id)),
  /** `atOnce`: without waiting for the host that writes the answer. */
  cancel: (id: string, atOnce: boolean) => send<Run>("POST", `${runPath(id)}/cancel${query({ at_once: atOnce ? "true" : null })}`),
  /** A repeated request is refused with `run_active`. */
  retry: (id: string) =>
    traced((traceparent) => send<{ run: Run }>("POST", `${runPath(id)}/retry`, { headers: { traceparent } })),
  decide: (id: string, callId: string, decision: Decision) =>
    send<unknown>("POST", `${runPath(id)}/approvals`, { body: { call_id: callId, decision } }),
  /** The event stream after `lastEventId`, or null if the run has ended and there is nothing more. */
  async events(
    id: string,
    lastEventId: string | null,
    signal: AbortSignal,
  ): Promise<ReadableStream<Uint8Array<ArrayBuffer>> | null> {
    const headers: Record<string, string> = { Accept: "text/event-stream", traceparent: traceOf(id) };
    // Tools are told the person's time zone, as they are their language, which the browser says itself.
    const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
    if (timeZone) headers["Time-Zone"] = timeZone;
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
  connections: () => send<{ items: Connection[] }>("GET", "/api/tools/connections"),
  /** Returns the address of the page where the person agrees. A server that cannot be connected is a 502, which asking again does not change. */
  connect: (server: string) =>
    send<{ authorization_url: string }>("POST", "/api/tools/connections", { body: { server }, once: true }),
  disconnect: (server: string) => send<void>("DELETE", `/api/tools/connections${query({ server })}`),
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
  resetLink: (id: string) => send<Link>("POST", adminPath(`users/${id}/reset-link`), { once: true }),
  removeSecondFactor: (id: string) => send<void>("DELETE", adminPath(`users/${id}/second-factor`)),
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
  createGroup: (name: string, roles: string[]) => send<Group>("POST", adminPath("groups"), { body: { name, roles }, once: true }),
  changeGroup: (id: string, name: string, roles: string[]) =>
    send<Group>("PUT", adminPath(`groups/${id}`), { body: { name, roles } }),
  removeGroup: (id: string) => send<void>("DELETE", adminPath(`groups/${id}`)),
  members: (id: string, cursor: Cursor) => send<Page<Account>>("GET", adminPath(`groups/${id}/members`, { cursor })),
  addMember: (id: string, userId: string) => send<void>("PUT", adminPath(`groups/${id}/members/${userId}`)),
  removeMember: (id: string, userId: string) => send<void>("DELETE", adminPath(`groups/${id}/members/${userId}`)),
  serviceAccounts: (cursor: Cursor) => send<Page<ServiceAccount>>("GET", adminPath("service-accounts", { cursor })),
  createServiceAccount: (name: string, role: string) =>
    send<ServiceAccount>("POST", adminPath("service-accounts"), { body: { name, role }, once: true }),
  sessions: (cursor: Cursor) => send<Page<OpenSession>>("GET", adminPath("sessions", { cursor })),
  endSession: (id: string) => send<void>("DELETE", adminPath(`sessions/${id}`)),
  keys: () => send<Page<Key>>("GET", adminPath("keys")),
  rotateKeys: (purpose: string, revoke: boolean) =>
    send<{ rotated: boolean; items: Key[] }>("POST", adminPath("keys/rotate"), { body: { purpose, revoke }, once: true }),
  providers: () => send<Page<ModelProvider>>("GET", adminPath("providers")),
  /** It is tested first. */
  setProvider: (name: string, contents: ProviderContents) =>
    send<ModelProvider & { test: ProviderTest }>("PUT", providerPath(name), { body: contents, once: true }),
  removeProvider: (name: string) => send<void>("DELETE", providerPath(name)),
  testProvider: (name: string) => send<ProviderTest>("POST", `${providerPath(name)}/test`, { once: true }),
  settings: () => send<Page<Setting>>("GET", adminPath("settings")),
  limits: () => send<LimitList>("GET", adminPath("limits")),
  setLimits: (subject: string, limits: Partial<Record<LimitKind, number>>) =>
    send<LimitSubject>("PUT", adminPath("limits"), { body: { subject, limits } }),
  retention: () => send<Page<RetentionRule>>("GET", adminPath("retention")),
  /** `days` null removes the rule. Answers with all rules. */
  setRetention: (subject: string, days: number | null) =>
    send<Page<RetentionRule>>("PUT", adminPath("retention"), { body: { subject, days } }),
  erasures: (pending: boolean, cursor: Cursor) =>
    send<Page<Erasure>>("GET", adminPath("erasures", { pending: pending ? "true" : null, cursor })),
  erase: (id: string) => send<Erasure>("POST", adminPath(`users/${id}/erasure`), { body: {} }),
  keepAccount: (id: string) => send<void>("DELETE", adminPath(`users/${id}/erasure`)),
  usage: (days: number, cursor: Cursor) => send<Page<Usage> & { currency: string }>("GET", adminPath("usage", { days: `${days}`, cursor })),
  auditChain: () => send<AuditChain>("GET", "/api/admin/audit/chain"),
  audit: (cursor: Cursor) => send<Page<AuditRecord>>("GET", adminPath("audit", { cursor })),
};

/** Webhooks: one's own, or those of the installation. */
const webhooksAt = (path: string) => ({
  list: () => send<Page<Webhook> & { events: string[]; allowed_host: string | null }>("GET", path),
  add: (url: string, events: string[]) => send<MadeWebhook>("POST", path, { body: { url, events }, once: true }),
  remove: (id: string) => send<void>("DELETE", `${path}/${encodeURIComponent(id)}`),
  test: (id: string) => send<void>("POST", `${path}/${encodeURIComponent(id)}/test`),
});

export type Webhooks = ReturnType<typeof webhooksAt>;
export const ownWebhooks = webhooksAt("/api/webhooks");
export const installationWebhooks = webhooksAt("/api/admin/webhooks");

const adminPath = (rest: string, values: Record<string, string | null> = {}) => `/api/admin/${rest}${query(values)}`;
const providerPath = (name: string) => adminPath(`providers/${encodeURIComponent(name)}`);
const conversationPath = (id: string) => `/api/conversations/${encodeURIComponent(id)}`;
const runPath = (id: string) => `/api/runs/${encodeURIComponent(id)}`;

export function query(values: Record<string, string | null>): string {
  const given = Object.entries(values).filter((entry): entry is [string, string] => entry[1] !== null);
  return given.length > 0 ? `?${new URLSearchParams(given)}` : "";
}

type Options = {
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  /** Whether an expired session is renewed first. */
  renew?: boolean;
  /** Whether the request must not be repeated. */
  once?: boolean;
};

export async function send<T>(method: string, path: string, options: Options = {}): Promise<T> {
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
  let answer = await attempt();
  // For half a second after an account has changed, some instances have heard of it and others have not. If the session seemed to be
  // good and is refused again, it is renewed for certain.
  for (const how of ["if needed", "for certain"] as const) {
    if (answer.status !== 401) break;
    const refusal = await renewSession(how);
    if (refusal !== null) throw refusal;
    answer = await attempt();
  }
  return answer;
}

/** The pauses before repeated requests. Proxies treat a restarted host as dead for ten seconds. */
const PAUSES_MS = [250, 1_000, 2_500, 5_000, 5_000];
/** The longest pause that a server may ask for. A longer one is reported to the person instead. */
const LONGEST_PAUSE_MS = 10_000;
/** After this time, a request is not repeated. The network may accept everything and return nothing. */
const PATIENCE_MS = 20_000;
/** The statuses of a proxy whose server is away, and of an overloaded server. */
const AWAY = new Set([502, 503, 504]);

/** A complete response. */
type Answer = { status: number; headers: Headers; text: string };

async function persistently(path: string, init: RequestInit): Promise<Answer> {
  const startedAt = performance.now();
  for (let tried = 0; ; tried++) {
    const pauseMs = PAUSES_MS[tried];
    const isLast = () => pauseMs === undefined || performance.now() - startedAt > PATIENCE_MS;
    let askedMs = 0;
    try {
      const answer = await limited(path, init);
      // The first attempt succeeded, and only its response was lost.
      if (tried > 0 && init.method === "DELETE" && answer.status === 404) return { ...answer, status: 204, text: "" };
      askedMs = waitAskedMs(answer) ?? 0;
      if (!AWAY.has(answer.status) || isLast() || askedMs > LONGEST_PAUSE_MS) return answer;
    } catch (error) {
      if (!(error instanceof ApiError) || isLast() || isOffline()) throw error;
    }
    await pause(Math.max(askedMs, (pauseMs ?? 0) * (0.75 + Math.random() / 2)), init.signal ?? undefined);
  }
}

/** Longer than the server takes for any request. */
const TRY_LIMIT_MS = 10_000;
/** The additional time for the request's body on a slow line: 20 kB a second. */
const SENDING_MS_PER_CHAR = 1 / 20;

/** One attempt, with a time limit. */
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

/** The error for a broken connection. A request that was aborted on purpose keeps its error. */
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
        ? `The server is not available at the moment (the proxy answered ${status}). Try again soon.`
        : `The server answered ${status} without a reason. Try again.`),
    problem.field ?? null,
    waitAskedMs(answer),
    problem.challenge ?? null,
  );
}

/** The fields of a problem. A body that is not a problem has none. */
function parsed(text: string): Partial<Problem> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    return {};
  }
}

const renewals = new Map<string, Promise<ApiError | null>>();

/**
 * Renews the session, unless another tab has just done so. Returns the error if that is not possible. A refresh token
 * works only once, and using it a second time ends the session, except for a moment after the first use, whose response
 * may have been lost. So only one renewal runs at a time, in this tab and among all tabs. Only the server knows for
 * certain whether another tab was first: data that tabs store for each other may arrive late.
 */
function renewSession(how: "if needed" | "for certain"): Promise<ApiError | null> {
  const running = renewals.get(how);
  if (running !== undefined) return running;
  const renewal = exclusively(async () => {
    if (how === "if needed" && (await persistently("/auth/me", {})).status < 400) return null;
    const answer = await persistently("/auth/refresh", { method: "POST" });
    if (answer.status < 400) return null;
    if (answer.status !== 401) throw problemOf(answer);
    return problemOf(answer);
  }).finally(() => renewals.delete(how));
  renewals.set(how, renewal);
  return renewal;
}

function exclusively<T>(work: () => Promise<T>): Promise<T> {
  // Locks do not exist on plain http to another machine. There, tabs do not wait for each other.
  return typeof navigator !== "undefined" && "locks" in navigator ? navigator.locks.request("ea.renew", work) : work();
}
