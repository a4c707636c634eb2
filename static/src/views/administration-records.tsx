/** Usage, the record of who did what, and settings, for administrators: read only. */
import { useEffect, useState } from "preact/hooks";
import { admin } from "../api.ts";
import type { AuditChain, AuditRecord, Setting, Usage as PersonUsage } from "../types.ts";
import { money } from "./amounts.ts";
import { PageList, usePages, When } from "./page-list.tsx";

/** Periods to choose from, in days. */
const DAYS = [1, 7, 30, 365];

export function Usage() {
  const [days, setDays] = useState(30);
  const [currency, setCurrency] = useState("");
  const pages = usePages(
    async (cursor) => {
      const page = await admin.usage(days, cursor);
      setCurrency(page.currency);
      return page;
    },
    ({ user_id }: PersonUsage) => user_id,
    days,
  );
  return (
    <>
      <select
        class="field h-9 w-auto py-0 text-sm"
        aria-label="Period"
        value={days}
        onChange={(event) => setDays(Number(event.currentTarget.value))}
      >
        {DAYS.map((number) => (
          <option key={number} value={number}>
            {number === 1 ? "The last day" : `The last ${number} days`}
          </option>
        ))}
      </select>
      <PageList
        pages={pages}
        none="There is nobody."
        row={(usage) => (
          <li key={usage.user_id} class="flex flex-wrap items-baseline gap-x-4 gap-y-0.5 px-4 py-3 text-sm">
            <bdi class="min-w-[12rem] flex-1 break-all">{usage.email}</bdi>
            <span class="text-xs text-soft tabular-nums">
              {usage.runs.toLocaleString()} answers ·{" "}
              {usage.model_requests > 0 && `${usage.model_requests.toLocaleString()} requests of programs · `}
              {usage.prompt_tokens.toLocaleString()} tokens read ·{" "}
              {usage.completion_tokens.toLocaleString()} written · {usage.tool_calls.toLocaleString()} tool calls
              {currency !== "" && ` · ${money(usage.cost, currency)}`}
              {currency !== "" &&
                usage.unpriced_tokens > 0 &&
                ` and ${usage.unpriced_tokens.toLocaleString()} tokens of models without a price`}
            </span>
          </li>
        )}
      />
    </>
  );
}

export function Audit() {
  const pages = usePages(
    (cursor) => admin.audit(cursor),
    ({ id }: AuditRecord) => id,
  );
  const [chain, setChain] = useState<AuditChain | null>(null);
  useEffect(() => {
    // The list says what is wrong, if anything is.
    void admin.auditChain().then(setChain, () => undefined);
  }, []);
  return (
    <>
      {chain !== null && <Sealed chain={chain} />}
      <PageList
        pages={pages}
        none="Nothing is recorded yet."
        row={(record) => (
          <li key={record.id} class="px-4 py-2.5 text-sm">
            <p class="flex flex-wrap gap-x-3">
              <span class="font-medium">{record.action}</span>
              <span class="text-soft">{record.outcome}</span>
              <span class="text-soft">
                <When at={record.at} />
              </span>
            </p>
            <p class="font-mono text-xs leading-5 break-all text-soft">
              {record.subject}
              {record.detail !== null && ` · ${record.detail}`} · by {record.user_id}
            </p>
          </li>
        )}
      />
    </>
  );
}

/** How far the record is signed, with the head to note for a later check. */
function Sealed({ chain }: { chain: AuditChain }) {
  return (
    <p class="text-sm leading-6 text-soft">
      {chain.sealed_at === null || chain.hash === null ? (
        "Nothing is sealed yet."
      ) : (
        <>
          Sealed up to position {chain.sealed_up_to.toLocaleString()}, <When at={chain.sealed_at} />.{" "}
          {chain.waiting > 0 && `${chain.waiting.toLocaleString()} events wait for the next seal. `}
          Note this head elsewhere, and <code class="text-xs">cargo dev audit verify --head</code> finds out later whether
          the record was cut off or replaced:{" "}
          <span class="font-mono text-xs break-all">
            {chain.sealed_up_to}:{chain.hash}
          </span>
        </>
      )}
    </p>
  );
}

export function Settings() {
  const pages = usePages(
    () => admin.settings(),
    ({ name }: Setting) => name,
  );
  return (
    <>
      <p class="text-sm leading-6 text-soft">
        How this installation is configured. Settings are changed where it is deployed. Secrets are not shown.
      </p>
      <PageList
        pages={pages}
        none="There are no settings."
        row={({ name, value }) => (
          <li key={name} class="grid gap-x-4 px-4 py-2.5 text-sm sm:grid-cols-[14rem_minmax(0,1fr)]">
            <span class="font-mono text-xs leading-6">{name}</span>
            <span class="break-words">{value === "" ? <span class="text-soft">empty</span> : value}</span>
          </li>
        )}
      />
    </>
  );
}
