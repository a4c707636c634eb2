/** The JSON types of docs/api.md. Only what the server sends is here. */

export type User = {
  id: string;
  email: string;
  name: string | null;
  role: "admin" | "user";
  /** What all roles allow together; `*` is everything. A host of an earlier release does not say it. */
  permissions?: string[];
  created_at: string;
};

export type Session = {
  access_token: string;
  token_type: "Bearer";
  expires_in: number;
  user: User;
  /** Of a second factor that was set up on the way. They are told once. */
  recovery_codes?: string[];
};

/** The person's own second factor. `required`: a role needs one. Without a password, the person logs in elsewhere. */
export type SecondFactor = {
  enabled: boolean;
  created_at: string | null;
  recovery_codes_left: number;
  required: boolean;
  has_password: boolean;
};

/** An organisation's identity that opens the person's account. Without a label, the provider is no longer configured. */
export type Identity = { issuer: string; label: string | null; email: string; created_at: string; used_at: string };

/** A second factor that is being set up. `setup` is sent back with the first code; `address` is what the picture says. */
export type Setup = { setup: string; secret: string; address: string };

/** What came of asking for the erasure of one's account. `receipt_token`: for the receipt; it is told once. */
export type ErasureRequest = { erase_at: string; receipt_token: string };

/** A rule about how long conversations are kept. `subject`: `installation`, or `role:` and a name. `days` 0: they are kept. */
export type RetentionRule = { subject: string; days: number; counts_at: string };

/** An account that is to be erased, or was. */
export type Erasure = {
  user_id: string;
  /** As long as the account is there. */
  email?: string | null;
  requested_by: string;
  requested_at: string;
  erase_at: string;
  erased_at: string | null;
  receipt: string | null;
};

/** How far the record is sealed. `hash`: of the head, with the position in front. */
export type AuditChain = { sealed_up_to: number; hash: string | null; sealed_at: string | null; waiting: number };

/** Shows that it is the person who changes something, and not whoever found their browser. */
export type Proof = { password: string } | { code: string };

/** `first`: there is no account yet, so the next one is the administrator's. `invite`: an invitation makes an account. */
export type SignUpState = {
  open: boolean;
  first: boolean;
  invite: boolean;
  /** The organisations' providers that people can sign in with. An earlier release does not say them. */
  providers?: Provider[];
};
export type Provider = { name: string; label: string };

