/**
 * All requests to the server: the only module that calls `fetch`. The session is in HttpOnly cookies, and this code never
 * sees a token. An expired access cookie is renewed once, here, and the request is sent again. A request is also sent
 * again if it got no response, or if a proxy responded that its server is away. Repeating is harmless for all requests
 * except those with `once`.
 */
import { isOffline, pause } from "./network.ts";
import { begin } from "./overdue.ts";
import type { paths } from "./openapi.ts";
import { began, newTrace, traceOf } from "./trace.ts";
import type {
  ApiKey,
  Decision,
  Effect,
  LimitKind,
  MadeApiKey,
  MadeWebhook,
  ModelSettings,
  NewApiKey,
  Page,
  Problem,
  Proof,
  ProviderContents,
  Run,
  StoredFile,
  Webhook,
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

export const auth = {
  signupState: () => send("get", "/auth/signup", { renew: false }),
  signup: (body: { email: string; password: string; name?: string; invitation?: string }) =>
    send("post", "/auth/signup", { body, renew: false, once: true }),
  /** A second time, the link has been used. */
  resetPassword: (token: string, password: string) =>
    send("post", "/auth/password-reset", { body: { token, password }, renew: false, once: true }),
  /** `keep_account`: takes back the erasure of the account, with a code if it has a second factor. */
  login: (body: { email: string; password: string; keep_account?: boolean; code?: string }) =>
    send("post", "/auth/login", { body, renew: false, ...(body.code === undefined ? {} : { once: true }) }),
  /** The second step of a log-in. A code counts once, so it is not sent again. */
  answer: (challenge: string, code: string) =>
    send("post", "/auth/login/second-factor", { body: { challenge, code }, renew: false, once: true }),
  beginSetup: (challenge: string) =>
    send("post", "/auth/login/second-factor/setup", { body: { challenge }, renew: false }),
  confirmSetup: (challenge: string, setup: string, code: string) =>
    send("post", "/auth/login/second-factor/confirm", { body: { challenge, setup, code }, renew: false, once: true }),
  /** Links the account to the provider that the person has come from. Answers with its user. */
  link: (password: string, code: string | null) =>
    send("post", "/auth/oidc/link", { body: { password, code }, renew: false, once: true }),
  /** Where somebody who was invited goes on, to sign in with a provider. */
  leaveInvited: (provider: string, invitation: string) =>
    send("post", "/auth/oidc/login", { body: { provider, invitation }, renew: false }),
  /** The same for somebody who signs in to keep an account that is going to be erased. */
  leaveToKeep: (provider: string) =>
    send("post", "/auth/oidc/login", { body: { provider, keep_account: true }, renew: false }),
  // It waits while another tab renews the session. Otherwise the cookies of that renewal would outlive the log-out.
  logout: () => exclusively(() => send("post", "/auth/logout", { renew: false })),
  me: () => send("get", "/auth/me"),
};

/** The person's own account. */
export const account = {
  usage: () => send("get", "/api/usage"),
  rename: (name: string) => send("patch", "/auth/me", { body: { name } }),
  /** Logs out all other browsers. */
  changePassword: (password: string, newPassword: string) =>
    send("post", "/auth/password", { body: { password, new_password: newPassword }, once: true }),
  secondFactor: () => send("get", "/auth/second-factor"),
  beginSetup: (proof: Proof) => send("post", "/auth/second-factor/setup", { body: proof, once: true }),
  confirmSetup: (setup: string, code: string) =>
    send("post", "/auth/second-factor/confirm", { body: { setup, code }, once: true }),
  removeSecondFactor: (proof: Proof) => send("post", "/auth/second-factor/remove", { body: proof, once: true }),
  renewRecoveryCodes: (proof: Proof) => send("post", "/auth/second-factor/recovery-codes", { body: proof, once: true }),
  /** Closes the account at once. The receipt's token is told once. */
  erase: (proof: Proof | Record<string, never>) => send("delete", "/api/account", { body: proof, once: true }),
  identities: () => send("get", "/auth/oidc/identities"),
  /** Ends the other sessions that began with it. */
  removeIdentity: (issuer: string, proof: Proof) =>
    send("post", "/auth/oidc/identities/remove", { body: { issuer, ...proof }, once: true }),
};

/** Where the days of filters begin. */
const whereabouts = () => ({ "Time-Zone": Intl.DateTimeFormat().resolvedOptions().timeZone });

export const conversations = {
  list: (cursor: Cursor) => send("get", "/api/conversations", { query: { limit: 50, cursor } }),
  /** If the response is lost, the created conversation stays empty. */
  create: (chosen: { model?: string; assistant_id?: string }, signal: AbortSignal, temporary = false) =>
    send("post", "/api/conversations", {
      body: { ...chosen, ...(temporary ? { temporary } : {}) },
      signal,
    }),
  /** Looks something up in titles and messages. */
  search: (q: string, cursor: Cursor) =>
    send("get", "/api/search", { query: { q, limit: 20, cursor }, header: whereabouts() }),
  get: (id: string) => send("get", "/api/conversations/{id}", { path: { id } }),
  rename: (id: string, title: string) => send("patch", "/api/conversations/{id}", { path: { id }, body: { title } }),
  /** After how many days without use it is deleted; null: as the installation's rules say. */
  keep: (id: string, days: number | null) =>
    send("patch", "/api/conversations/{id}", { path: { id }, body: { retention_days: days } }),
  chooseModel: (id: string, model: string) =>
    send("patch", "/api/conversations/{id}", { path: { id }, body: { model } }),
  configure: (id: string, change: { assistant_id?: string; settings: ModelSettings }) =>
    send("patch", "/api/conversations/{id}", { path: { id }, body: change }),
  remove: (id: string) => send("delete", "/api/conversations/{id}", { path: { id } }),
  /** The same while the page is being left. If the request is lost, the server deletes a temporary chat by itself. */
  abandon: (id: string) =>
    void fetch(address("/api/conversations/{id}", { path: { id } }), { method: "DELETE", keepalive: true }).catch(
      () => undefined,
    ),
  /** The newest messages, or those before a cursor, newest first. */
  messages: (id: string, cursor: Cursor, limit: number) =>
    send("get", "/api/conversations/{id}/messages", { path: { id }, query: { order: "desc", limit, cursor } }),
  /** A repeated key gets the response to the first request with it. */
  say: (id: string, content: string, files: string[], idempotencyKey: string, signal: AbortSignal) =>
    traced((traceparent) =>
      send("post", "/api/conversations/{id}/messages", {
        path: { id },
        body: files.length === 0 ? { content } : { content, files },
        header: { "Idempotency-Key": idempotencyKey },
        traceparent,
        signal,
      }),
    ),
};

/** Keys of one's own, or of a service account. */
export type Keys = {
  list: () => Promise<Page<ApiKey>>;
  /** One that was made without our hearing of it is in the list, and can be revoked. */
  make: (key: NewApiKey) => Promise<MadeApiKey>;
  revoke: (id: string) => Promise<void>;
};
export const ownKeys: Keys = {
  list: () => send("get", "/auth/api-keys"),
  make: (key) => send("post", "/auth/api-keys", { body: key, once: true }),
  revoke: (id) => send("delete", "/auth/api-keys/{id}", { path: { id } }),
};
export const keysOfServiceAccount = (id: string): Keys => ({
  list: () => send("get", "/api/admin/service-accounts/{id}/api-keys", { path: { id } }),
  make: (key) => send("post", "/api/admin/service-accounts/{id}/api-keys", { path: { id }, body: key, once: true }),
  revoke: (keyId) =>
    send("delete", "/api/admin/service-accounts/{id}/api-keys/{key_id}", { path: { id, key_id: keyId } }),
});

/** Programs that people let in. */
export const programs = {
  /** What a program wants, by the query with which it sent the person; or where to send them back. */
  wanted: async (search: string) => {
    const sent = [...new URLSearchParams(search)];
    const query = Object.fromEntries(sent);
    // RFC 6749, section 3.1. Which of the two is meant, nobody knows.
    if (Object.keys(query).length < sent.length) {
      const words = "The program sent a parameter twice, so it is not let in. Its makers must mend that.";
      throw new ApiError(400, "invalid_request", words);
    }
    return send("get", "/oauth/authorization", { query });
  },
  decide: (request: string, decision: "allow" | "deny") =>
    send("post", "/oauth/authorization", { body: { request, decision }, once: true }),
  list: (cursor: Cursor) => send("get", "/oauth/grants", { query: { cursor } }),
  end: (id: string) => send("delete", "/oauth/grants/{id}", { path: { id } }),
};

/** As much of a file as is sent at once: a second on a slow line, after which it is known that it has arrived. */
const PART_BYTES = 1_048_576;
/** The protocol of uploads that go on where they broke off (tus.io). */
const RESUMABLE = { "Tus-Resumable": "1.0.0" };

export const files = {
  /** Uploads a file, in parts. `told` hears how many bytes the server has. Of one that is given up nothing stays. */
  async upload(file: File, told: (bytes: number) => void, signal: AbortSignal): Promise<StoredFile> {
    const name = btoa(String.fromCharCode(...new TextEncoder().encode(file.name.slice(0, 255))));
    const headers = { ...RESUMABLE, "Upload-Length": String(file.size), "Upload-Metadata": `filename ${name}` };
    const begun = await renewing(() => limited("/api/files", { method: "POST", headers, signal }));
    if (begun.status >= 400) throw problemOf(begun);
    const { id } = JSON.parse(begun.text) as StoredFile;
    try {
      await sendParts(file, id, told, signal);
      return await files.read(id, signal);
    } catch (error) {
      // It takes room of the person's. If this fails too, the server deletes it on the next day.
      void files.remove(id).catch(() => undefined);
      throw error;
    }
  },
  read: (id: string, signal: AbortSignal) => send("get", "/api/files/{id}", { path: { id }, signal }),
  remove: (id: string) => send("delete", "/api/files/{id}", { path: { id } }),
};

async function sendParts(file: File, id: string, told: (bytes: number) => void, signal: AbortSignal): Promise<void> {
  const at = address("/api/files/{id}", { path: { id } });
  for (let offset = 0, failures = 0; offset < file.size;) {
    const body = file.slice(offset, offset + PART_BYTES);
    const part = { ...RESUMABLE, "Upload-Offset": String(offset), "Content-Type": "application/offset+octet-stream" };
    const before = offset;
    let askedMs = 0;
    try {
      const answer = await renewing(() => limited(at, { method: "PATCH", headers: part, body, signal }));
      askedMs = waitAskedMs(answer) ?? 0;
      const mayGoOn = (answer.status === 409 || AWAY.has(answer.status)) && askedMs <= LONGEST_PAUSE_MS;
      if (answer.status >= 400 && !mayGoOn) throw problemOf(answer);
      if (answer.status < 400) offset += body.size;
    } catch (error) {
      if (signal.aborted || (error instanceof ApiError && error.status !== 0)) throw error;
    }
    if (offset === before) {
      await pause(Math.max(askedMs, PAUSES_MS[failures] ?? 0), signal);
      offset = await received(at, signal);
    }
    failures = offset > before ? 0 : failures + 1;
    if (failures > PAUSES_MS.length) throw new ApiError(0, "unreachable", "The file could not be uploaded. Attach it again.");
    told(offset);
  }
}

/** How much of a file the server has. */
async function received(at: string, signal: AbortSignal): Promise<number> {
  const answer = await renewing(() => persistently(at, { method: "HEAD", headers: RESUMABLE, signal }));
  if (answer.status >= 400) throw problemOf(answer);
  return Number(answer.headers.get("Upload-Offset"));
}

export const models = {
  list: () => send("get", "/api/models"),
};

/** Begins a run, in a trace in which its events are read as well. */
async function traced<T extends { run: Run }>(begins: (traceparent: string) => Promise<T>): Promise<T> {
  const traceparent = newTrace();
  const begun = await begins(traceparent);
  began(begun.run.id, traceparent);
  return begun;
}

export const runs = {
  get: (id: string) => send("get", "/api/runs/{id}", { path: { id } }),
  /** `atOnce`: without waiting for the host that writes the answer. */
  cancel: (id: string, atOnce: boolean) =>
    send("post", "/api/runs/{id}/cancel", { path: { id }, query: { at_once: atOnce || null } }),
  /** A repeated request is refused with `run_active`. */
  retry: (id: string) => traced((traceparent) => send("post", "/api/runs/{id}/retry", { path: { id }, traceparent })),
  decide: (id: string, callId: string, decision: Decision) =>
    send("post", "/api/runs/{id}/approvals", { path: { id }, body: { call_id: callId, decision } }),
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
    const response = await renewing(() => reach(address("/api/runs/{id}/events", { path: { id } }), init));
    if (response.status === 204) return null;
    if (!response.ok || response.body === null) {
      const text = await response.text().catch(() => "");
      throw problemOf({ status: response.status, headers: response.headers, text });
    }
    return response.body;
  },
};

