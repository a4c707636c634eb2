/**
 * Converts stored messages and the events of a run to the same list of turns, so that an answer looks the same while it
 * is written and after a reload. Pure: no network, no clock, no document.
 */
import type { Approval, Call, Progress, RunEvent, Task } from "./events.ts";
import type { AttachedFile, Message } from "./types.ts";

export type ToolPart = Call & {
  kind: "tool";
  /** The question whether the tool may be called; null if there was none. */
  approval: Approval | null;
  /** Set if the call goes on at its server, for as long as it takes there; null if it is answered while it is called. */
  task: Task | null;
  /** The progress of the call, if the tool reports it. */
  progress: Progress | null;
  /** null while the tool works, or the person has not decided. */
  result: { text: string; isError: boolean; durationMs: number | null } | null;
};

export type Part = { kind: "text"; text: string } | { kind: "thinking"; text: string } | ToolPart;

/** `sending`: the server does not have it yet. */
export type UserTurn = { kind: "user"; id: string; text: string; files: readonly AttachedFile[]; sending: boolean };

/** The state of an answer, as it is shown. `ended` is every end except an error; `finishReason` says which. */
export type Phase = "waiting" | "retrying" | "writing" | "tools" | "approval" | "task" | "ended" | "error";

export type AnswerTurn = {
  kind: "answer";
  /** The run that wrote the answer. */
  runId: string;
  parts: Part[];
  phase: Phase;
  finishReason: string | null;
  error: { code: string; message: string } | null;
  /** A notice for the person about this answer. */
  note: string | null;
  /** While `retrying`: the pause that the provider asked for. */
  retryAfterMs: number | null;
  /** The id of the last applied event, to resume after it and to apply nothing twice. */
  lastEventId: string | null;
  /** Parts before this index belong to finished steps, which `restarted` does not affect. */
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

/** The calls without a result that need the person's decision. The events do not say whether it was made. */
export function askedFor(answer: AnswerTurn): ToolPart[] {
  if (!isRunning(answer)) return [];
  return answer.parts.filter(
    (part): part is ToolPart => part.kind === "tool" && part.approval !== null && part.result === null,
  );
}

/** The answer as plain text, for the clipboard. */
export function answerText(answer: AnswerTurn): string {
  return answer.parts.flatMap((part) => (part.kind === "text" ? [part.text] : [])).join("\n\n");
}

/**
 * Stored messages as turns, oldest first. Messages of `liveRunId` are left out, because its events are read from the
 * start.
 */
export function turnsOf(messages: Message[], liveRunId: string | null): Turn[] {
  const turns: Turn[] = [];
  for (const message of messages) {
    if (message.role === "user") {
      turns.push({ kind: "user", id: message.id, text: message.content, files: message.files ?? [], sending: false });
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
      if (part?.kind !== "tool") continue;
      part.title = message.title ?? null;
      part.result = {
        text: message.content,
        isError: message.tool_error === true,
        durationMs: message.duration_ms ?? null,
      };
      continue;
    }
    if (message.reasoning) answer.parts.push({ kind: "thinking", text: message.reasoning });
    if (message.content !== "") answer.parts.push({ kind: "text", text: message.content });
    for (const call of message.tool_calls ?? []) {
      answer.parts.push({
        kind: "tool",
        callId: call.id,
        name: call.name,
        title: null,
        arguments: call.arguments,
        approval: null,
        task: null,
        progress: null,
        result: null,
      });
    }
    answer.finishReason = message.finish_reason ?? null;
  }
  if (liveRunId !== null) dropBroken(turns);
  return turns;
}

/** Whether an answer was interrupted, by an error or by the person. */
export function isBroken(answer: AnswerTurn): boolean {
  return answer.phase === "error" || answer.finishReason === "error" || answer.finishReason === "cancelled";
}

/** Removes the text of an interrupted last answer, which the next answer replaces. */
export function dropBroken(turns: Turn[]): void {
  const last = turns.at(-1);
  if (last?.kind !== "answer" || !isBroken(last)) return;
  turns.pop();
  // Its tools were used, and the new answer knows their results.
  const parts = last.parts.filter((part) => part.kind === "tool" && part.result !== null);
  if (parts.length > 0) turns.push({ ...last, parts, phase: "ended", error: null, finishReason: null });
}

/** Applies an event. Returns the same object if the event was applied before. */
export function applyEvent(answer: AnswerTurn, event: RunEvent, id: string | null): AnswerTurn {
  if (!isRunning(answer) || (id !== null && !isAfter(id, answer.lastEventId))) return answer;
  const next = changed(answer, event);
  return id === null ? next : { ...next, lastEventId: id };
}

/** Whether an event comes later in the run. Ids are increasing whole numbers. */
function isAfter(id: string, last: string | null): boolean {
  return last === null || Number(id) > Number(last);
}

function changed(answer: AnswerTurn, event: RunEvent): AnswerTurn {
  switch (event.kind) {
    case "token":
      return { ...answer, phase: "writing", parts: append(answer.parts, "text", event.text) };
    case "thinking":
      return { ...answer, phase: "writing", parts: append(answer.parts, "thinking", event.text) };
    case "tool_request":
      return { ...answer, phase: "tools", parts: request(answer.parts, event.call) };
    case "tool_approval":
      return { ...answer, phase: "approval", parts: askAbout(answer.parts, event.call, event.approval) };
    case "tool_task": {
      const { task } = event;
      const parts = answer.parts.map((part) =>
        isCall(part, event.callId) && part.result === null ? { ...part, task } : part,
      );
      return { ...answer, phase: "task", parts };
    }
    case "tool_progress": {
      const { progress } = event;
      const parts = answer.parts.map((part) =>
        isCall(part, event.callId) && part.result === null ? { ...part, progress } : part,
      );
      return { ...answer, parts };
    }
    case "tool_result": {
      const { text, isError, durationMs } = event;
      const parts = answer.parts.map((part) =>
        isCall(part, event.callId) ? { ...part, progress: null, result: { text, isError, durationMs } } : part,
      );
      return { ...answer, phase: working(parts), parts, stepStart: parts.length };
    }
    case "error":
      return { ...answer, phase: "error", error: { code: event.code, message: event.message } };
    case "complete":
      return { ...answer, phase: "ended", finishReason: event.finishReason };
    case "processing":
      return { ...answer, phase: working(answer.parts), retryAfterMs: null };
    case "retrying":
      return { ...answer, phase: "retrying", retryAfterMs: event.retryAfterMs };
    case "restarted": {
      const parts = answer.parts.filter((part, index) => index < answer.stepStart || part.kind === "tool");
      return { ...answer, phase: "waiting", parts };
    }
    case "shortened":
    case "switched":
      return { ...answer, note: event.message || null };
  }
}

/** The phase while the model says nothing. If all calls without a result go on at their servers, the run waits for them. */
function working(parts: Part[]): Phase {
  const open = parts.filter((part) => part.kind === "tool" && part.result === null);
  if (open.length === 0) return "waiting";
  return open.every((part) => part.kind === "tool" && part.task !== null) ? "task" : "tools";
}

/** Appends text to the last part, if it is of the same kind. */
function append(parts: Part[], kind: "text" | "thinking", piece: string): Part[] {
  const last = parts.at(-1);
  if (last?.kind === kind) return [...parts.slice(0, -1), { kind, text: last.text + piece }];
  return [...parts, { kind, text: piece }];
}

function isCall(part: Part, callId: string): part is ToolPart {
  return part.kind === "tool" && part.callId === callId;
}

/**
 * Adds a call. A host that takes a run over repeats the request of an unfinished call: it is the same call, and its
 * progress starts again.
 */
function request(parts: Part[], call: Call): Part[] {
  if (parts.some((part) => isCall(part, call.callId))) {
    return parts.map((part) => (isCall(part, call.callId) && part.result === null ? { ...part, progress: null } : part));
  }
  return [...parts, { kind: "tool", ...call, approval: null, task: null, progress: null, result: null }];
}

/**
 * The person decides about exactly what this event says, even if it differs from the call's request. The card keeps the
 * request's title, which is also the stored one: the question has a title even if the tool has none.
 */
function askAbout(parts: Part[], call: Call, approval: Approval): Part[] {
  return request(parts, { ...call, title: null }).map((part) =>
    isCall(part, call.callId) ? { ...part, ...call, title: part.title, approval } : part,
  );
}
