/** Addresses to which is told what happened: one's own, or those of the installation. What may be told, and where, the server says. */
import { useId, useState } from "preact/hooks";
import type { Webhooks as Access } from "../api.ts";
import type { Pages } from "../state/pages.ts";
import type { MadeWebhook, Webhook } from "../types.ts";
import { announce } from "./announce.tsx";
import { Confirm } from "./confirm.tsx";
import { CopyButton } from "./copy.tsx";
import { Fault, PageList, textOf, usePages, useSubmit, When } from "./page-list.tsx";

const EVENTS: Record<string, string> = {
  "run.ended": "An answer has ended",
  "approval.needed": "A tool call waits for a decision",
  "budget.reached": "A budget is used up",
  "audit.recorded": "Something was recorded",
};

/** What the last attempt came to, for people. Others are `http_` and the status. */
const ANSWERS: Record<string, string> = {
  timeout: "did not answer within ten seconds",
  unreachable: "could not be reached",
  address_not_allowed: "is where this installation may send nothing any more",
  not_allowed: "was not told anything, because you may no longer have webhooks",
  key_missing: "was not told anything, because the key of this webhook is missing",
  damaged: "was not told anything, because what is stored of this webhook is damaged",
};

export function Webhooks({ access }: { access: Access }) {
  const [known, setKnown] = useState<{ events: string[]; allowed_host: string | null } | null>(null);
  const [made, setMade] = useState<MadeWebhook | null>(null);
  const pages = usePages(
    async () => {
      const list = await access.list();
      setKnown(list);
      return list;
    },
    ({ id }: Webhook) => id,
  );
  return (
    <>
      {known?.allowed_host === null && (
        <p class="mt-2 text-sm leading-6 text-soft">
          This installation sends no webhooks. Whoever deploys it can say where they may go, with the variable <code>webhook_host</code>.
        </p>
      )}
      {known !== null && known.allowed_host !== null && (
        <NewWebhook
          access={access}
          events={known.events}
          allowed={known.allowed_host}
          added={async (webhook) => {
            setMade(webhook);
            await pages.load();
          }}
        />
      )}
      {made !== null && <NewSecret made={made} />}
      <PageList
        pages={pages}
        none="There are no webhooks."
        row={(webhook) => (
          <Row
            key={webhook.id}
            webhook={webhook}
            access={access}
            pages={pages}
            removed={() => setMade((shown) => (shown?.id === webhook.id ? null : shown))}
          />
        )}
      />
    </>
  );
}

function NewWebhook({
  access,
  events,
  allowed,
  added,
}: {
  access: Access;
  events: string[];
  allowed: string;
  added: (webhook: MadeWebhook) => Promise<void>;
}) {
  const { fault, waiting, submit } = useSubmit(async (data) => {
    await added(await access.add(textOf(data, "url"), events.filter((event) => data.has(event))));
  });
  const hint = useId();
  return (
    <form class="mt-3 grid gap-2" onSubmit={submit}>
      <div class="flex flex-wrap gap-2">
        <input
          name="url"
          type="url"
          required
          maxLength={2000}
          class="field min-w-0 flex-[1_1_14rem]"
          aria-label="Address"
          aria-describedby={hint}
          placeholder="https://example.org/hooks"
          autocomplete="off"
        />
        <button type="submit" class="main-button" disabled={waiting}>
          Add
        </button>
      </div>
      <p id={hint} class="text-xs text-soft">
        {allowed === "https://*:443" ? "Any address on the Internet over https." : `Addresses at ${allowed}.`}
      </p>
      <fieldset class="flex flex-wrap gap-x-5 gap-y-1 text-sm">
        <legend class="sr-only">What it is told</legend>
        {events.map((event) => (
          <label key={event} class="flex min-h-8 items-center gap-2 pointer-coarse:min-h-11">
            <input type="checkbox" name={event} defaultChecked={events.length <= 2} />
            {EVENTS[event] ?? event}
          </label>
        ))}
      </fieldset>
      <Fault text={fault} />
    </form>
  );
}

function NewSecret({ made }: { made: MadeWebhook }) {
  return (
    <div class="notice mt-3 grid gap-2 text-sm" role="status">
      <p>This is the secret with which the receiver checks what it is sent. Copy it now: it is not shown again.</p>
      <p class="flex min-w-0 items-center gap-2">
        <code class="min-w-0 flex-1 text-xs break-all select-all">{made.secret}</code>
        <CopyButton text={made.secret} label="Copy the secret" />
      </p>
    </div>
  );
}

/** Long enough for a receiver that is there. */
const TEST_MS = 1_500;

function Row({
  webhook,
  access,
  pages,
  removed,
}: {
  webhook: Webhook;
  access: Access;
  pages: Pages<Webhook>;
  removed: () => void;
}) {
  const [asking, setAsking] = useState(false);
  const remove = async () => {
    const gone = await pages.change(webhook, async () => {
      await access.remove(webhook.id);
      return null;
    });
    if (!gone) return;
    removed();
    announce("Webhook removed");
  };
  const test = async () => {
    const sent = await pages.change(webhook, async () => {
      await access.test(webhook.id);
      await new Promise((done) => setTimeout(done, TEST_MS));
      const { items } = await access.list();
      return items.find(({ id }) => id === webhook.id) ?? null;
    });
    if (sent) announce("Test sent");
  };
  return (
    <li class="flex flex-wrap items-center gap-x-4 gap-y-1 px-4 py-3 text-sm">
      <div class="min-w-[12rem] flex-1">
        <bdi class="font-medium break-all">{webhook.server}</bdi>
        <p class="text-xs leading-5 text-soft">{webhook.events.map((event) => EVENTS[event] ?? event).join(" · ")}</p>
        <p class={`text-xs leading-5 ${webhook.failures > 0 || webhook.stopped_at !== null ? "text-danger" : "text-soft"}`}>
          <Standing webhook={webhook} />
        </p>
        {(webhook.waiting > 0 || webhook.lost > 0) && (
          <p class="text-xs leading-5 text-soft">
            {webhook.waiting > 0 && `${webhook.waiting.toLocaleString()} waiting`}
            {webhook.waiting > 0 && webhook.lost > 0 && ", "}
            {webhook.lost > 0 && `at least ${webhook.lost.toLocaleString()} given up`}
          </p>
        )}
      </div>
      <button type="button" class="ghost-button" aria-label={`Send a test to ${webhook.server}`} onClick={() => void test()}>
        Send a test
      </button>
      <button type="button" class="ghost-button" aria-label={`Remove ${webhook.server}`} onClick={() => setAsking(true)}>
        Remove
      </button>
      {asking && (
        <Confirm title="Remove this webhook?" button="Remove" confirmed={() => void remove()} onClose={() => setAsking(false)}>
          Nothing more is sent to {webhook.server}, and what waits for it is lost.
        </Confirm>
      )}
    </li>
  );
}

/** What is known about the receiver. */
function Standing({ webhook: { attempted_at, answer, stopped_at } }: { webhook: Webhook }) {
  if (attempted_at === null) return <>Nothing was sent yet</>;
  if (stopped_at !== null) {
    return (
      <>
        It said that it is gone (410), <When at={stopped_at} />. Nothing is sent until you send a test
      </>
    );
  }
  const said = answer?.startsWith("http_") ? `answered ${answer.slice("http_".length)}` : (ANSWERS[answer ?? ""] ?? answer);
  return (
    <>
      It {said}, <When at={attempted_at} />
    </>
  );
}