export const tools = {
  list: () => send("get", "/api/tools"),
  setPolicy: (pattern: string, effect: Effect) => send("put", "/api/tools/policies", { body: { pattern, effect } }),
  connections: () => send("get", "/api/tools/connections"),
  /** Returns the address of the page where the person agrees. A server that cannot be connected is a 502, which asking again does not change. */
  connect: (server: string) => send("post", "/api/tools/connections", { body: { server }, once: true }),
  disconnect: (server: string) => send("delete", "/api/tools/connections", { query: { server } }),
  secrets: () => send("get", "/api/tools/secrets"),
  setSecret: (server: string, name: string, value: string) =>
    send("put", "/api/tools/secrets", { body: { server, name, value } }),
  removeSecret: (server: string, name: string) => send("delete", "/api/tools/secrets", { query: { server, name } }),
  removePolicy: (pattern: string) => send("delete", "/api/tools/policies", { query: { pattern } }),
};

type Cursor = string | null;

export const admin = {
  users: (q: string, cursor: Cursor) => send("get", "/api/admin/users", { query: { q: q || null, cursor } }),
  changeUser: (id: string, change: { role?: string; suspended?: boolean }) =>
    send("patch", "/api/admin/users/{id}", { path: { id }, body: change }),
  resetLink: (id: string) => send("post", "/api/admin/users/{id}/reset-link", { path: { id }, once: true }),
  removeSecondFactor: (id: string) => send("delete", "/api/admin/users/{id}/second-factor", { path: { id } }),
  roles: () => send("get", "/api/admin/roles"),
  setRole: (name: string, permissions: string[]) =>
    send("put", "/api/admin/roles/{name}", { path: { name }, body: { permissions } }),
  removeRole: (name: string) => send("delete", "/api/admin/roles/{name}", { path: { name } }),
  invitations: (cursor: Cursor) => send("get", "/api/admin/invitations", { query: { cursor } }),
  /** One that was made without our hearing of it is in the list, and can be withdrawn. */
  invite: (role: string, days: number) =>
    send("post", "/api/admin/invitations", { body: { role, expires_in_days: days }, once: true }),
  withdraw: (id: string) => send("delete", "/api/admin/invitations/{id}", { path: { id } }),
  groups: () => send("get", "/api/admin/groups"),
  createGroup: (name: string, roles: string[]) =>
    send("post", "/api/admin/groups", { body: { name, roles }, once: true }),
  changeGroup: (id: string, name: string, roles: string[]) =>
    send("put", "/api/admin/groups/{id}", { path: { id }, body: { name, roles } }),
  removeGroup: (id: string) => send("delete", "/api/admin/groups/{id}", { path: { id } }),
  members: (id: string, cursor: Cursor) =>
    send("get", "/api/admin/groups/{id}/members", { path: { id }, query: { cursor } }),
  addMember: (id: string, userId: string) =>
    send("put", "/api/admin/groups/{id}/members/{user_id}", { path: { id, user_id: userId } }),
  removeMember: (id: string, userId: string) =>
    send("delete", "/api/admin/groups/{id}/members/{user_id}", { path: { id, user_id: userId } }),
  serviceAccounts: (cursor: Cursor) => send("get", "/api/admin/service-accounts", { query: { cursor } }),
  createServiceAccount: (name: string, role: string) =>
    send("post", "/api/admin/service-accounts", { body: { name, role }, once: true }),
  sessions: (cursor: Cursor) => send("get", "/api/admin/sessions", { query: { cursor } }),
  endSession: (id: string) => send("delete", "/api/admin/sessions/{id}", { path: { id } }),
  keys: () => send("get", "/api/admin/keys"),
  rotateKeys: (purpose: string, revoke: boolean) =>
    send("post", "/api/admin/keys/rotate", { body: { purpose, revoke }, once: true }),
  providers: () => send("get", "/api/admin/providers"),
  /** It is tested first. */
  setProvider: (name: string, contents: ProviderContents) =>
    send("put", "/api/admin/providers/{name}", { path: { name }, body: contents, once: true }),
  removeProvider: (name: string) => send("delete", "/api/admin/providers/{name}", { path: { name } }),
  testProvider: (name: string) => send("post", "/api/admin/providers/{name}/test", { path: { name }, once: true }),
  settings: () => send("get", "/api/admin/settings"),
  limits: () => send("get", "/api/admin/limits"),
  setLimits: (subject: string, limits: Partial<Record<LimitKind, number>>) =>
    send("put", "/api/admin/limits", { body: { subject, limits } }),
  retention: () => send("get", "/api/admin/retention"),
  /** `days` null removes the rule. Answers with all rules. */
  setRetention: (subject: string, days: number | null) =>
    send("put", "/api/admin/retention", { body: { subject, days } }),
  erasures: (pending: boolean, cursor: Cursor) =>
    send("get", "/api/admin/erasures", { query: { pending: pending || null, cursor } }),
  erase: (id: string) => send("post", "/api/admin/users/{id}/erasure", { path: { id }, body: {} }),
  keepAccount: (id: string) => send("delete", "/api/admin/users/{id}/erasure", { path: { id } }),
  usage: (days: number, cursor: Cursor) => send("get", "/api/admin/usage", { query: { days, cursor } }),
  auditChain: () => send("get", "/api/admin/audit/chain"),
  audit: (cursor: Cursor) => send("get", "/api/admin/audit", { query: { cursor } }),
};

