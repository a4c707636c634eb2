/** Accounts that wait for their erasure, and the receipts of those that are erased, for administrators. */
import { useState } from "preact/hooks";
import { admin } from "../api.ts";
import type { Pages } from "../state/pages.ts";
import type { Erasure } from "../types.ts";
import { announce } from "./announce.tsx";
import { CopyButton } from "./copy.tsx";
import { PageList, usePages, When } from "./page-list.tsx";

export function Erasures() {
  const [pending, setPending] = useState(true);
  const pages = usePages(
    (cursor) => admin.erasures(pending, cursor),
    ({ user_id }: Erasure) => user_id,
    pending,
  );
  return (
    <>
      <p class="text-sm leading-6 text-soft">
        An id is all that is left of whoever was erased. A receipt is a signed
        statement of what was erased; the keys at <code class="text-xs">/api/account/receipt-keys</code> verify it.
      </p>
      <select
        class="field mt-3 h-9 w-auto py-0 text-sm"
        aria-label="Which"
        value={pending ? "pending" : "all"}
        onChange={(event) => setPending(event.currentTarget.value === "pending")}
      >
        <option value="pending">Waiting</option>
        <option value="all">All, with receipts</option>
      </select>
      <PageList
        pages={pages}
        none={pending ? "Nobody waits to be erased." : "Nobody was erased, and nobody waits for it."}
        row={(erasure) => <Row key={erasure.user_id} erasure={erasure} pages={pages} />}
      />
    </>
  );
}

function Row({ erasure, pages }: { erasure: Erasure; pages: Pages<Erasure> }) {
  const { user_id: id, email, requested_by: by, erased_at: erasedAt, receipt } = erasure;
  const keep = async () => {
    const taken = await pages.change(erasure, async () => {
      await admin.keepAccount(id);
      return null;
    });
    if (taken) announce("The erasure is taken back");
  };
  return (
    <li class="flex flex-wrap items-center gap-x-4 gap-y-2 px-4 py-3 text-sm">
      <div class="min-w-[12rem] flex-1">
        {email ? <bdi class="font-medium break-all">{email}</bdi> : <p class="font-mono text-xs leading-5 break-all">{id}</p>}
        <p class="text-xs leading-5 text-soft">
          Asked for {by === id ? "by themselves" : "by an administrator"} <When at={erasure.requested_at} /> ·{" "}
          {erasedAt === null ? (
            <>
              will be erased <When at={erasure.erase_at} />
            </>
          ) : (
            <>
              erased <When at={erasedAt} />
            </>
          )}
        </p>
      </div>
      {erasedAt === null && (
        <button type="button" class="ghost-button" onClick={() => void keep()}>
          Take back
        </button>
      )}
      {receipt !== null && <CopyButton text={receipt} label="Copy the receipt" />}
    </li>
  );
}
