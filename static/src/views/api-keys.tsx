/** Keys of programs: a list, a form that makes one, and the new key, which is shown once. */
import { useState } from "preact/hooks";
import type { Keys } from "../api.ts";
import type { ApiKey, MadeApiKey } from "../types.ts";
import { CopyButton } from "./copy.tsx";
import { Fault, PageList, textOf, usePages, useSubmit, When } from "./page-list.tsx";
import { scopeInWords } from "./scopes.ts";

const DAY_MS = 86_400_000;
/** How long a key is valid, in days; 0: until it is revoked. */
const DAYS = [30, 90, 365, 0];

/** What a key may do, as people choose it. `null`: the usual. */
const CHOICES: { label: string; scopes: string[] | null }[] = [
  { label: "What a program usually needs", scopes: null },
  { label: "Only call tools (MCP)", scopes: ["gateway:use", "tools:call:*"] },
  { label: "Only ask models (OpenAI's API)", scopes: ["models:call", "models:use:*"] },
  {
    label: "Only ask models and assistants (OpenAI's API)",
    scopes: ["models:call", "models:use:*", "conversations:write", "tools:call:*"],
  },
  { label: "Only read conversations", scopes: ["conversations:read"] },
];
const OWN_CHOICE = "own";

/** `usual`: the words for keys for which no scopes are chosen. */
export function ApiKeys({ keys, usual = CHOICES[0]?.label ?? "" }: { keys: Keys; usual?: string }) {
  const pages = usePages(keys.list, ({ id }: ApiKey) => id);
  const [made, setMade] = useState<MadeApiKey | null>(null);
  const [choice, setChoice] = useState("0");
  const { fault, waiting, submit } = useSubmit(async (data) => {
    const days = Number(textOf(data, "days"));
    const scopes =
      choice === OWN_CHOICE ? textOf(data, "scopes").split(/\s+/).filter(Boolean) : (CHOICES[Number(choice)]?.scopes ?? null);
    const key = await keys.make({
      name: textOf(data, "name"),
      ...(scopes === null ? {} : { scopes }),
      ...(days === 0 ? {} : { expires_at: new Date(Date.now() + days * DAY_MS).toISOString() }),
    });
    pages.add(key);
    setMade(key);
  });
  return (
    <>
      <form class="mt-3 flex flex-wrap items-center gap-2" onSubmit={submit}>
        <input
          name="name"
          required
          maxLength={100}
          dir="auto"
          class="field h-9 w-auto min-w-[10rem] flex-1 py-0 text-sm"
          aria-label="Name of the key"
          placeholder="What it is for"
        />
        <select
          class="field h-9 w-auto max-w-full py-0 text-sm"
          aria-label="What the key may do"
          value={choice}
          onChange={(event) => setChoice(event.currentTarget.value)}
        >
          {CHOICES.map(({ label }, index) => (
            <option key={label} value={`${index}`}>
              {index === 0 ? usual : label}
            </option>
          ))}
          <option value={OWN_CHOICE}>Choose scopes…</option>
        </select>
        <select name="days" class="field h-9 w-auto py-0 text-sm" aria-label="How long the key is valid">
          {DAYS.map((days) => (
            <option key={days} value={days} selected={days === 90}>
              {days === 0 ? "Until revoked" : days === 365 ? "1 year" : `${days} days`}
            </option>
          ))}
        </select>
        {choice === OWN_CHOICE && (
          <input
            name="scopes"
            required
            class="field h-9 basis-full py-0 font-mono text-xs"
            aria-label="Scopes, separated by spaces"
            placeholder="gateway:use tools:call:clock:*"
          />
        )}
        <button type="submit" class="main-button" disabled={waiting}>
          Make a key
        </button>
      </form>
      <Fault text={fault} />
      {made !== null && <NewKey made={made} />}
      <PageList
        pages={pages}
        none="There are no keys."
        row={(key) => (
          <li key={key.id} class="flex flex-wrap items-center gap-x-4 gap-y-1 px-4 py-3 text-sm">
            <span class="min-w-[12rem] flex-1">
              <bdi class="font-medium break-words">{key.name}</bdi>{" "}
              <code class="text-xs text-soft">{key.prefix}…</code>
              <span class="block text-xs leading-5 break-words text-soft">{key.scopes.map(scopeInWords).join(" · ")}</span>
              <span class="block text-xs leading-5 text-soft">
                made <When at={key.created_at} />, {standing(key)},{" "}
                {key.last_used_at === null ? (
                  "never used"
                ) : (
                  <>
                    last used <When at={key.last_used_at} />
                  </>
                )}
              </span>
            </span>
            <button
              type="button"
              class="ghost-button"
              aria-label={`Revoke ${key.name}`}
              onClick={() =>
                void pages.change(key, async () => {
                  await keys.revoke(key.id);
                  if (made?.id === key.id) setMade(null);
                  return null;
                })
              }
            >
              Revoke
            </button>
          </li>
        )}
      />
    </>
  );
}

function standing({ expires_at }: ApiKey) {
  if (expires_at === null) return "valid until revoked";
  return (
    <>
      {Date.parse(expires_at) > Date.now() ? "valid until" : "expired"} <When at={expires_at} />
    </>
  );
}

function NewKey({ made }: { made: MadeApiKey }) {
  return (
    <div class="notice mt-3 grid gap-2 text-sm" role="status">
      <p>This is the key. Copy it now: it is not shown again.</p>
      <p class="flex min-w-0 items-center gap-2">
        <code class="min-w-0 flex-1 text-xs break-all select-all">{made.key}</code>
        <CopyButton text={made.key} label="Copy the key" />
      </p>
    </div>
  );
}