/** What is remembered about the person. */
export const memories = {
  list: () => send("get", "/api/memories"),
  turn: (isOn: boolean) => send("patch", "/api/memories", { body: { is_on: isOn } }),
  removeAll: () => send("delete", "/api/memories"),
  edit: (id: string, content: string) => send("patch", "/api/memories/{id}", { path: { id }, body: { content } }),
  remove: (id: string) => send("delete", "/api/memories/{id}", { path: { id } }),
};

/** Webhooks: one's own, or those of the installation. */
export type Webhooks = {
  list: () => Promise<Page<Webhook> & { events: string[]; allowed_host: string | null }>;
  add: (url: string, events: string[]) => Promise<MadeWebhook>;
  remove: (id: string) => Promise<void>;
  test: (id: string) => Promise<void>;
};
export const ownWebhooks: Webhooks = {
  list: () => send("get", "/api/webhooks"),
  add: (url, events) => send("post", "/api/webhooks", { body: { url, events }, once: true }),
  remove: (id) => send("delete", "/api/webhooks/{id}", { path: { id } }),
  test: (id) => send("post", "/api/webhooks/{id}/test", { path: { id } }),
};
export const installationWebhooks: Webhooks = {
  list: () => send("get", "/api/admin/webhooks"),
  add: (url, events) => send("post", "/api/admin/webhooks", { body: { url, events }, once: true }),
  remove: (id) => send("delete", "/api/admin/webhooks/{id}", { path: { id } }),
  test: (id) => send("post", "/api/admin/webhooks/{id}/test", { path: { id } }),
};

