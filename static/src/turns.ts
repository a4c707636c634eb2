/**
 * What a conversation looks like: stored messages and the events of a run become the same list of turns, so that an
 * answer looks the same while it is written and after a reload. Pure: no network, no clock, no document.
 */
import type { Message, RunEvent } from "./types.ts";

export type ToolPart = {
  kind: "tool";
  callId: string;
  name: string;
  /** As the model wrote them: JSON, or what it took for it. */
  arguments: string;
  /** That the person was asked whether it may be called; null if that was never the question. */
  approval: { server: string; title: string; expiresAt: string; alwaysAsks: boolean; mayDisclose: boolean } | null;
  /** null while the tool works, or the person has not decided. */
  result: { text: string; isError: boolean; durationMs: number | null } | null;
};

export type Part = { kind: "text"; text: string } | { kind: "thinking"; text: string } | ToolPart;

/** `sending`: shown before the server has it. */
export type UserTurn = { kind: "user"; id: string; text: string; sending: boolean };

/** What the person is told about an answer. `ended` is every end but an error; `finishReason` says which. */
export type Phase = "waiting" | "retrying" | "writing" | "tools" | "approval" | "ended" | "error";

export type AnswerTurn = {
  kind: "answer";
  /** The run that wrote it. */
  runId: string;
  parts: Part[];
  phase: Phase;
  finishReason: string | null;
  error: { code: string; message: string } | null;
  /** What the person should know of how it came about. */
  note: string | null;
  /** While `retrying`: how long the provider asked us to wait. */
  retryAfterMs: number | null;
  /** The id of the last event applied, to resume after it and to apply nothing twice. */
  lastEventId: string | null;
  /** Parts before this index belong to finished steps: `restarted` does not touch them. */
  stepStart: number;
};

export type Turn = UserTurn | AnswerTurn;

export function newAnswer(runId: string): AnswerTurn {
  return {
    kind: "answer",
    runId,
    parts: [],
    phase: "waiting",
    finishReason: null,
    error: null,
    note: null,
    retryAfterMs: null,
    lastEventId: null,
    stepStart: 0,
  };
}

export function isRunning(answer: AnswerTurn): boolean {
  return answer.phase !== "ended" && answer.phase !== "error";
}

/** The calls that the person was asked about and that have no result yet. Whether they decided, only they know. */
export function askedFor(answer: AnswerTurn): ToolPart[] {
  if (!isRunning(answer)) return [];
  return answer.parts.filter(
    (part) => part.kind === "tool" && part.approval !== null && part.result === null,
  ) as ToolPart[];
}

/** The answer as plain text, for the clipboard. */
export function answerText(answer: AnswerTurn): string {
  return answer.parts.flatMap((part) => (part.kind === "text" ? [part.text] : [])).join("\n\n");
}

/** Stored messages as turns, oldest first. What `liveRunId` wrote is left out: its events tell it from the start. */
export function turnsOf(messages: Message[], liveRunId: string | null): Turn[] {
  const turns: Turn[] = [];
  for (const message of messages) {
    if (message.role === "user") {
      turns.push({ kind: "user", id: message.id, text: message.content, sending: false });
      continue;
    }
    if (liveRunId !== null && message.run_id === liveRunId) continue;
    let answer = turns.at(-1);
    if (answer?.kind !== "answer" || answer.runId !== message.run_id) {
      dropBroken(turns);
      answer = { ...newAnswer(message.run_id), phase: "ended" };
      turns.push(answer);
    }
    if (message.role === "tool") {
      const part = answer.parts.find((p) => p.kind === "tool" && p.callId === message.tool_call_id);
      const isError = message.finish_reason === "tool_error";
      if (part?.kind === "tool") part.result = { text: message.content, isError, durationMs: null };
      continue;
    }
    if (message.reasoning) answer.parts.push({ kind: "thinking", text: message.reasoning });
    if (message.content !== "") answer.parts.push({ kind: "text", text: message.content });
    for (const call of message.tool_calls ?? []) {
      answer.parts.push({
        kind: "tool",
        callId: call.id,
        name: call.name,
        arguments: call.arguments,
        approval: null,
        result: null,
      });
    }
    answer.finishReason = message.finish_reason ?? null;
  }
  if (liveRunId !== null) dropBroken(turns);
  return turns;
}

/** Whether an answer was broken off, by an error or by the person. */
export function isBroken(answer: AnswerTurn): boolean {
  return answer.phase === "error" || answer.finishReason === "error" || answer.finishReason === "cancelled";
}