/** An account, as administrators see it. */
export type Account = {
  id: string;
  email: string;
  name: string;
  role: string;
  group_roles: string[];
  suspended: boolean;
  /** A host of an earlier release does not say it. */
  second_factor?: boolean;
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

export type OpenSession = {
  id: string;
  user_id: string;
  email: string;
  created_at: string;
  used_at: string;
  /** Of a program's session. A host of an earlier release does not say it. */
  client_name?: string | null;
};

/** A key of a program. `key` is the key itself, told once. */
export type ApiKey = {
  id: string;
  name: string;
  prefix: string;
  scopes: string[];
  created_at: string;
  expires_at: string | null;
  last_used_at: string | null;
};
export type NewApiKey = { name: string; scopes?: string[]; expires_at?: string };
export type MadeApiKey = ApiKey & { key: string };

/** A program that was let in. `redirect_host`: the host to which the person was sent back, or "this computer". */
export type Grant = {
  id: string;
  client_name: string;
  redirect_host: string;
  scopes: string[];
  created_at: string;
  last_used_at: string;
  expires_at: string;
};

/** What a program wants that asks to be let in. `request` goes with the decision. */
export type Wanted = {
  client_name: string;
  client_host: string | null;
  redirect_host: string;
  is_on_this_computer: boolean;
  scopes: string[];
  resource: string;
  request: string;
};

/** A program's request that cannot be granted. The person decides whether they go back with the error. */
export type SentBack = { redirect_to: string; redirect_host: string; reason: string };

export type ServiceAccount = { id: string; name: string; role: string; suspended: boolean; created_at: string };

export type Setting = { name: string; value: string };

export type Usage = {
  user_id: string;
  email: string;
  runs: number;
  prompt_tokens: number;
  completion_tokens: number;
  /** Of programs at `/v1`. */
  model_requests: number;
  tool_calls: number;
  /** In millionths of the currency, at today's prices. */
  cost: number;
  /** Of models without a price, which are not in the cost. */
  unpriced_tokens: number;
};

export type LimitKind =
  | "person_requests_per_minute"
  | "session_requests_per_minute"
  | "tool_calls_per_minute"
  | "tool_changes_per_minute"
  | "tokens_per_day"
  | "tokens_per_month"
  | "cost_per_day"
  | "cost_per_month";

/** The limits of a role, a person, a group, a key or the installation. `taken` is of the present day or month. */
export type LimitSubject = {
  subject: string;
  name: string | null;
  limits: Partial<Record<LimitKind, { amount: number; taken?: number }>>;
};

/** `warning`: why budgets of money do not hold as they should. */
export type LimitList = Page<LimitSubject> & { currency: string; warning?: string; defaults: Record<string, string> };

/** An address to which is told what happened. */
export type Webhook = {
  id: string;
  server: string;
  events: string[];
  created_at: string;
  waiting: number;
  failures: number;
  lost: number;
  attempted_at: string | null;
  /** `http_` and a status, or a word. */
  answer: string | null;
  delivered_at: string | null;
  stopped_at: string | null;
};

export type MadeWebhook = { id: string; server: string; events: string[]; secret: string };

/** What was spent in a time. Tokens of models without a price are not in the cost. */
export type Spent = { cost: number; tokens: number; unpriced_tokens: number };

/** What the person used lately, and what is left of the budgets that count for them. */
export type OwnUsage = {
  days: number;
  runs: number;
  prompt_tokens: number;
  completion_tokens: number;
  /** Of these tokens, what programs used at `/v1`. */
  programs: { requests: number; prompt_tokens: number; completion_tokens: number };
  tool_calls: number;
  /** A host of an earlier release does not say it, nor what was spent. */
  currency?: string;
  /** Costs are millionths of the currency. */
  today?: Spent;
  this_month?: Spent;
  budgets: { of: string; kind: LimitKind; amount: number; left: number }[];
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

export type Key = {
  purpose: string;
  id: string;
  /** Null for a configured master key. */
  created_at: string | null;
  /** When it should be rotated. */
  due_at: string | null;
  state: "current" | "verifies" | "retired";
  verifies_until: string | null;
  /** It is rotated where the installation is deployed. */
  is_configured: boolean;
};

/** A provider of models, as administrators see it. */
export type ModelProvider = {
  name: string;
  base_url: string;
  dialect: "chat_completions" | "responses";
  priority: number;
  models: ProviderModel[];
  has_key: boolean;
  /** The names of its further headers. */
  headers: string[];
  /** Why it is not asked. */
  problem: string | null;
  is_configured: boolean;
};
/** Its name, or with what is known about it. */
export type ProviderModel = string | { name: string };
/** Without `key` and `headers`, those that are saved stay. */
export type ProviderContents = Pick<ModelProvider, "base_url" | "dialect" | "priority" | "models"> & {
  key?: string;
  headers?: Record<string, string>;
  untested?: boolean;
};
export type ProviderTest = { ok: boolean; message: string; models: string[] };

/** What is known about it is missing from a host of an earlier release. */
export type Model = {
  id: string;
  default: boolean;
  /** Who has it, in the order in which they are asked. */
  providers?: string[];
  context_window_tokens?: number | null;
  sees?: boolean | null;
  calls_tools?: boolean | null;
  reasons?: boolean | null;
  /** For a million tokens. */
  price?: { input: number; output: number; currency: string } | null;
};

/** How the model answers; `null` is as usual. `tools`: patterns of those that may be used. */
export type ModelSettings = {
  instructions: string | null;
  temperature: number | null;
  max_output_tokens: number | null;
  reasoning_effort: "none" | "minimal" | "low" | "medium" | "high" | "xhigh" | null;
  tools: string[] | null;
};

export type NamedGroup = { id: string; name: string };

/** Settings under a name. `groups`: with whom it is shared; null for whoever may not change it. */
export type Assistant = {
  id: string;
  name: string;
  description: string;
  model: string | null;
  settings: ModelSettings;
  own: boolean;
  owner_name: string | null;
  groups: NamedGroup[] | null;
  created_at: string;
  updated_at: string;
};
export type AssistantContents = Pick<Assistant, "name" | "description" | "model" | "settings"> & { groups: string[] };

export type Page<T> = { items: T[]; next_cursor: string | null };

export type Conversation = {
  id: string;
  title: string;
  model: string | null;
  created_at: string;
  updated_at: string;
  active_run_id: string | null;
  /** A chat that is in no list and is deleted when it is left. A host of an earlier release does not say this and what follows. */
  temporary?: boolean;
  /** The person's own wish: after how many days without use it is deleted. */
  retention_days?: number | null;
  /** When it is deleted unless it is used before; null: it is kept. */
  expires_at?: string | null;
  /** The assistant that it was begun with, as it was then; and its settings. Lists do not say them. */
  assistant?: { id: string; name: string } | null;
  settings?: ModelSettings;
};

/** `arguments` is the model's text. It should be JSON but may be malformed. */
export type ToolCall = { id: string; name: string; arguments: string };

export type Message = {
  id: string;
  conversation_id: string;
  run_id: string;
  role: "user" | "assistant" | "tool";
  content: string;
  /** The model's reasoning before this message. */
  reasoning?: string | null;
  tool_calls?: ToolCall[] | null;
  /** For a tool's result: the call, whether it failed, how long it took, and the tool's name for people. */
  tool_call_id?: string | null;
  tool_error?: boolean | null;
  duration_ms?: number | null;
  title?: string | null;
  finish_reason?: string | null;
  created_at: string;
};

export type RunState =
  | "queued"
  | "processing"
  | "streaming"
  | "tool_execution"
  | "awaiting_approval"
  | "awaiting_task"
  | "complete"
  | "error"
  | "cancelled";

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
  /** Who answered, and for how much. A host of an earlier release does not say it. */
  provider?: string | null;
  cost?: { amount: number; currency: string } | null;
};

/** The person's decision about a tool call. */
export type Decision = "allow_once" | "allow_always" | "deny";

/** What happens when a model wants to call a tool. */
export type Effect = "allow" | "ask" | "deny";

export type Tool = {
  server: string;
  name: string;
  title: string | null;
  description: string;
  read_only: boolean;
  destructive: boolean;
  /** Whether its server is elsewhere. */
  remote: boolean;
  /** The result of all policies. */
  policy: Effect;
  /** Whether it asks before every call, whatever the policies allow. */
  always_asks: boolean;
  /** The person's own choice for this tool. */
  own_policy: Effect | null;
  input_schema: unknown;
};

/** A fault that hides a server's tools, or one of them. */
export type ToolProblem = {
  server: string;
  /** Absent if the fault concerns the whole server. */
  tool: string | null;
  message: string;
  /** Advice for people who can fix it. */
  advice: string | null;
};

/** A server elsewhere that each person connects for themselves. */
export type Connection = {
  server: string;
  /** The host that the person gives access to. */
  host: string;
  state: "not_connected" | "connected" | "lost" | "more_access";
  /** What to do, if there is something to be done. */
  message: string | null;
  connected_at: string | null;
};

/** A secret that a server's tools need from the person. */
export type Secret = {
  server: string;
  name: string;
  title: string;
  /** Where to get it. */
  description: string;
  /** Whether the value may be shown again: an address, but not a password. */
  visible: boolean;
  /** Whether the tools also work without it. */
  optional: boolean;
  is_set: boolean;
  /** Present only if it is visible and set. */
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
  challenge?: string;
};