type Method = "get" | "post" | "put" | "patch" | "delete";
/** The paths that take a method. */
type PathOf<M extends Method> = { [P in keyof paths]: paths[P][M] extends { responses: object } ? P : never }[keyof paths];
/** The parameters of a route at one place. Those of a query are left out when they are null. */
type Placed<Operation, Place extends string> = Operation extends { parameters: { [P in Place]: infer Found } } ? Found : never;
type Optional<Operation, Place extends string> = Operation extends { parameters: { [P in Place]?: infer Found } }
  ? NonNullable<Found>
  : never;
type OrNull<Known> = { [Name in keyof Known]: Known[Name] | null };
/** What a route takes. */
type Taken<Operation> = ([Placed<Operation, "path">] extends [never] ? unknown : { path: Placed<Operation, "path"> }) &
  ([Placed<Operation, "query">] extends [never] ? unknown : { query: OrNull<Placed<Operation, "query">> }) &
  (Operation extends { requestBody: { content: { "application/json": infer Body } } } ? { body: Body } : unknown) & {
    query?: OrNull<Optional<Operation, "query">>;
    header?: Optional<Operation, "header">;
  };
type Good = 200 | 201 | 202 | 204;
/** What a route answers when all is well. */
type Answered<Operation> = Operation extends { responses: infer Responses }
  ? {
      [Status in keyof Responses & Good]: Responses[Status] extends { content: { "application/json": infer Body } }
        ? Body
        : undefined;
    }[keyof Responses & Good]
  : never;

