/** What the person used lately, and what is left of the budgets that count for them. */
import { useEffect, useState } from "preact/hooks";
import { account, describe } from "../api.ts";
import { endedBy } from "../state/session.ts";
import type { OwnUsage as Used, Spent } from "../types.ts";
import { amount, money } from "./amounts.ts";

const OF: Record<string, string> = {
  user: "Your budget",
  group: "The budget of a group that you are in",
  installation: "The budget of everybody together",
};

/** What a time has cost, and what of it nobody knows. */
function Period({ name, spent, currency }: { name: string; spent: Spent; currency: string }) {
  const isUnknown = spent.unpriced_tokens > 0 && spent.cost === 0;
  return (
    <div class="flex flex-wrap justify-between gap-x-4">
      <dt>{name}</dt>
      <dd class="text-soft">
        {isUnknown ? "cost unknown" : money(spent.cost, currency)}, {spent.tokens.toLocaleString()} tokens
        {spent.unpriced_tokens > 0 && !isUnknown && `, ${spent.unpriced_tokens.toLocaleString()} of them of models whose price is not known`}
      </dd>
    </div>
  );
}

export function OwnUsage() {
  const [used, setUsed] = useState<Used | null>(null);
  const [fault, setFault] = useState<string | null>(null);
  useEffect(() => {
    account.usage().then(setUsed, (error: unknown) => {
      if (!endedBy(error)) setFault(describe(error));
    });
  }, []);
  return (
    <section aria-labelledby="own-usage">
      <h2 id="own-usage" class="font-semibold">
        Usage
      </h2>
      {fault !== null && (
        <p class="mt-2 text-sm" role="alert">
          What you used could not be asked for. {fault}
        </p>
      )}
      {used !== null && (
        <p class="mt-1 text-sm leading-6 text-soft tabular-nums">
          In the last {used.days} days: {used.runs.toLocaleString()} answers, {used.prompt_tokens.toLocaleString()} tokens read,{" "}
          {used.completion_tokens.toLocaleString()} written, {used.tool_calls.toLocaleString()} tool calls.
          {used.programs.requests > 0 &&
            ` Of these tokens, your programs' ${used.programs.requests.toLocaleString()} requests to models read ${used.programs.prompt_tokens.toLocaleString()} and wrote ${used.programs.completion_tokens.toLocaleString()}.`}
        </p>
      )}
      {used?.today !== undefined && used.this_month !== undefined && (
        <dl class="mt-2 grid gap-1 text-sm tabular-nums">
          <Period name="Today" spent={used.today} currency={used.currency ?? ""} />
          <Period name="This month" spent={used.this_month} currency={used.currency ?? ""} />
        </dl>
      )}
      {used !== null && used.budgets.length > 0 && (
        <ul class="mt-3 divide-y divide-line rounded-xl border border-line bg-raised text-sm">
          {used.budgets.map((budget, index) => (
            <li key={index} class="px-4 py-3">
              <p class="flex flex-wrap justify-between gap-x-4">
                <span>
                  {OF[budget.of] ?? budget.of}, {budget.kind.endsWith("day") ? "today" : "this month"}
                </span>
                <span class="text-soft tabular-nums">
                  {amount(budget.kind, budget.left, used.currency ?? "")} of {amount(budget.kind, budget.amount, used.currency ?? "")}
                  {budget.kind.startsWith("tokens") ? " tokens" : ""} left
                </span>
              </p>
              <progress class="mt-2 h-1.5 w-full accent-brand" max={Math.max(1, budget.amount)} value={budget.amount - budget.left}>
                {amount(budget.kind, budget.amount - budget.left, used.currency ?? "")} used
              </progress>
            </li>
          ))}
        </ul>
      )}
      {used !== null && (
        <p class="mt-2 text-xs text-soft">
          Days and months are those of UTC.{used.budgets.length > 0 && " Of budgets, what is reserved for answers in progress counts as used."}
        </p>
      )}
    </section>
  );
}
