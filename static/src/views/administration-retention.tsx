/** How long conversations are kept, for administrators. What counts is decided on the server (docs/privacy.md). */
import { useState } from "preact/hooks";
import { admin } from "../api.ts";
import type { Pages } from "../state/pages.ts";
import type { RetentionRule } from "../types.ts";
import { announce } from "./announce.tsx";
import { Confirm } from "./confirm.tsx";
import { Fault, PageList, textOf, usePages, useRoles, useSubmit, When } from "./page-list.tsx";

/** The rule for everybody. */
const INSTALLATION = "installation";

export function Retention() {
  const pages = usePages(
    () => admin.retention(),
    ({ subject }: RetentionRule) => subject,
  );
  return (
    <>
      <p class="text-sm leading-6 text-soft">
        Conversations are kept for ever unless a rule says otherwise. They are deleted when they were not used for so many
        days. A rule of a role counts instead of the one for everybody; of several roles, the shortest counts. People can
        have single conversations go earlier. Whatever begins to delete more, such as a shorter rule or a rule that is gone, deletes nothing for a day.
      </p>
      <NewRule pages={pages} />
      <PageList
        pages={pages}
        none="There is no rule: conversations are kept for ever."
        row={(rule) => <Rule key={rule.subject} rule={rule} pages={pages} />}
      />
    </>
  );
}

const nameOf = (subject: string) => (subject === INSTALLATION ? "Everybody" : `Role ${subject.replace(/^role:/, "")}`);

function NewRule({ pages }: { pages: Pages<RetentionRule> }) {
  const roles = useRoles();
  const [keeps, setKeeps] = useState(false);
  const { fault, waiting, submit } = useSubmit(async (data) => {
    await admin.setRetention(textOf(data, "subject"), keeps ? 0 : Number(textOf(data, "days")));
    await pages.load();
    announce("Rule saved");
  });
  return (
    <>
      <form class="mt-3 flex flex-wrap gap-2" onSubmit={submit}>
        <select name="subject" class="field w-auto" aria-label="Conversations of">
          <option value={INSTALLATION}>Everybody</option>
          {roles.map(({ name }) => (
            <option key={name} value={`role:${name}`}>
              Role {name}
            </option>
          ))}
        </select>
        <select
          class="field w-auto"
          aria-label="What happens with them"
          value={keeps ? "keep" : "delete"}
          onChange={(event) => setKeeps(event.currentTarget.value === "keep")}
        >
          <option value="delete">are deleted after</option>
          <option value="keep">are kept</option>
        </select>
        {!keeps && (
          <input
            name="days"
            type="number"
            min="1"
            max="3650"
            step="1"
            class="field w-28"
            aria-label="Days without use"
            placeholder="Days"
            required
          />
        )}
        <button type="submit" class="main-button shrink-0" disabled={waiting}>
          Save
        </button>
      </form>
      <Fault text={fault} />
    </>
  );
}

function Rule({ rule, pages }: { rule: RetentionRule; pages: Pages<RetentionRule> }) {
  const [asking, setAsking] = useState(false);
  const remove = async () => {
    const removed = await pages.change(rule, async () => {
      await admin.setRetention(rule.subject, null);
      return null;
    });
    if (removed) announce("Rule removed");
  };
  return (
    <li class="flex flex-wrap items-center gap-x-4 gap-y-1 px-4 py-3 text-sm">
      <div class="min-w-[12rem] flex-1">
        <bdi class="font-medium break-words">{nameOf(rule.subject)}</bdi>
        <p class="text-xs leading-5 text-soft">
          {rule.days === 0
            ? "Conversations are kept"
            : `Conversations are deleted after ${rule.days === 1 ? "one day" : `${rule.days} days`} without use`}
          {rule.days > 0 && (
            <>
              . It counts from <When at={rule.counts_at} />
            </>
          )}
        </p>
      </div>
      <button
        type="button"
        class="ghost-button"
        aria-label={`Remove the rule: ${nameOf(rule.subject)}`}
        onClick={() => setAsking(true)}
      >
        Remove
      </button>
      {asking && (
        <Confirm
          title="Remove this rule?"
          button="Remove"
          confirmed={() => void remove()}
          onClose={() => setAsking(false)}
        >
          {rule.subject === INSTALLATION
            ? "Conversations of whoever has no role with a rule are kept for ever then."
            : "Whoever has this role comes under the other rules then, from a day later on."}
        </Confirm>
      )}
    </li>
  );
}
