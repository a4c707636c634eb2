/** The shapes of docs/api.md, as they come over the wire. Nothing here that the server does not say. */

export type User = {
  id: string;
  email: string;
  name: string | null;
  role: "admin" | "user";
  /** What all roles allow together; `*` is everything. A host of an earlier release does not say it. */
  permissions?: string[];
  created_at: string;
};

export type Session = { access_token: string; token_type: "Bearer"; expires_in: number; user: User };

/** `first`: there is no account yet, so the next one is the administrator's. `invite`: an invitation makes an account. */
export type SignUpState = { open: boolean; first: boolean; invite: boolean };

/** An account, as administrators see it. */
export type Account = {
  id: string;
  email: string;
  name: string;
  role: string;
  group_roles: string[];
  suspended: boolean;
  created_at: string;
};

export type Role = { name: string; built_in: boolean; permissions: string[] };

export type Permission = { name: string; purpose: string; has_pattern: boolean };

export type Invitation = {
  id: string;
  role: string;
  created_at: string;
  expires_at: string;
  accepted_at: string | null;
  revoked_at: string | null;
};

/** An address of this page with a secret in it, which is told once. */
export type Link = { path: string; expires_at: string };

export type Group = { id: string; name: string; roles: string[]; members: number; created_at: string };

export type OpenSession = { id: string; user_id: string; email: string; created_at: string; used_at: string };

export type Setting = { name: string; value: string };

export type Usage = {
  user_id: string;
  email: string;
  runs: number;
  prompt_tokens: number;
  completion_tokens: number;
  tool_calls: number;
};

export type AuditRecord = {
  id: string;
  at: string;
  user_id: string;
  action: string;
  subject: string;
  outcome: string;
  detail: string | null;
};

export type Model = { id: string; default: boolean };

export type Page<T> = { items: T[]; next_cursor: string | null };

export type Conversation = {
  id: string;
  title: string;
  model: string | null;
  created_at: string;
  updated_at: string;
  active_run_id: string | null;
};

/** Arguments are JSON as the model wrote it: text, which may be malformed. */
export type ToolCall = { id: string; name: string; arguments: string };

export type Message = {
  id: string;
  conversation_id: string;
  run_id: string;
  role: "user" | "assistant" | "tool";
  content: string;
  /** What the model thought before it said that. */
  reasoning?: string | null;
  tool_calls?: ToolCall[] | null;
  /** Of a tool's result: which call it answers, whether that failed, how long it took, the tool's name for people. */
  tool_call_id?: string | null;
  tool_error?: boolean | null;
  duration_ms?: number | null;
  title?: string | null;
  finish_reason?: string | null;
  created_at: string;
};

export type RunState =
  "queued" | "processing" | "streaming" | "tool_execution" | "awaiting_approval" | "complete" | "error" | "cancelled";

export type Run = {
  id: string;
  conversation_id: string;
  message_id: string;
  state: RunState;
  model: string | null;
  events_url: string;
  created_at: string;
  updated_at: string;
  error: { code: string; message: string } | null;
  usage: { prompt_tokens: number; completion_tokens: number; total_tokens: number } | null;
};

/** What the person says when they are asked whether a tool may be called. */
export type Decision = "allow_once" | "allow_always" | "deny";

/** What is to happen when a model wants to use a tool. */
export type Effect = "allow" | "ask" | "deny";

export type Tool = {
  server: string;
  name: string;
  title: string | null;
  description: string;
  read_only: boolean;
  destructive: boolean;
  /** Whether its server is somebody else's. */
  remote: boolean;
  /** What happens, all rules considered. */
  policy: Effect;
  /** It is asked about whatever anybody allowed. */
  always_asks: boolean;
  /** What this person chose for this tool. */
  own_policy: Effect | null;
  input_schema: unknown;
};

/** What is missing of a server's tools, and why. */
export type ToolProblem = {
  server: string;
  /** Absent when it is about the server. */
  tool: string | null;
  message: string;
  /** What to do, for those who can. */
  advice: string | null;
};

/** What a server's tools need from the person. */
export type Secret = {
  server: string;
  name: string;
  title: string;
  /** Where to get it. */
  description: string;
  /** Whether it may be shown again: an address, not a password. */
  visible: boolean;
  /** Whether the tools can do without it. */
  optional: boolean;
  is_set: boolean;
  /** Only if it is visible and set. */
  value?: string;
};

/** RFC 9457. */
export type Problem = {
  type: string;
  title: string;
  status: number;
  detail: string;
  code: string;
  request_id: string;
  field?: string;
};
