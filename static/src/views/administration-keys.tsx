/** The installation's keys, for administrators: how old they are, and their rotation. Nobody sees a private half. */
import { useState } from "preact/hooks";
import { admin, describe } from "../api.ts";
import { endedBy } from "../state/session.ts";
import type { Pages } from "../state/pages.ts";
import type { Key } from "../types.ts";
import { announce } from "./announce.tsx";
import { Fault, PageList, usePages, When } from "./page-list.tsx";

/** `revokes` is null where there is nothing to revoke. */
type Purpose = { purpose: string; title: string; words: string; revokes: string | null };

const PURPOSES: Purpose[] = [
  {
    purpose: "tokens",
    title: "Tokens of people and programs",
    words:
      "Rotating logs nobody out: the new key signs after a minute, and the one before counts for an hour more. Rotate when all hosts run this release.",
    revokes:
      "Revoking is for a key that somebody else may have. It logs everybody out at once, you too, and programs have to sign in again. API keys and passwords stay.",
  },
  {
    purpose: "inside",
    title: "Calls between components",
    words: "Rotating interrupts nothing: each component makes itself a new key.",
    revokes: "Revoking ends the present keys at once. Tool calls of this moment may fail.",
  },
  {
    purpose: "master",
    title: "Encryption of what people say",
    words:
      "Rotating interrupts nothing: the keys of people are encrypted with the new one in the background. One in the configuration is rotated there.",
    revokes: null,
  },
];

export function Keys() {
  const [openedAt] = useState(() => new Date());
  const pages = usePages(
    () => admin.keys(),
    ({ id }: Key) => id,
  );
  return (
    <>
      {PURPOSES.map((purpose) => (
        <Rotation key={purpose.purpose} purpose={purpose} pages={pages} />
      ))}
      <PageList pages={pages} none="There are no keys yet." row={(key) => <Row key={key.id} item={key} now={openedAt} />} />
    </>
  );
}

function Rotation({ purpose: { purpose, title, words, revokes }, pages }: { purpose: Purpose; pages: Pages<Key> }) {
  const [asks, setAsks] = useState(false);
  const [waiting, setWaiting] = useState(false);
  const [fault, setFault] = useState<string | null>(null);
  const rotate = async (revoke: boolean) => {
    setWaiting(true);
    setFault(null);
    try {
      const { rotated } = await admin.rotateKeys(purpose, revoke);
      if (rotated) announce(revoke ? "The keys are revoked." : "The keys are rotated.");
      else setFault("Nothing was changed: they were rotated a moment ago, or within the last hour, or there is none yet.");
      setAsks(false);
      await pages.load();
    } catch (error) {
      if (!endedBy(error)) setFault(describe(error));
    }
    setWaiting(false);
  };
  return (
    <section class="mb-5" aria-label={title}>
      <h3 class="font-medium">{title}</h3>
      <p class="mt-1 text-sm leading-6 text-soft">{words}</p>
      {asks ? (
        <div class="notice mt-3 grid gap-3 text-sm" role="alert">
          <p>{revokes}</p>
          <p class="flex flex-wrap gap-2">
            <button type="button" class="danger-button" disabled={waiting} onClick={() => void rotate(true)}>
              Revoke now
            </button>
            <button type="button" class="plain-button" disabled={waiting} onClick={() => setAsks(false)}>
              Cancel
            </button>
          </p>
        </div>
      ) : (
        <p class="mt-2 flex flex-wrap gap-2">
          <button
            type="button"
            class="plain-button"
            aria-label={`Rotate: ${title}`}
            disabled={waiting}
            onClick={() => void rotate(false)}
          >
            {waiting ? "Rotating…" : "Rotate"}
          </button>
          {revokes !== null && (
            <button type="button" class="ghost-button" aria-label={`Revoke: ${title}`} onClick={() => setAsks(true)}>
              Revoke…
            </button>
          )}
        </p>
      )}
      <Fault text={fault} />
    </section>
  );
}

const STATES: Record<Key["state"], string> = {
  current: "signs",
  verifies: "still counts",
  retired: "retired",
};

/** A master key signs nothing. */
const MASTER_STATES: Record<Key["state"], string> = { current: "encrypts", verifies: "still decrypts", retired: "retired" };

function Row({ item, now }: { item: Key; now: Date }) {
  const title = PURPOSES.find(({ purpose }) => purpose === item.purpose)?.title ?? item.purpose;
  const states = item.purpose === "master" ? MASTER_STATES : STATES;
  const isOverdue = item.due_at !== null && new Date(item.due_at) < now;
  return (
    <li class="flex flex-wrap items-baseline gap-x-4 gap-y-0.5 px-4 py-3 text-sm">
      <span class="min-w-[12rem] flex-1">
        {title}
        <span class="block font-mono text-xs leading-5 break-all text-soft">{item.id}</span>
      </span>
      <span class="text-xs leading-5 text-soft">
        <span class={item.state === "current" ? "font-medium text-ink" : ""}>{states[item.state]}</span>
        {item.is_configured && ", in the configuration"}
        {item.created_at !== null && (
          <>
            , made <When at={item.created_at} />
          </>
        )}
        {item.due_at !== null && (
          <span class={isOverdue ? "text-danger" : ""}>
            , {isOverdue ? "due since " : "due "}
            <When at={item.due_at} />
          </span>
        )}
        {item.state === "verifies" && item.verifies_until !== null && (
          <>
            , until <When at={item.verifies_until} />
          </>
        )}
      </span>
    </li>
  );
}
