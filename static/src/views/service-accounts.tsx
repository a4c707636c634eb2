/** Accounts of programs, for administrators: each with a role and keys of its own. */
import { useMemo, useState } from "preact/hooks";
import { admin, keysOfServiceAccount } from "../api.ts";
import type { ServiceAccount } from "../types.ts";
import { ApiKeys } from "./api-keys.tsx";
import { Fault, PageList, RoleChoice, textOf, usePages, useRoles, useSubmit, When } from "./page-list.tsx";

export function ServiceAccounts() {
  const roles = useRoles();
  const pages = usePages(
    (cursor) => admin.serviceAccounts(cursor),
    ({ id }: ServiceAccount) => id,
  );
  const [role, setRole] = useState("service");
  const { fault, waiting, submit } = useSubmit(async (data) => {
    pages.add(await admin.createServiceAccount(textOf(data, "name"), role));
  });
  return (
    <>
      <p class="text-sm leading-6 text-soft">
        For programs that belong to nobody. They have no password, and only their keys open them. Their role is changed, and they are
        suspended, under People.
      </p>
      <form class="mt-3 flex flex-wrap items-center gap-2" onSubmit={submit}>
        <input
          name="name"
          required
          pattern="[a-z][a-z0-9\-]{0,39}"
          title="Small letters, digits and hyphens"
          class="field h-9 w-auto min-w-[10rem] flex-1 py-0 text-sm"
          aria-label="Name of the account"
          placeholder="nightly-report"
        />
        <RoleChoice roles={roles} value={role} label="Role of the account" choose={setRole} />
        <button type="submit" class="main-button" disabled={waiting}>
          Make an account
        </button>
      </form>
      <Fault text={fault} />
      <PageList
        pages={pages}
        none="There are no service accounts."
        row={(account) => <Account key={account.id} account={account} />}
      />
    </>
  );
}

function Account({ account }: { account: ServiceAccount }) {
  const [open, setOpen] = useState(false);
  const keys = useMemo(() => keysOfServiceAccount(account.id), [account.id]);
  return (
    <li class="px-4 py-3 text-sm">
      <div class="flex flex-wrap items-center gap-x-4 gap-y-1">
        <span class="min-w-[12rem] flex-1">
          <span class="font-medium break-all">{account.name}</span>
          {account.suspended && (
            <span class="ml-2 rounded-full bg-danger-tint px-2 py-0.5 text-xs text-danger">Suspended</span>
          )}
          <span class="block text-xs leading-5 text-soft">
            {account.role}, since <When at={account.created_at} />
          </span>
        </span>
        <button
          type="button"
          class="ghost-button"
          aria-expanded={open}
          aria-label={`Keys of ${account.name}`}
          onClick={() => setOpen(!open)}
        >
          Keys
        </button>
      </div>
      {open && <ApiKeys keys={keys} usual="All that its role allows" />}
    </li>
  );
}
