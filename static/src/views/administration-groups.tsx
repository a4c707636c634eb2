/** Groups and roles, for administrators. */
import { useState } from "preact/hooks";
import { admin } from "../api.ts";
import { may } from "../permissions.ts";
import type { Pages } from "../state/pages.ts";
import type { Account, Group, Permission, Role, User } from "../types.ts";
import { Icon } from "./icons.tsx";
import { Fault, PageList, textOf, usePages, useRoles, useSubmit } from "./page-list.tsx";

export function Groups() {
  const roles = useRoles();
  const pages = usePages(
    () => admin.groups(),
    ({ id }: Group) => id,
  );
  const { fault, waiting, submit } = useSubmit(async (data) => {
    pages.add(await admin.createGroup(textOf(data, "name"), []));
  });
  return (
    <>
      <p class="text-sm leading-6 text-soft">A group gives its roles to everybody who is in it.</p>
      <form class="mt-3 flex gap-2" onSubmit={submit}>
        <input name="name" dir="auto" class="field" aria-label="Name of a new group" placeholder="Name" required />
        <button type="submit" class="main-button shrink-0" disabled={waiting}>
          Make a group
        </button>
      </form>
      <Fault text={fault} />
      <PageList
        pages={pages}
        none="There are no groups."
        row={(group) => <GroupRow key={group.id} group={group} pages={pages} roles={roles} />}
      />
    </>
  );
}

function GroupRow({ group, pages, roles }: { group: Group; pages: Pages<Group>; roles: Role[] }) {
  const [open, setOpen] = useState(false);
  // A tick changes the list as it is drawn: the next one waits for the answer.
  const [waiting, setWaiting] = useState(false);
  const change = async (send: () => Promise<Group | null>) => {
    setWaiting(true);
    await pages.change(group, send);
    setWaiting(false);
  };
  const names = [...new Set([...roles.map(({ name }) => name), ...group.roles])];
  const toggle = (name: string) => {
    const next = group.roles.includes(name) ? group.roles.filter((role) => role !== name) : [...group.roles, name];
    void change(() => admin.changeGroup(group.id, group.name, next));
  };
  const remove = () =>
    void change(async () => {
      await admin.removeGroup(group.id);
      return null;
    });
  return (
    <li class="px-4 py-3.5 text-sm">
      <div class="flex flex-wrap items-center gap-2">
        <bdi class="min-w-0 flex-1 font-medium break-words">{group.name}</bdi>
        <button type="button" class="ghost-button" aria-expanded={open} onClick={() => setOpen(!open)}>
          {group.members === 1 ? "1 member" : `${group.members} members`}
        </button>
        <button type="button" class="ghost-button" aria-label={`Delete ${group.name}`} disabled={waiting} onClick={remove}>
          Delete
        </button>
      </div>
      <fieldset class="mt-1.5 flex flex-wrap gap-x-4 gap-y-1">
        <legend class="sr-only">Roles of {group.name}</legend>
        {names.map((name) => (
          <label key={name} class="flex items-center gap-1.5 text-xs pointer-coarse:min-h-11">
            <input
              type="checkbox"
              checked={group.roles.includes(name)}
              disabled={waiting}
              onChange={() => toggle(name)}
            />
            {name}
          </label>
        ))}
      </fieldset>
      {open && <Members group={group} onChange={() => void pages.load()} />}
    </li>
  );
}

function Members({ group, onChange }: { group: Group; onChange: () => void }) {
  const pages = usePages(
    (cursor) => admin.members(group.id, cursor),
    ({ id }: Account) => id,
    group.id,
  );
  const { fault, waiting, submit } = useSubmit(async (data) => {
    const email = textOf(data, "email").toLowerCase();
    const found = (await admin.users(email, null)).items.find((account) => account.email === email);
    if (found === undefined) throw new Error("Nobody here has this address.");
    await admin.addMember(group.id, found.id);
    await pages.load();
    onChange();
  });
  return (
    <div class="mt-2 border-l-2 border-line pl-3">
      <form class="flex gap-2" onSubmit={submit}>
        <input
          name="email"
          type="email"
          class="field"
          aria-label={`Address of a new member of ${group.name}`}
          placeholder="Address"
          required
        />
        <button type="submit" class="plain-button shrink-0" disabled={waiting}>
          Add
        </button>
      </form>
      <Fault text={fault} />
      <PageList
        pages={pages}
        none="Nobody is in this group."
        row={(account) => (
          <li key={account.id} class="flex items-center gap-2 px-3 py-1.5">
            <bdi class="min-w-0 flex-1 break-all">{account.email}</bdi>
            <button
              type="button"
              class="ghost-button"
              aria-label={`Take ${account.email} out of ${group.name}`}
              onClick={() =>
                void pages
                  .change(account, async () => {
                    await admin.removeMember(group.id, account.id);
                    return null;
                  })
                  .then(onChange)
              }
            >
              Remove
            </button>
          </li>
        )}
      />
    </div>
  );
}

export function Roles({ user }: { user: User }) {
  const [permissions, setPermissions] = useState<Permission[]>([]);
  const pages = usePages(
    async () => {
      const list = await admin.roles();
      setPermissions(list.permissions);
      return list;
    },
    ({ name }: Role) => name,
  );
  const mayChange = may(user, "roles:manage");
  const { fault, waiting, submit } = useSubmit(async (data) => {
    await admin.setRole(textOf(data, "name"), words(textOf(data, "permissions")));
    await pages.load();
  });
  return (
    <>
      <p class="text-sm leading-6 text-soft">
        A role is a set of permissions. Three are built in; a role of your own is changed by making it again.
      </p>
      <PageList
        pages={pages}
        none="There are no roles."
        row={(role) => (
          <li key={role.name} class="flex items-start gap-2 px-4 py-3 text-sm">
            <div class="min-w-0 flex-1">
              <span class="font-medium">{role.name}</span>
              <p class="mt-0.5 font-mono text-xs leading-5 break-words text-soft">{role.permissions.join(" ")}</p>
            </div>
            {mayChange && !role.built_in && (
              <button
                type="button"
                class="ghost-button"
                aria-label={`Delete the role ${role.name}`}
                onClick={() =>
                  void pages.change(role, async () => {
                    await admin.removeRole(role.name);
                    return null;
                  })
                }
              >
                Delete
              </button>
            )}
          </li>
        )}
      />
      {mayChange && (
        <form class="mt-6 grid justify-items-start gap-2" onSubmit={submit}>
          <input name="name" class="field" aria-label="Name of the role" placeholder="Name" required />
          <textarea
            name="permissions"
            class="field min-h-24 py-2.5 font-mono text-xs"
            aria-label="Permissions of the role"
            placeholder="conversations:read tools:call:mail:* models:use:gpt-*"
          />
          <button type="submit" class="main-button" disabled={waiting}>
            Save role
          </button>
          <Fault text={fault} />
        </form>
      )}
      <details class="mt-6 text-sm">
        <summary class="inline-flex items-center gap-1.5 rounded text-soft hover:text-ink">
          All permissions
          <span class="chevron">
            <Icon name="chevron" size={12} />
          </span>
        </summary>
        <dl class="mt-2 grid gap-1.5 text-xs leading-5">
          {permissions.map(({ name, purpose, has_pattern }) => (
            <div key={name}>
              <dt class="font-mono">{has_pattern ? `${name}:…` : name}</dt>
              <dd class="text-soft">{purpose}</dd>
            </div>
          ))}
        </dl>
      </details>
    </>
  );
}

function words(text: string): string[] {
  return text.split(/[\s,]+/).filter((word) => word !== "");
}
