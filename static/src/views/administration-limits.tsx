/** Limits and budgets, for administrators. What counts is in docs/limits.md; the server decides what a subject can have. */
import { useEffect, useId, useState } from "preact/hooks";
import { admin } from "../api.ts";
import type { Pages } from "../state/pages.ts";
import type { Group, LimitKind, LimitList, LimitSubject } from "../types.ts";
import { announce } from "./announce.tsx";
import { amount } from "./amounts.ts";
import { Fault, PageList, textOf, usePages, useRoles, useSubmit } from "./page-list.tsx";

const RATES: readonly LimitKind[] = [
  "person_requests_per_minute",
  "session_requests_per_minute",
  "tool_calls_per_minute",
  "tool_changes_per_minute",
];
const BUDGETS: readonly LimitKind[] = ["tokens_per_day", "tokens_per_month", "cost_per_day", "cost_per_month"];

const LABELS: Record<LimitKind, string> = {
  person_requests_per_minute: "Messages a minute, of a person",
  session_requests_per_minute: "Messages a minute, in a session",
  tool_calls_per_minute: "Tool calls a minute",
  tool_changes_per_minute: "Calls a minute of a tool that changes something",
  tokens_per_day: "Tokens a day",
  tokens_per_month: "Tokens a month",
  cost_per_day: "Money a day",
  cost_per_month: "Money a month",
};

function kindsOf(subject: string): readonly LimitKind[] {
  if (subject.startsWith("role:")) return RATES;
  return subject.startsWith("key:") ? ["session_requests_per_minute", ...BUDGETS] : BUDGETS;
}

function titleOf({ subject, name }: LimitSubject): string {
  const [kind = ""] = subject.split(":");
  if (kind === "installation") return "Everybody together";
  const named = { role: "Role", user: "Person", group: "Group", key: "API key" }[kind] ?? kind;
  return `${named} ${name ?? "that is gone"}`;
}

/** A number in the field's unit: money is counted in millionths. */
const isMoney = (kind: LimitKind) => kind.startsWith("cost");
const shown = (kind: LimitKind, value: number) => (isMoney(kind) ? value / 1_000_000 : value);

export function Limits() {
  const [list, setList] = useState<Omit<LimitList, "items"> | null>(null);
  const pages = usePages(
    async () => {
      const found = await admin.limits();
      setList(found);
      return found;
    },
    ({ subject }: LimitSubject) => subject,
  );
  return (
    <>
      <p class="text-sm leading-6 text-soft">
        Rates count messages and tool calls in a minute; 0 is no limit, and of several roles the most generous counts. Budgets count
        tokens or money in a day or a month, in UTC.
        {list !== null && <Defaults defaults={list.defaults} />}
      </p>
      {list?.warning !== undefined && (
        <p class="notice mt-3 text-sm" role="alert">
          {list.warning}
        </p>
      )}
      <NewSubject pages={pages} />
      <PageList
        pages={pages}
        none="Nothing is set."
        row={(item) => <SubjectRow key={item.subject} item={item} currency={list?.currency ?? ""} pages={pages} />}
      />
    </>
  );
}

function Defaults({ defaults }: { defaults: Record<string, string> }) {
  const known = RATES.filter((kind) => defaults[kind] !== undefined);
  if (known.length === 0) return null;
  return <> Where nothing is set: {known.map((kind) => `${LABELS[kind]} ${defaults[kind]}`).join(", ")}.</>;
}

function NewSubject({ pages }: { pages: Pages<LimitSubject> }) {
  const roles = useRoles();
  const [groups, setGroups] = useState<Group[]>([]);
  const [kind, setKind] = useState("installation");
  useEffect(() => {
    // Whoever may not see groups chooses among the others.
    admin.groups().then(
      ({ items }) => setGroups(items),
      () => undefined,
    );
  }, []);
  const { fault, waiting, submit } = useSubmit(async (data) => {
    const subject = await subjectOf(kind, textOf(data, "which"), groups);
    const state = pages.state.peek();
    if (state.at === "ready" && state.items.some((item) => item.subject === subject.subject)) {
      throw new Error("This is in the list already.");
    }
    pages.add(subject);
  });
  return (
    <>
      <form class="mt-3 flex flex-wrap gap-2" onSubmit={submit}>
        <select
          class="field w-auto"
          aria-label="Limits for"
          value={kind}
          onChange={(event) => setKind(event.currentTarget.value)}
        >
          <option value="installation">Everybody together</option>
          <option value="role">A role</option>
          <option value="group">A group</option>
          <option value="user">A person</option>
          <option value="key">An API key</option>
        </select>
        {kind === "role" && <Choice label="Role" options={roles.map(({ name }) => [name, name])} />}
        {kind === "group" && <Choice label="Group" options={groups.map(({ id, name }) => [id, name])} />}
        {kind === "user" && (
          <input name="which" type="email" class="field min-w-0 flex-1" aria-label="Address" placeholder="Address" required />
        )}
        {kind === "key" && (
          <input name="which" class="field min-w-0 flex-1" aria-label="Id of the key" placeholder="Id of the key" required />
        )}
        {/* What is added before the list is there would be lost with it. */}
        <button type="submit" class="main-button shrink-0" disabled={waiting || pages.state.value.at !== "ready"}>
          Add
        </button>
      </form>
      <Fault text={fault} />
    </>
  );
}

