/** The programs that act for the person: those that they let in, and their API keys. */
import { ownKeys, programs } from "../api.ts";
import type { Grant } from "../types.ts";
import { visible } from "../visible.ts";
import { ApiKeys } from "./api-keys.tsx";
import { CopyButton } from "./copy.tsx";
import { Header } from "./header.tsx";
import { PageList, usePages, When } from "./page-list.tsx";
import { scopeInWords } from "./scopes.ts";

export function Programs() {
  const address = `${location.origin}/mcp`;
  return (
    <>
      <Header title="Programs and keys" />
      <div class="min-h-0 flex-1 overflow-y-auto" tabIndex={-1}>
        <div class="mx-auto w-full max-w-[46rem] px-4 pt-4 pb-10 sm:px-6">
          <section aria-labelledby="connected">
            <h2 id="connected" class="font-semibold">
              Connected programs
            </h2>
            <p class="mt-1.5 text-sm leading-6 text-soft">
              Your tools can be used by other assistants, editors and programs that speak MCP. Give the program this address; it
              brings you back here to let it in.
            </p>
            <p class="mt-2 flex min-w-0 items-center gap-2 rounded-xl border border-line bg-raised px-3.5 py-1.5">
              <code class="min-w-0 flex-1 text-xs break-all select-all">{address}</code>
              <CopyButton text={address} label="Copy the address" />
            </p>
            <Grants />
          </section>
          <section class="mt-9" aria-labelledby="keys">
            <h2 id="keys" class="font-semibold">
              API keys
            </h2>
            <p class="mt-1.5 text-sm leading-6 text-soft">
              For scripts and programs that cannot sign in. A key acts for you, so keep it like a password. What programs can ask for is{" "}
              <a class="underline" href="/docs">
                described here
              </a>
              .
            </p>
            <ApiKeys keys={ownKeys} />
          </section>
        </div>
      </div>
    </>
  );
}

function Grants() {
  const pages = usePages(programs.list, ({ id }: Grant) => id);
  return (
    <PageList
      pages={pages}
      none="No program is connected."
      row={(grant) => (
        <li key={grant.id} class="flex flex-wrap items-center gap-x-4 gap-y-1 px-4 py-3 text-sm">
          <span class="min-w-[12rem] flex-1">
            <bdi class="font-medium break-words">{visible(grant.client_name)}</bdi>{" "}
            <span class="text-soft">on {grant.redirect_host}</span>
            <span class="block text-xs leading-5 break-words text-soft">{grant.scopes.map(scopeInWords).join(" · ")}</span>
            <span class="block text-xs leading-5 text-soft">
              since <When at={grant.created_at} />, last renewed <When at={grant.last_used_at} />
            </span>
          </span>
          <button
            type="button"
            class="ghost-button"
            aria-label={`Disconnect ${visible(grant.client_name)}`}
            onClick={() =>
              void pages.change(grant, async () => {
                await programs.end(grant.id);
                return null;
              })
            }
          >
            Disconnect
          </button>
        </li>
      )}
    />
  );
}