type Values = Record<string, string | number | boolean | null | undefined>;

/** The address of a route with these parameters. */
function address(path: keyof paths, { path: names = {}, query = {} }: { path?: Record<string, string>; query?: Values }): string {
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(names[name] ?? ""));
  const given = Object.entries(query).flatMap(([name, value]) => (value === null || value === undefined ? [] : [[name, `${value}`]]));
  return given.length > 0 ? `${filled}?${new URLSearchParams(given)}` : filled;
}

type Options = {
  signal?: AbortSignal;
  /** Whether an expired session is renewed first. */
  renew?: boolean;
  /** Whether the request must not be repeated. */
  once?: boolean;
  /** The trace that it belongs to. */
  traceparent?: string;
};
/** The same, with whatever a route takes. */
type Given = Options & { path?: Record<string, string>; query?: Values; header?: Record<string, string>; body?: unknown };

/** Sends a request to a route. What it takes and what it answers is what the description of the API says. */
export async function send<M extends Method, P extends PathOf<M>>(
  method: M,
  path: P,
  ...[options]: Options extends Options & Taken<paths[P][M]> ? [(Options & Taken<paths[P][M]>)?] : [Options & Taken<paths[P][M]>]
): Promise<Answered<paths[P][M]>> {
  const { signal, renew = true, once = false, traceparent, body, header, ...parameters } = (options ?? {}) as Given;
  const headers = { ...header, ...(traceparent && { traceparent }) };
  const init: RequestInit = { method: method.toUpperCase(), headers, signal: signal ?? null };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { ...headers, "Content-Type": "application/json" };
  }
  const end = begin();
  try {
    const at = address(path, parameters);
    const attempt = () => (once ? limited(at, init) : persistently(at, init));
    const answer = await (renew ? renewing(attempt) : attempt());
    if (answer.status >= 400) throw problemOf(answer);
    return (answer.text === "" ? undefined : JSON.parse(answer.text)) as Answered<paths[P][M]>;
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
  const size = typeof init.body === "string" ? init.body.length : init.body instanceof Blob ? init.body.size : 0;
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
