/**
 * The names that the page uses for what the server sends. What they mean is in `openapi.ts`, which is made of the description of the API; what is here
 * besides says only what the page knows better.
 */
import type { components } from "./openapi.ts";

type Schemas = components["schemas"];

/** With fields that a host of an earlier release does not send. */
type Later<T, K extends keyof T> = Omit<T, K> & Partial<Pick<T, K>>;

export type User = Later<Schemas["User"], "permissions" | "roles">;
export type Session = Omit<Schemas["Session"], "user"> & { user: User };
export type SecondFactor = Schemas["SecondFactor"];
export type Identity = Schemas["Identity"];
export type Setup = Schemas["SecondFactorSetup"];
export type ErasureRequest = Schemas["RequestedErasure"];
export type RetentionRule = Schemas["RetentionRule"];
export type Erasure = Schemas["Erasure"];
export type AuditChain = Schemas["AuditChain"];
/** Shows that it is the person who changes something, and not whoever found their browser. */
export type Proof = { password: string } | { code: string };
export type SignUpState = Later<Schemas["SignUpState"], "providers">;
export type Provider = Schemas["SignInProvider"];
/** An account, as administrators see it. */
export type Account = Schemas["Account"];
export type Role = Schemas["Role"];
export type Permission = Schemas["Permission"];
export type Invitation = Schemas["Invitation"];
export type Link = Schemas["PasswordResetLink"];
export type Group = Schemas["Group"];
export type OpenSession = Later<Schemas["OpenSession"], "client_name">;
export type ApiKey = Schemas["ApiKey"];
export type NewApiKey = Schemas["NewApiKey"];
export type MadeApiKey = Schemas["MadeApiKey"];
export type Grant = Schemas["Grant"];
/** What a program wants that asks to be let in. */
export type Wanted = Extract<Schemas["ShownAuthorization"], { request: string }>;
/** A program's request that cannot be granted. */
export type SentBack = Schemas["AuthorizationError"];
export type ServiceAccount = Schemas["ServiceAccount"];
export type Setting = Schemas["Setting"];
export type Usage = Schemas["PersonUsage"];
/** The kinds of limits for which the page has words. */
export type LimitKind =
  | "person_requests_per_minute"
  | "session_requests_per_minute"
  | "tool_calls_per_minute"
  | "tool_changes_per_minute"
  | "tokens_per_day"
  | "tokens_per_month"
  | "cost_per_day"
  | "cost_per_month";
export type LimitSubject = Schemas["LimitSubject"];
export type LimitList = Schemas["LimitList"];
/** An address to which is told what happened. */
export type Webhook = Schemas["Webhook"];
export type MadeWebhook = Schemas["MadeWebhook"];
/** A fact about the person that is remembered. */
export type Memory = Schemas["Memory"];
export type Spent = Schemas["Spent"];
export type OwnUsage = Later<Schemas["OwnUsage"], "currency" | "today" | "this_month">;
export type AuditRecord = Schemas["AuditRecord"];
export type Key = Schemas["Key"];
export type ModelProvider = Schemas["ModelProvider"];
export type ProviderModel = Schemas["ProviderModel"];
export type ProviderContents = Schemas["ModelProviderChange"];
export type ProviderTest = Schemas["ProviderTest"];
/** What is known about it is missing from a host of an earlier release. */
export type Model = Pick<Schemas["Model"], "id" | "default"> & Partial<Schemas["Model"]>;
export type ModelSettings = Schemas["ModelSettings"];
export type NamedGroup = Schemas["NamedGroup"];
export type Assistant = Schemas["Assistant"];
export type AssistantContents = Pick<Assistant, "name" | "description" | "model" | "settings"> & { groups: string[] };
export type Page<T> = { items: T[]; next_cursor: string | null };
/** Lists do not say its settings. */
export type Conversation = Later<
  Schemas["Conversation"],
  "temporary" | "retention_days" | "expires_at" | "assistant" | "settings"
>;
export type ToolCall = Schemas["ToolCall"];
export type Message = Schemas["Message"];
export type AttachedFile = Schemas["AttachedFile"];
export type StoredFile = Schemas["File"];
export type FileReading = Schemas["FileReading"];
export type RunState = Schemas["RunState"];
export type Run = Later<Schemas["Run"], "provider" | "cost">;
export type Decision = Schemas["Decision"];
export type Effect = Schemas["Effect"];
export type SearchResult = Schemas["SearchResult"];
export type Tool = Schemas["Tool"];
export type ToolProblem = Schemas["ToolProblem"];
export type Connection = Schemas["Connection"];
export type Secret = Schemas["ToolSecret"];
export type Problem = Schemas["Problem"];