/** An answer comes after the last turn: if that was one that was broken off, the new one takes the place of its words. */
export function dropBroken(turns: Turn[]): void {
  const last = turns.at(-1);
  if (last?.kind !== "answer" || !isBroken(last)) return;
  turns.pop();
  // Its tools have been used all the same, and the new answer knows what they said.
  const parts = last.parts.filter((part) => part.kind === "tool" && part.result !== null);
  if (parts.length > 0) turns.push({ ...last, parts, phase: "ended", error: null, finishReason: null });
}

/** Applies one event. Gives back the same object when the event was seen before or is of a type not known here. */
export function applyEvent(answer: AnswerTurn, event: RunEvent, id: string | null): AnswerTurn {
  if (!isRunning(answer) || (id !== null && !isAfter(id, answer.lastEventId))) return answer;
  const next = applyContent(answer, event);
  return id === null ? next : { ...next, lastEventId: id };
}

/** Whether an event id comes later in the run. Ids are whole numbers that only grow. */
function isAfter(id: string, last: string | null): boolean {
  return last === null || Number(id) > Number(last);
}

function applyContent(answer: AnswerTurn, { type, content, metadata }: RunEvent): AnswerTurn {
  switch (type) {
    case "token":
      return { ...answer, phase: "writing", parts: append(answer.parts, "text", content) };
    case "thinking":
      return { ...answer, phase: "writing", parts: append(answer.parts, "thinking", content) };
    case "tool_request":
      return { ...answer, phase: "tools", parts: requestTool(answer.parts, content, metadata) };
    case "tool_approval":
      return { ...answer, phase: "approval", parts: askAbout(answer.parts, content, metadata) };
    case "tool_result": {
      const parts = answerTool(answer.parts, content, metadata);
      return { ...answer, phase: working(parts), parts, stepStart: parts.length };
    }
    case "state":
      return applyState(answer, content, metadata);
    case "error":
      return { ...answer, phase: "error", error: { code: text(metadata["code"]), message: content } };
    case "complete":
      return { ...answer, phase: "ended", finishReason: text(metadata["finish_reason"]) || "stop" };
    default:
      return answer;
  }
}

function applyState(answer: AnswerTurn, state: string, metadata: Record<string, unknown>): AnswerTurn {
  if (state === "processing") return { ...answer, phase: working(answer.parts), retryAfterMs: null };
  if (state === "retrying") return { ...answer, phase: "retrying", retryAfterMs: number(metadata["retry_after_ms"]) };
  if (state === "shortened") return { ...answer, note: text(metadata["message"]) || null };
  if (state === "restarted") {
    const parts = answer.parts.filter((part, index) => index < answer.stepStart || part.kind === "tool");
    return { ...answer, phase: "waiting", parts };
  }
  return answer;
}

/** What is going on while the model says nothing. */
function working(parts: Part[]): Phase {
  return parts.some((part) => part.kind === "tool" && part.result === null) ? "tools" : "waiting";
}

/** Text goes on in the last part if that is of the same kind. */
function append(parts: Part[], kind: "text" | "thinking", piece: string): Part[] {
  const last = parts.at(-1);
  if (last?.kind === kind) return [...parts.slice(0, -1), { kind, text: last.text + piece }];
  return [...parts, { kind, text: piece }];
}

function requestTool(parts: Part[], name: string, metadata: Record<string, unknown>): Part[] {
  const callId = text(metadata["call_id"]);
  // A run that another host took over asks again for a call that it had not finished: the same call, not a second one.
  if (parts.some((part) => part.kind === "tool" && part.callId === callId)) return parts;
  const call = { callId, name, arguments: text(metadata["arguments"]) };
  return [...parts, { kind: "tool", ...call, approval: null, result: null }];
}

/** What the person decides about is what this event says, whatever the request for the call said before. */
function askAbout(before: Part[], name: string, metadata: Record<string, unknown>): Part[] {
  const parts = requestTool(before, name, metadata);
  const approval = {
    server: text(metadata["server"]),
    title: text(metadata["title"]),
    expiresAt: text(metadata["expires_at"]),
    alwaysAsks: metadata["always_asks"] === true,
    mayDisclose: metadata["may_disclose"] === true,
  };
  return parts.map((part) =>
    part.kind === "tool" && part.callId === text(metadata["call_id"])
      ? { ...part, name, arguments: text(metadata["arguments"]), approval }
      : part,
  );
}

function answerTool(parts: Part[], content: string, metadata: Record<string, unknown>): Part[] {
  const callId = text(metadata["call_id"]);
  const result = { text: content, isError: metadata["is_error"] === true, durationMs: number(metadata["duration_ms"]) };
  return parts.map((part) => (part.kind === "tool" && part.callId === callId ? { ...part, result } : part));
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function number(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}