function Choice({ label, options }: { label: string; options: [string, string][] }) {
  return (
    <select name="which" class="field w-auto min-w-0 flex-1" aria-label={label} required>
      {options.map(([value, text]) => (
        <option key={value} value={value}>
          {text}
        </option>
      ))}
    </select>
  );
}

async function subjectOf(kind: string, which: string, groups: Group[]): Promise<LimitSubject> {
  const of = (subject: string, name: string | null) => ({ subject, name, limits: {} });
  switch (kind) {
    case "role":
      return of(`role:${which}`, which);
    case "group":
      return of(`group:${which}`, groups.find(({ id }) => id === which)?.name ?? null);
    case "user": {
      const email = which.toLowerCase();
      const found = (await admin.users(email, null)).items.find((account) => account.email === email);
      if (found === undefined) throw new Error("Nobody here has this address.");
      return of(`user:${found.id}`, email);
    }
    case "key":
      return of(`key:${which.trim()}`, which.trim());
    default:
      return of("installation", null);
  }
}

function SubjectRow({
  item,
  currency,
  pages,
}: {
  item: LimitSubject;
  currency: string;
  pages: Pages<LimitSubject>;
}) {
  const id = useId();
  const save = async (limits: Partial<Record<LimitKind, number>>) => {
    const saved = await admin.setLimits(item.subject, limits);
    await pages.change(item, async () => (Object.keys(saved.limits).length === 0 ? null : saved));
  };
  const { fault, waiting, submit } = useSubmit(async (data) => {
    const limits: Partial<Record<LimitKind, number>> = {};
    for (const kind of kindsOf(item.subject)) {
      const text = textOf(data, kind);
      if (text !== "") limits[kind] = Math.round(Number(text) * (isMoney(kind) ? 1_000_000 : 1));
    }
    if (Object.keys(limits).length === 0) throw new Error("Enter a number, or remove all limits.");
    await save(limits);
    announce("Limits saved");
  });
  const remove = useSubmit(async () => save({}));
  return (
    <li class="px-4 py-3.5 text-sm">
      <form aria-labelledby={id} onSubmit={submit}>
        <div class="flex flex-wrap items-center gap-2">
          <bdi id={id} class="min-w-0 flex-1 font-medium break-words">
            {titleOf(item)}
          </bdi>
          <button type="submit" class="plain-button" disabled={waiting || remove.waiting}>
            Save
          </button>
          <button
            type="submit"
            form={`${id}-remove`}
            class="ghost-button"
            aria-label={`Remove all limits: ${titleOf(item)}`}
            disabled={waiting || remove.waiting}
          >
            Remove
          </button>
        </div>
        <div class="mt-2 grid gap-x-4 gap-y-2 sm:grid-cols-2">
          {kindsOf(item.subject).map((kind) => {
            const limit = item.limits[kind];
            return (
              <label key={kind} class="grid gap-0.5 text-xs text-soft">
                <span>
                  {LABELS[kind]}
                  {isMoney(kind) && currency !== "" ? `, ${currency}` : ""}
                </span>
                <input
                  name={kind}
                  type="number"
                  min="0"
                  step={isMoney(kind) ? "0.01" : "1"}
                  class="field text-sm"
                  placeholder="None"
                  defaultValue={limit === undefined ? "" : `${shown(kind, limit.amount)}`}
                />
                {limit?.taken !== undefined && (
                  <span class="tabular-nums">
                    {amount(kind, limit.taken, currency)} taken,{" "}
                    {amount(kind, Math.max(0, limit.amount - limit.taken), currency)} left
                  </span>
                )}
              </label>
            );
          })}
        </div>
      </form>
      <form id={`${id}-remove`} onSubmit={remove.submit} />
      <Fault text={fault ?? remove.fault} />
    </li>
  );
}
