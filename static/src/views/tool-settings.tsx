/** The list of tools, with the person's choice for each: whether models may call it. */
import { useEffect, useId, useState } from "preact/hooks";
import { readParameters } from "../arguments.ts";
import { loadSecrets } from "../state/secrets.ts";
import { choose, loadTools, patternOf, saving, toolList } from "../state/tools.ts";
import type { Effect, Tool, ToolProblem } from "../types.ts";
import { visible } from "../visible.ts";
import { announce } from "./announce.tsx";
import { LongText } from "./arguments.tsx";
import { Header } from "./header.tsx";
import { Icon } from "./icons.tsx";
import { ToolConnections } from "./tool-connections.tsx";
import { SecretsFault, ToolSecrets } from "./tool-secrets.tsx";

/** A shorter list needs no search. */
const SEARCH_FROM = 10;

const EFFECTS: { effect: Effect; label: string; words: string }[] = [
  { effect: "allow", label: "Allow", words: "used without asking" },
  { effect: "ask", label: "Ask", words: "you are asked each time" },
  { effect: "deny", label: "Deny", words: "never used" },
];
const WORDS = Object.fromEntries(EFFECTS.map(({ effect, words }) => [effect, words])) as Record<Effect, string>;

export function ToolSettings() {
  useEffect(() => {
    void loadTools();
    void loadSecrets();
  }, []);
  return (
    <>
      <Header title="Tools" />
      <div class="min-h-0 flex-1 overflow-y-auto" tabIndex={-1}>
        <div class="mx-auto w-full max-w-[46rem] px-4 pt-4 pb-10 sm:px-6">
          <p class="text-sm leading-6 text-soft">
            What the assistant may do besides writing. Choose for each tool whether it is used without asking, only
            after you have allowed the call, or not at all.
          </p>
          <ToolConnections />
          <List />
        </div>
      </div>
    </>
  );
}

function List() {
  const list = toolList.value;
  const [search, setSearch] = useState("");
  switch (list.at) {
    case "loading":
      return (
        <div class="shimmer mt-6 grid gap-4" role="status" aria-label="Loading the tools">
          {["h-5 w-1/4", "h-24 w-full", "h-24 w-full"].map((shape, index) => (
            <div key={index} class={`rounded-xl bg-hover ${shape}`} />
          ))}
        </div>
      );
    case "failed":
      return (
        <div class="mt-6 grid justify-items-start gap-3" role="alert">
          <p>The tools could not be listed. {list.reason}</p>
          <button type="button" class="main-button" onClick={() => void loadTools()}>
            Try again
          </button>
        </div>
      );
    case "ready": {
      if (list.items.length === 0) {
        return (
          <>
            <Problems problems={list.problems} />
            <p class="mt-6">There are no tools here yet.</p>
          </>
        );
      }
      const found = list.items.filter((tool) => matches(tool, search));
      return (
        <>
          {list.items.length >= SEARCH_FROM && (
            <input
              type="search"
              dir="auto"
              class="field mt-5"
              aria-label="Search tools"
              placeholder="Search"
              value={search}
              onInput={(event) => setSearch(event.currentTarget.value)}
            />
          )}
          <Problems problems={list.problems} />
          <SecretsFault />
          {found.length === 0 && <p class="mt-6">No tool fits “{search.trim()}”.</p>}
          {byServer(found).map(([server, tools]) => (
            <Server key={server} name={server} tools={tools} />
          ))}
        </>
      );
    }
  }
}

/** The faults of servers and tools, so that nobody searches for missing tools. */
function Problems({ problems }: { problems: ToolProblem[] }) {
  const id = useId();
  if (problems.length === 0) return null;
  return (
    <section class="mt-5 rounded-xl border border-line bg-raised px-4 py-3.5 text-sm leading-6" aria-labelledby={id}>
      <h2 id={id} class="font-semibold">
        Not everything is here
      </h2>
      <ul class="mt-1.5 grid gap-2">
        {problems.map(({ server, tool, message, advice }, index) => (
          <li key={index} class="min-w-0 break-words">
            <bdi class="font-medium">{visible(server)}</bdi>
            {tool !== null && (
              <>
                {" "}
                <bdi class="font-mono text-xs">{visible(tool)}</bdi>
              </>
            )}
            : {visible(message)}
            {advice !== null && <span class="block text-soft">{advice}</span>}
          </li>
        ))}
      </ul>
    </section>
  );
}

function Server({ name, tools }: { name: string; tools: Tool[] }) {
  const id = useId();
  return (
    <section class="mt-7" aria-labelledby={id}>
      <h2 id={id} class="flex items-center gap-2.5 font-semibold">
        <bdi class="min-w-0 break-words">{visible(name)}</bdi>
        {tools.some((tool) => tool.remote) && <Badge>Remote server</Badge>}
      </h2>
      <ToolSecrets server={name} />
      <ul class="mt-2.5 divide-y divide-line rounded-xl border border-line bg-raised">
        {tools.map((tool) => (
          <Row key={tool.name} tool={tool} />
        ))}
      </ul>
    </section>
  );
}

