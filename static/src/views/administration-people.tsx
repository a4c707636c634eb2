/** Accounts, invitations and sessions, for administrators. */
import { useState } from "preact/hooks";
import { admin, describe } from "../api.ts";
import { may } from "../permissions.ts";
import { endedBy } from "../state/session.ts";
import type { Pages } from "../state/pages.ts";
import type { Account, Invitation, Link, OpenSession, Role, User } from "../types.ts";
import { visible } from "../visible.ts";
import { announce } from "./announce.tsx";
import { Confirm } from "./confirm.tsx";
import { Fault, NewLink, PageList, RoleChoice, textOf, usePages, useRoles, useSubmit, When } from "./page-list.tsx";

export function Users({ user }: { user: User }) {
  const [search, setSearch] = useState("");
  const roles = useRoles();
  const pages = usePages(
    (cursor) => admin.users(search, cursor),
    ({ id }: Account) => id,
    search,
  );
  return (
    <>
      <form
        role="search"
        onSubmit={(event) => {
          event.preventDefault();
          setSearch(textOf(new FormData(event.currentTarget), "q"));
        }}
        class="flex gap-2"
      >
        <input
          name="q"
          type="search"
          dir="auto"
          class="field"
          aria-label="Search people"
          placeholder="Address or name"
        />
        <button type="submit" class="plain-button">
          Search
        </button>
      </form>
      <PageList
        pages={pages}
        none={search === "" ? "There is nobody." : `Nobody’s address or name contains “${search}”.`}
        row={(account) => <Person key={account.id} account={account} pages={pages} roles={roles} user={user} />}
      />
    </>
  );
}

function Person({
  account,
  pages,
  roles,
  user,
}: {
  account: Account;
  pages: Pages<Account>;
  roles: Role[];
  user: User;
}) {
  const [waiting, setWaiting] = useState(false);
  const [link, setLink] = useState<Link | null>(null);
  const [fault, setFault] = useState<string | null>(null);
  /** What is asked first: nothing brings either back. */
  const [asking, setAsking] = useState<"second_factor" | "erasure" | null>(null);
  const mayChange = may(user, "users:manage") && account.id !== user.id;
  const change = async (to: { role?: string; suspended?: boolean }, words: string) => {
    setWaiting(true);
    if (await pages.change(account, () => admin.changeUser(account.id, to))) announce(`${account.email}: ${words}`);
    setWaiting(false);
  };
  const reset = async () => {
    setWaiting(true);
    setFault(null);
    try {
      setLink(await admin.resetLink(account.id));
    } catch (error) {
      if (!endedBy(error)) setFault(describe(error));
    }
    setWaiting(false);
  };
  const removeSecondFactor = async () => {
    setWaiting(true);
    const remove = async () => {
      await admin.removeSecondFactor(account.id);
      return { ...account, second_factor: false };
    };
    if (await pages.change(account, remove)) announce(`${account.email}: second factor removed`);
    setWaiting(false);
  };
  const erase = async () => {
    setWaiting(true);
    const close = async () => {
      await admin.erase(account.id);
      return { ...account, suspended: true };
    };
    if (await pages.change(account, close)) announce(`${account.email}: will be erased`);
    setWaiting(false);
  };
  const mayErase = may(user, "users:erase") && account.id !== user.id;
  return (
    <li class="px-4 py-3.5">
      <div class="flex flex-wrap items-center gap-x-4 gap-y-2">
        <div class="min-w-[12rem] flex-1">
          <p class="flex flex-wrap items-center gap-x-2 text-sm font-medium break-all">
            <bdi>{account.email}</bdi>
            {account.suspended && (
              <span class="rounded-full bg-danger-tint px-2 py-0.5 text-xs font-normal text-danger">Suspended</span>
            )}
          </p>
          <p class="text-xs leading-5 text-soft">
            {account.name && (
              <>
                <bdi>{account.name}</bdi> ·{" "}
              </>
            )}
            since <When at={account.created_at} />
            {account.second_factor && " · second factor"}
            {account.group_roles.length > 0 && ` · from groups: ${account.group_roles.join(", ")}`}
          </p>
        </div>
        <RoleChoice
          roles={roles}
          value={account.role}
          label={`Role of ${account.email}`}
          disabled={!mayChange || waiting}
          choose={(role) => void change({ role }, `role ${role}`)}
        />
        {mayChange && (
          <div class="flex flex-wrap gap-1">
            <button type="button" class="ghost-button" disabled={waiting} onClick={() => void reset()}>
              Reset password
            </button>
            {account.second_factor && (
              <button
                type="button"
                class="ghost-button"
                title="For whoever has lost their app and their recovery codes. Logs them out everywhere."
                disabled={waiting}
                onClick={() => setAsking("second_factor")}
              >
                Remove second factor
              </button>
            )}
            <button
              type="button"
              class="ghost-button"
              disabled={waiting}
              onClick={() =>
                void change({ suspended: !account.suspended }, account.suspended ? "may log in again" : "suspended")
              }
            >
              {account.suspended ? "Resume" : "Suspend"}
            </button>
          </div>
        )}
        {mayErase && (
          <button type="button" class="ghost-button" disabled={waiting} onClick={() => setAsking("erasure")}>
            Erase…
          </button>
        )}
      </div>
      {asking === "second_factor" && (
        <Confirm
          title="Remove the second factor?"
          button="Remove"
          confirmed={() => void removeSecondFactor()}
          onClose={() => setAsking(null)}
        >
          <bdi class="break-all text-ink">{account.email}</bdi> will be logged out everywhere, and then gets in with the
          password alone, or sets up another second factor if a role needs one.
        </Confirm>
      )}
      {asking === "erasure" && (
        <Confirm title="Erase this account?" button="Erase" confirmed={() => void erase()} onClose={() => setAsking(null)}>
          <bdi class="break-all text-ink">{account.email}</bdi> will be logged out everywhere at once. After the days of
          grace of this installation, everything about this person is deleted for good. Until then, “Erasures” can take it
          back.
        </Confirm>
      )}
      <Fault text={fault} />
      {link !== null && (
        <NewLink link={link} words={`Give this link to ${account.email}: it sets a new password, once.`} />
      )}
    </li>
  );
}

