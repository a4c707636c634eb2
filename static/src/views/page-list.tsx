/** What the sections for administrators have in common: a list that comes page by page, times, choices of a role, links. */
import type { ComponentChildren, TargetedSubmitEvent } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { admin, describe } from "../api.ts";
import { Pages } from "../state/pages.ts";
import { endedBy } from "../state/session.ts";
import type { Link, Page, Role } from "../types.ts";
import { CopyButton } from "./copy.tsx";

/** A list of its own for whoever shows it; asked for anew when `what` changes. */
export function usePages<T>(
  ask: (cursor: string | null) => Promise<Page<T>>,
  key: (item: T) => string,
  what: unknown = null,
): Pages<T> {
  // oxlint-disable-next-line react-hooks/exhaustive-deps -- `what` says when `ask` asks for something else
  const pages = useMemo(() => new Pages(ask, key), [what]);
  useEffect(() => void pages.load(), [pages]);
  return pages;
}

export function PageList<T>({
  pages,
  none,
  row,
}: {
  pages: Pages<T>;
  none: string;
  row: (item: T) => ComponentChildren;
}) {
  const state = pages.state.value;
  if (state.at === "loading") {
    return (
      <div class="shimmer mt-5 grid gap-3" role="status" aria-label="Loading">
        {["h-16 w-full", "h-16 w-full"].map((shape, index) => (
          <div key={index} class={`rounded-xl bg-hover ${shape}`} />
        ))}
      </div>
    );
  }
  if (state.at === "failed") {
    return (
      <div class="mt-5 grid justify-items-start gap-3" role="alert">
        <p>The list could not be loaded. {state.reason}</p>
        <button type="button" class="main-button" onClick={() => void pages.load()}>
          Try again
        </button>
      </div>
    );
  }
  return (
    <>
      {state.fault !== null && (
        <p class="mt-4 text-sm text-danger" role="alert">
          {state.fault}
        </p>
      )}
      {state.items.length === 0 ? (
        <p class="mt-5">{none}</p>
      ) : (
        <ul class="mt-4 divide-y divide-line rounded-xl border border-line bg-raised">{state.items.map(row)}</ul>
      )}
      <More pages={pages} look="plain-button mt-4" />
    </>
  );
}

/** Asks for the next page, if there is one. */
export function More<T>({ pages, look }: { pages: Pages<T>; look: string }) {
  const state = pages.state.value;
  const [waiting, setWaiting] = useState(false);
  const more = async () => {
    setWaiting(true);
    await pages.more();
    setWaiting(false);
  };
  if (state.at !== "ready" || state.cursor === null) return null;
  return (
    <button type="button" class={look} disabled={waiting} onClick={() => void more()}>
      {waiting ? "Loading…" : "Show more"}
    </button>
  );
}

/** A moment, in the person's language and time zone. */
export function When({ at }: { at: string }) {
  const text = new Date(at).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });
  return <time dateTime={at}>{text}</time>;
}

/** All roles; none until they are known. */
export function useRoles(): Role[] {
  const [roles, setRoles] = useState<Role[]>([]);
  useEffect(() => {
    // Whoever may not see them still sees the role that is set.
    void admin.roles().then(
      ({ items }) => setRoles(items),
      () => undefined,
    );
  }, []);
  return roles;
}

export function RoleChoice({
  roles,
  value,
  label,
  disabled = false,
  choose,
}: {
  roles: Role[];
  value: string;
  label: string;
  disabled?: boolean;
  choose: (role: string) => void;
}) {
  // A role that was deleted is still set.
  const names = [...new Set([...roles.map(({ name }) => name), value])];
  return (
    <select
      class="field h-9 w-auto py-0 text-sm"
      aria-label={label}
      disabled={disabled}
      value={value}
      onChange={(event) => choose(event.currentTarget.value)}
    >
      {names.map((name) => (
        <option key={name} value={name}>
          {name}
        </option>
      ))}
    </select>
  );
}

/** A link that was just made: it cannot be shown again. */
export function NewLink({ link, words }: { link: Link; words: string }) {
  const address = `${location.origin}${link.path}`;
  return (
    <div class="notice mt-3 grid gap-2 text-sm" role="status">
      <p>
        {words} It is shown only now, and works until <When at={link.expires_at} />.
      </p>
      <p class="flex min-w-0 items-center gap-2">
        <code class="min-w-0 flex-1 text-xs break-all select-all">{address}</code>
        <CopyButton text={address} label="Copy the link" />
      </p>
    </div>
  );
}

/** A form that says what went wrong, and is empty again when nothing did. `submit` is its `onSubmit`. */
export function useSubmit(send: (data: FormData) => Promise<void>) {
  const [fault, setFault] = useState<string | null>(null);
  const [waiting, setWaiting] = useState(false);
  const sent = async (form: HTMLFormElement) => {
    setWaiting(true);
    setFault(null);
    try {
      await send(new FormData(form));
      form.reset();
    } catch (error) {
      if (!endedBy(error)) setFault(describe(error));
    }
    setWaiting(false);
  };
  const submit = (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    void sent(event.currentTarget);
  };
  return { fault, waiting, submit };
}

/** What went wrong, if anything did. */
export function Fault({ text }: { text: string | null }) {
  if (text === null) return null;
  return (
    <p class="mt-2 text-sm text-danger" role="alert">
      {text}
    </p>
  );
}

export function textOf(data: FormData, name: string): string {
  return passwordOf(data, name).trim();
}

/** Exactly as it was typed: spaces count. */
export function passwordOf(data: FormData, name: string): string {
  const value = data.get(name);
  return typeof value === "string" ? value : "";
}
