// A tool provider in JavaScript: a component that exports `wit/provider.wit`, built by componentize-qjs, which runs it in
// QuickJS.
//
// The adapter handles MCP and HTTP, and checks arguments against `inputSchema`. A provider never sees who calls.
// docs/tools.md is the guide.
//
// Code at top level runs once, while the component is built. Every instance starts with a copy of the result. So this
// code must not depend on the time or on a secret, and `Math.random` gives the same numbers in every instance.

import stderr from "wasi:cli/stderr@0.3.0";
import clock from "wasi:clocks/monotonic-clock@0.3.0";

import { measure, TEXT_MAX_CHARS } from "./tool.js";

// The model also reads the descriptions in a schema. Arguments that do not fit it never arrive.
const MEASURE = {
  name: "measure",
  title: "Measure a text",
  // The model decides by the description when to call the tool: say what it does and when to use it.
  description: "Counts the words of a text and says how long reading it takes. Use it instead of counting yourself.",
  inputSchema: JSON.stringify({
    type: "object",
    properties: { text: { type: "string", description: "The text.", maxLength: TEXT_MAX_CHARS } },
    required: ["text"],
    additionalProperties: false,
  }),
  // The schema of `structured` below, for programs; null if there is only text.
  outputSchema: JSON.stringify({
    type: "object",
    properties: { words: { type: "integer" }, minutes: { type: "integer" } },
    required: ["words", "minutes"],
  }),
  // The effects of a call. A tool that is not readOnly asks the person first. Only an idempotent call is repeated when
  // its result was lost. openWorld is for tools that return what others wrote.
  annotations: { readOnly: true, destructive: false, idempotent: true, openWorld: false, alwaysAsks: false },
  // Names of entries in SECRETS. The call brings their values in `context.secrets`.
  secrets: [],
  cacheMs: null,
};

async function measured({ text }) {
  try {
    const { words, minutes } = measure(text);
    return {
      content: [{ tag: "text", val: `${words} words, ${minutes} min` }],
      structured: JSON.stringify({ words, minutes }),
    };
  } catch (error) {
    throw error instanceof RangeError ? { tag: "invalid-arguments", val: error.message } : error;
  }
}

// A tool that takes a while yields its progress, and its result at the end.
const COUNT_DOWN = {
  name: "count_down",
  title: "Count down",
  description: "Counts down to zero. Use it when somebody wants to see a count-down.",
  inputSchema: JSON.stringify({
    type: "object",
    properties: { start: { type: "integer", description: "Where to begin.", minimum: 1, maximum: 20 } },
    required: ["start"],
    additionalProperties: false,
  }),
  outputSchema: null,
  annotations: { readOnly: true, destructive: false, idempotent: true, openWorld: false, alwaysAsks: false },
  secrets: [],
  cacheMs: null,
};
const STEP_NS = 300_000_000;

async function* countDown({ start }) {
  for (let done = 0; done < start; done += 1) {
    yield { progress: done, total: start, message: `${start - done} to go` };
    await clock.waitFor(STEP_NS);
  }
  yield { content: [{ tag: "text", val: "Lift-off." }], structured: null };
}

// The secrets that a person must enter once, such as
// `{ name: "key", title: "API key", description: "From your account there.", visible: false, optional: false }`.
// A tool that names "key" in its `secrets` finds it in its second argument, as `new Map(context.secrets).get("key")`.
// It is undefined until the person has entered it; then `throw { tag: "not-configured", val: "..." }`. In the same way,
// `context.preferences` has the person's language as "locale" and their time zone as "time-zone", where they are known.
const SECRETS = [];

const TOOLS = [
  [MEASURE, measured],
  [COUNT_DOWN, countDown],
];

// The functions of the contract.
export const provider = {
  async describe() {
    // The caller remembers this, so it must be the same for everybody.
    return {
      name: "words",
      title: "Words",
      version: "0.1.0",
      // How to use these tools together, for the model.
      instructions: null,
      tools: TOOLS.map(([tool]) => tool),
      secrets: SECRETS,
      resources: [],
      templates: [],
      prompts: [],
      hasCompletions: false,
    };
  },

  async callTool(call) {
    const [, run] = TOOLS.find(([tool]) => tool.name === call.name) ?? [];
    if (run === undefined) {
      throw { tag: "unknown", val: call.name };
    }
    const notices = steps(call, run);
    if (run instanceof AsyncGeneratorFunction && call.context.wantsProgress) {
      return { tag: "live", val: notices };
    }
    let end;
    for await (end of notices);
    const { tag, val } = end.val;
    if (tag === "err") {
      throw val;
    }
    return { tag: "done", val };
  },

  // The rest is used only by providers with resources, prompts or completions.

  async readResource(uri) {
    throw { tag: "unknown", val: uri };
  },

  async getPrompt(name) {
    throw { tag: "unknown", val: name };
  },

  async complete(request) {
    throw { tag: "unknown", val: request.of };
  },
};

const AsyncGeneratorFunction = (async function* () {}).constructor;

// A function ended without an outcome.
class NoOutcome extends Error {
  name = "NoOutcome";
}

// Yields the progress of a function, and at the end its result or its failure.
async function* steps(call, run) {
  try {
    const result = run(JSON.parse(call.arguments), call.context);
    if (!(run instanceof AsyncGeneratorFunction)) {
      yield ended(await result);
      return;
    }
    for await (const step of result) {
      if (typeof step?.progress !== "number") {
        yield ended(step);
        return;
      }
      yield { tag: "progress", val: step };
    }
    throw new NoOutcome();
  } catch (error) {
    yield { tag: "done", val: { tag: "err", val: failure(call, error) } };
  }
}

function ended(outcome) {
  if (!Array.isArray(outcome?.content)) {
    throw new NoOutcome();
  }
  return { tag: "done", val: { tag: "ok", val: outcome } };
}

// The failures of the contract that have a message. "timed-out" has none.
const WITH_WORDS = ["unknown", "invalid-arguments", "not-configured", "upstream-failed", "invalid-input", "missing-capability"];

function failure(call, error) {
  if (error?.tag === "timed-out" || (WITH_WORDS.includes(error?.tag) && typeof error.val === "string")) {
    return error;
  }
  // Any other error would end the instance, and with it every call that it is answering. The component's log gets the
  // error's type and place, but not its message, which may quote people or a secret. A stack in QuickJS contains no
  // message.
  const [type, place] = error instanceof Error ? [error.name, error.stack] : [typeof error, ""];
  const words = error instanceof NoOutcome ? ': it did not return { content: [{ tag: "text", val: ... }], structured: ... }' : "";
  log(`the tool ${call.name} has a fault: ${type}${words}\n${place}`);
  return { tag: "upstream-failed", val: "the tool has a fault, whose place is in the log of its component" };
}

function log(text) {
  // `encodeURIComponent` throws at half of a surrogate pair.
  const bytes = unescape(encodeURIComponent(text.toWellFormed()));
  stderr.writeViaStream([Uint8Array.from(bytes, (byte) => byte.charCodeAt(0))]);
}
