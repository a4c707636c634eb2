/**
 * The events of a run as the server sends them (docs/api.md), with the fields that the page needs. `test/events.json` has
 * one of each, written by the server's own code. Pure.
 */
import { rawAt } from "./json.ts";

export type RunEvent =
  | { kind: "token"; text: string }
  | { kind: "thinking"; text: string }
  | { kind: "tool_request"; call: Call }
  | { kind: "tool_approval"; call: Call; approval: Approval }
  /** A call goes on at its server, and the run waits for it. */
  | { kind: "tool_task"; callId: string; task: Task }
  /** The progress of a call. It is not repeated for readers who come back later. */
  | { kind: "tool_progress"; callId: string; progress: Progress }
  | { kind: "tool_result"; callId: string; text: string; isError: boolean; durationMs: number | null }
  /** The last event of its stream, like `complete`. */
  | { kind: "error"; code: string; message: string }
  | { kind: "complete"; finishReason: string }
  /** The run was started. */
  | { kind: "processing" }
  | { kind: "retrying"; retryAfterMs: number | null }
  /** The text since the last tool event is no longer valid. */
  | { kind: "restarted" }
  | { kind: "shortened"; message: string }
  /** A provider failed before it said anything, and another one is asked. */
  | { kind: "switched"; message: string };

/**
 * `title`: the tool's name for people, or null. `arguments`: exactly the model's text, which is JSON or was meant to be.
 */
export type Call = { callId: string; name: string; title: string | null; arguments: string };

/** `part`: from 0 to 1; null if the total is unknown. */
export type Progress = { part: number | null; message: string };

/** A call that goes on at its server. `since`: as ISO 8601. */
export type Task = { server: string; since: string };

/** What a person who must allow a call is told about it. */
export type Approval = {
  server: string;
  title: string;
  expiresAt: string;
  alwaysAsks: boolean;
  mayDisclose: boolean;
};

/** The event in a frame's data; null for other events. */
export function readEvent(data: string): RunEvent | null {
  const { type, content, metadata } = parse(data);
  const said = text(content);
  const of = isObject(metadata) ? metadata : {};
  const call = () => ({
    callId: text(of["call_id"]),
    name: said,
    title: text(of["title"]) || null,
    arguments: argumentsIn(data, of["arguments"]),
  });
  switch (type) {
    case "token":
    case "thinking":
      return { kind: type, text: said };
    case "tool_request":
      return { kind: type, call: call() };
    case "tool_approval":
      return {
        kind: type,
        call: call(),
        approval: {
          server: text(of["server"]),
          title: text(of["title"]),
          expiresAt: text(of["expires_at"]),
          alwaysAsks: of["always_asks"] === true,
          mayDisclose: of["may_disclose"] === true,
        },
      };
    case "tool_task":
      return {
        kind: type,
        callId: text(of["call_id"]),
        task: { server: text(of["server"]), since: text(of["started_at"]) },
      };
    case "tool_progress":
      return { kind: type, callId: text(of["call_id"]), progress: { part: part(of), message: said } };
    case "tool_result":
      return {
        kind: type,
        callId: text(of["call_id"]),
        text: said,
        isError: of["is_error"] === true,
        durationMs: number(of["duration_ms"]),
      };
    case "error":
      return { kind: type, code: text(of["code"]), message: said };
    case "complete":
      return { kind: type, finishReason: text(of["finish_reason"]) || "stop" };
    case "state":
      return readState(said, of);
    default:
      return null;
  }
}

function readState(state: string, of: Record<string, unknown>): RunEvent | null {
  switch (state) {
    case "processing":
    case "restarted":
      return { kind: state };
    case "retrying":
      return { kind: state, retryAfterMs: number(of["retry_after_ms"]) };
    case "shortened":
    case "switched":
      return { kind: state, message: text(of["message"]) };
    default:
      return null;
  }
}

/**
 * The model's own characters. JavaScript would round numbers and drop a repeated name. A string here is what the model
 * wrote instead of an object.
 */
function argumentsIn(data: string, value: unknown): string {
  if (value === undefined || typeof value === "string") return value ?? "";
  return rawAt(data, ["metadata", "arguments"]) ?? JSON.stringify(value);
}

function parse(data: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(data);
    return isObject(value) ? value : {};
  } catch {
    return {};
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function part({ progress, total }: Record<string, unknown>): number | null {
  if (typeof progress !== "number" || typeof total !== "number" || !(total > 0)) return null;
  return Math.min(1, Math.max(0, progress / total));
}

function number(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}