function Row({ tool }: { tool: Tool }) {
  const state = saving.value.get(patternOf(tool));
  const waiting = state?.at === "sending";
  const title = visible(tool.title || tool.name);
  const pick = async (effect: Effect | null) => {
    if (waiting || effect === tool.own_policy) return;
    const saved = await choose(tool, effect);
    if (saved) announce(effect === null ? `${title}: back to the default` : `${title}: ${WORDS[effect]}`);
  };
  return (
    <li class="grid grid-cols-1 gap-x-5 gap-y-3 px-4 py-3.5 sm:grid-cols-[minmax(0,1fr)_13rem]">
      <div class="min-w-0">
        <h3 class="flex flex-wrap items-center gap-x-2.5 gap-y-1 text-sm font-medium">
          <bdi class="break-words">{title}</bdi>
          {tool.read_only ? (
            <Badge>Only reads</Badge>
          ) : (
            tool.destructive && <Badge alert>Can overwrite or delete</Badge>
          )}
        </h3>
        {tool.title && <p class="mt-0.5 font-mono text-xs break-words text-soft">{visible(tool.name)}</p>}
        {tool.description && (
          <div class="mt-1.5 text-sm leading-5.5 text-soft">
            <LongText text={visible(tool.description)} />
          </div>
        )}
        <Parameters schema={tool.input_schema} />
      </div>
      <div class="grid content-start gap-1.5">
        <div class="flex rounded-xl border border-line bg-sunken p-0.5" role="group" aria-label={`Use of ${title}`}>
          {EFFECTS.filter(({ effect }) => effect !== "allow" || !tool.always_asks).map(({ effect, label }) => (
            <button
              key={effect}
              type="button"
              class={`h-8 flex-1 rounded-[0.6rem] text-sm pointer-coarse:h-11 transition-colors aria-disabled:opacity-60 ${
                (tool.own_policy ?? tool.policy) === effect
                  ? "bg-brand font-medium text-paper"
                  : "text-soft hover:bg-hover hover:text-ink"
              }`}
              aria-pressed={(tool.own_policy ?? tool.policy) === effect}
              aria-disabled={waiting}
              onClick={() => void pick(effect)}
            >
              {label}
            </button>
          ))}
        </div>
        <div class="flex min-h-6 items-center justify-between gap-2 text-xs text-soft">
          <span class="min-w-0">{waiting ? "Saving…" : standing(tool)}</span>
          {tool.own_policy !== null && !waiting && (
            <button
              type="button"
              class="text-button shrink-0"
              aria-label={`Use the default for ${title}`}
              onClick={(event) => {
                // The button disappears, so the focus moves to its neighbours.
                const group = event.currentTarget.closest("li")?.querySelector<HTMLElement>("[role=group] button");
                group?.focus();
                void pick(null);
              }}
            >
              Use default
            </button>
          )}
        </div>
        {state?.at === "failed" && (
          <p class="text-xs leading-5 text-danger" role="alert">
            Not saved. {state.reason}
          </p>
        )}
      </div>
    </li>
  );
}

/** Who made the choice, and its result if that differs. */
function standing(tool: Tool): string {
  if (tool.always_asks && tool.policy === "ask") return "Asks before every call";
  if (tool.own_policy === null) return `Default: ${WORDS[tool.policy]}`;
  if (tool.own_policy === tool.policy) return "Your choice";
  return `Your choice, but the rules here say: ${WORDS[tool.policy]}`;
}

function Parameters({ schema }: { schema: unknown }) {
  const parameters = readParameters(schema);
  if (parameters.length === 0) return null;
  return (
    <details class="mt-1.5">
      <summary class="inline-flex items-center gap-1.5 rounded text-xs text-soft hover:text-ink">
        What it is given
        <span class="chevron">
          <Icon name="chevron" size={12} />
        </span>
      </summary>
      <dl class="mt-1.5 grid gap-1.5 border-l-2 border-line pl-3 text-xs leading-5">
        {parameters.map(({ name, type, description, required }) => (
          <div key={name}>
            <dt class="break-words">
              <span class="font-mono">{name}</span>
              <span class="text-soft">
                {type && ` ${type}`}
                {!required && ", optional"}
              </span>
            </dt>
            {description && <dd class="break-words text-soft">{description}</dd>}
          </div>
        ))}
      </dl>
    </details>
  );
}

function Badge({ alert = false, children }: { alert?: boolean; children: string }) {
  return (
    <span
      class={`rounded-full px-2 py-0.5 text-xs font-normal ${alert ? "bg-danger-tint text-danger" : "bg-hover text-soft"}`}
    >
      {children}
    </span>
  );
}

function matches(tool: Tool, search: string): boolean {
  const text = `${tool.server} ${tool.name} ${tool.title} ${tool.description}`.toLowerCase();
  return search
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.includes(word));
}

function byServer(tools: Tool[]): [string, Tool[]][] {
  const groups = new Map<string, Tool[]>();
  for (const tool of tools) groups.set(tool.server, [...(groups.get(tool.server) ?? []), tool]);
  return [...groups];
}