/** Days that an invitation may be accepted. */
const DAYS = [1, 7, 30, 90];

export function Invitations() {
  const roles = useRoles();
  const pages = usePages(
    (cursor) => admin.invitations(cursor),
    ({ id }: Invitation) => id,
  );
  const [role, setRole] = useState("member");
  const [link, setLink] = useState<Link | null>(null);
  const { fault, waiting, submit } = useSubmit(async (data) => {
    const made = await admin.invite(role, Number(textOf(data, "days")));
    pages.add(made);
    setLink(made);
  });
  return (
    <>
      <form class="flex flex-wrap items-center gap-2" onSubmit={submit}>
        <RoleChoice roles={roles} value={role} label="Role of the account" choose={setRole} />
        <select name="days" class="field h-9 w-auto py-0 text-sm" aria-label="How long the invitation can be accepted">
          {DAYS.map((days) => (
            <option key={days} value={days} selected={days === 7}>
              {days === 1 ? "1 day" : `${days} days`}
            </option>
          ))}
        </select>
        <button type="submit" class="main-button" disabled={waiting}>
          Invite somebody
        </button>
      </form>
      <Fault text={fault} />
      {link !== null && <NewLink link={link} words="Give this link to whom you invite: it makes one account." />}
      <PageList
        pages={pages}
        none="Nobody is invited."
        row={(invitation) => (
          <li key={invitation.id} class="flex flex-wrap items-center gap-x-4 gap-y-1 px-4 py-3 text-sm">
            <span class="min-w-[12rem] flex-1">
              {invitation.role}
              <span class="block text-xs leading-5 text-soft">
                made <When at={invitation.created_at} />, {standing(invitation)}
              </span>
            </span>
            {isOpen(invitation) && (
              <button
                type="button"
                class="ghost-button"
                onClick={() =>
                  void pages.change(invitation, async () => {
                    await admin.withdraw(invitation.id);
                    return { ...invitation, revoked_at: new Date().toISOString() };
                  })
                }
              >
                Withdraw
              </button>
            )}
          </li>
        )}
      />
    </>
  );
}

function isOpen({ accepted_at, revoked_at, expires_at }: Invitation): boolean {
  return accepted_at === null && revoked_at === null && Date.parse(expires_at) > Date.now();
}

function standing(invitation: Invitation) {
  if (invitation.accepted_at !== null)
    return (
      <>
        accepted <When at={invitation.accepted_at} />
      </>
    );
  if (invitation.revoked_at !== null) return "withdrawn";
  if (!isOpen(invitation)) return "expired";
  return (
    <>
      can be accepted until <When at={invitation.expires_at} />
    </>
  );
}

export function Sessions() {
  const pages = usePages(
    (cursor) => admin.sessions(cursor),
    ({ id }: OpenSession) => id,
  );
  return (
    <>
      <p class="text-sm leading-6 text-soft">
        Who is logged in, and which programs were let in. Ending a session logs that browser or program out within a second.
      </p>
      <PageList
        pages={pages}
        none="Nobody is logged in."
        row={(session) => (
          <li key={session.id} class="flex flex-wrap items-center gap-x-4 gap-y-1 px-4 py-3 text-sm">
            <span class="min-w-[12rem] flex-1 break-all">
              <bdi>{session.email}</bdi>
              <span class="block text-xs leading-5 text-soft">
                {session.client_name && (
                  <>
                    program <bdi>{visible(session.client_name)}</bdi>,{" "}
                  </>
                )}
                since <When at={session.created_at} />, last renewed <When at={session.used_at} />
              </span>
            </span>
            <button
              type="button"
              class="ghost-button"
              aria-label={`End the session of ${session.email}`}
              onClick={() =>
                void pages.change(session, async () => {
                  await admin.endSession(session.id);
                  return null;
                })
              }
            >
              End
            </button>
          </li>
        )}
      />
    </>
  );
}
