/** The list of conversations, the button for a new one, and the signed-in person. */
import { useState } from "preact/hooks";
import { describe } from "../api.ts";
import { sectionsOf } from "../permissions.ts";
import { goes, goesSoon } from "../retention.ts";
import { conversation, endTemporary } from "../state/chat.ts";
import { conversations, hasMore, listError, loading, loadList, loadMore } from "../state/list.ts";
import {
  ACCOUNT_PATH,
  administrationPath,
  ASSISTANTS_PATH,
  conversationPath,
  follow,
  PROGRAMS_PATH,
  route,
  TOOLS_PATH,
} from "../state/route.ts";
import { isRemoved, removeAllNow, removeSoon } from "../state/removals.ts";
import { logOut } from "../state/session.ts";
import type { Conversation, User } from "../types.ts";
import { type Asked, ConversationDialog } from "./conversation-dialog.tsx";
import { Icon, Logo } from "./icons.tsx";
import { isSearching, SearchField, SearchResults } from "./search.tsx";
import { drawerOpen } from "./shell.tsx";

export function Sidebar({ user }: { user: User }) {
  const [asked, setAsked] = useState<Asked | null>(null);
  return (
    <div class="flex h-full flex-col short:overflow-y-auto">
      <div class="flex items-center gap-2.5 px-4 pt-4 pb-3">
        <Logo />
        <span class="font-semibold tracking-tight">Edge Assistant</span>
      </div>
      <div class="px-3 pb-2">
        <a href="/" class="plain-button w-full justify-start px-3.5" onClick={(event) => leaveTo(event, "/")}>
          <Icon name="plus" />
          New chat
        </a>
        <a
          href={ASSISTANTS_PATH}
          class="mt-1 flex items-center gap-2 rounded-lg px-3.5 py-2 text-sm hover:bg-hover pointer-coarse:py-3"
          aria-current={route.value.page === "assistants" ? "page" : undefined}
          onClick={(event) => leaveTo(event, ASSISTANTS_PATH)}
        >
          <Icon name="thought" />
          Assistants
        </a>
        <SearchField />
      </div>
      <nav
        class="min-h-0 flex-1 overflow-y-auto px-3 pb-3 short:flex-none short:overflow-visible"
        aria-label="Your conversations"
      >
        {isSearching() ? <SearchResults /> : <List ask={setAsked} />}
      </nav>
      <Account user={user} />
      {asked !== null && <ConversationDialog asked={asked} onClose={() => setAsked(null)} />}
    </div>
  );
}

function leaveTo(event: MouseEvent, path: string): void {
  follow(event, path);
  drawerOpen.value = false;
}

function List({ ask }: { ask: (asked: Asked) => void }) {
  const items = conversations.value.filter(({ id }) => !isRemoved(id));
  if (listError.value !== null) {
    return (
      <div class="px-2 py-3 text-sm text-soft" role="alert">
        <p>{listError}</p>
        <button type="button" class="text-button mt-2" onClick={() => void loadList()}>
          Try again
        </button>
      </div>
    );
  }
  if (items.length === 0) {
    return (
      <p class="px-2 py-3 text-sm text-soft">
        {loading.value ? "Loading…" : "Your conversations will be listed here."}
      </p>
    );
  }
  return (
    <>
      {byAge(items).map(([age, group]) => (
        <section key={age} aria-label={age}>
          <h2 class="px-2 pt-4 pb-1.5 text-xs font-medium text-soft">{age}</h2>
          <ul>
            {group.map((item) => (
              <Item key={item.id} item={item} ask={ask} />
            ))}
          </ul>
        </section>
      ))}
      {hasMore.value && (
        <button type="button" class="ghost-button mt-3 w-full" disabled={loading.value} onClick={() => void loadMore()}>
          {loading.value ? "Loading…" : "Show more"}
        </button>
      )}
    </>
  );
}

/** When it is deleted, and whether that is near. */
function goingOf(item: Conversation): { going: string | null; isNear: boolean } {
  const now = new Date();
  return { going: goes(item, now), isNear: goesSoon(item, now) };
}

function Item({ item, ask }: { item: Conversation; ask: (asked: Asked) => void }) {
  const at = route.value;
  const current = at.page === "conversation" && at.id === item.id;
  const title = (current ? conversation.value?.title : null) || item.title || "New chat";
  const { going, isNear } = goingOf(item);
  // Touch screens have no hover: there, one button shows the others.
  const [open, setOpen] = useState(false);
  const touch = open ? "pointer-coarse:static pointer-coarse:opacity-100" : "pointer-coarse:hidden";
  return (
    <li class={`group relative flex items-center rounded-lg ${current ? "bg-hover" : "hover:bg-hover"}`}>
      <a
        href={conversationPath(item.id)}
        dir="auto"
        class={`min-w-0 flex-1 truncate rounded-lg px-2.5 py-2 text-sm pointer-coarse:py-3 ${current ? "font-medium" : ""}`}
        aria-current={current ? "page" : undefined}
        title={going === null ? title : `${title}\n${going}`}
        onClick={(event) => leaveTo(event, conversationPath(item.id))}
      >
        {title}
        {isNear && <span class="block truncate text-xs font-normal text-soft">{going}</span>}
      </a>
      <div
        class={`absolute right-0 flex rounded-r-lg bg-hover pr-0.5 opacity-0 group-focus-within:opacity-100 group-hover:opacity-100 ${touch}`}
      >
        <button
          type="button"
          class="ghost-button"
          aria-label={`Rename “${title}”`}
          title="Rename"
          onClick={() => ask({ to: "rename", item })}
        >
          <Icon name="edit" size={16} />
        </button>
        <button
          type="button"
          class="ghost-button"
          aria-label={`How long “${title}” is kept`}
          title="How long it is kept"
          onClick={() => ask({ to: "keep", item })}
        >
          <Icon name="hourglass" size={16} />
        </button>
        <button
          type="button"
          class="ghost-button"
          aria-label={`Delete “${title}”`}
          title="Delete"
          onClick={() => removeSoon(item)}
        >
          <Icon name="trash" size={16} />
        </button>
      </div>
      <button
        type="button"
        class="ghost-button hidden pointer-coarse:inline-flex"
        aria-label={`More about “${title}”`}
        aria-expanded={open}
        onClick={() => setOpen(!open)}
      >
        <Icon name={open ? "close" : "more"} size={16} />
      </button>
    </li>
  );
}

function Account({ user }: { user: User }) {
  const name = user.name || user.email;
  const section = sectionsOf(user)[0];
  const [trouble, setTrouble] = useState<string | null>(null);
  const leave = () => {
    setTrouble(null);
    // While there is a session with which it can be ended.
    void endTemporary().then(removeAllNow).then(logOut).catch((error: unknown) => setTrouble(describe(error)));
  };
  return (
    <div class="border-t border-line px-4 py-3 short:py-1">
      {trouble !== null && (
        <p class="mb-2 text-sm text-danger" role="alert">
          You are still logged in. {trouble}
        </p>
      )}
      <div class="flex items-center gap-1">
        <a
          href={ACCOUNT_PATH}
          class="-ml-1 flex min-w-0 flex-1 items-center rounded-lg p-1 hover:bg-hover pointer-coarse:min-h-11"
          aria-label={`Your account: ${name}`}
          title={user.email}
          aria-current={route.value.page === "account" ? "page" : undefined}
          onClick={(event) => leaveTo(event, ACCOUNT_PATH)}
        >
          <span
            class="grid size-8 shrink-0 place-items-center rounded-full bg-brand-tint text-sm font-semibold text-brand"
            aria-hidden="true"
          >
            {name.slice(0, 1).toUpperCase()}
          </span>
          <span dir="auto" class="ml-2 min-w-0 flex-1 truncate text-sm">
            {name}
          </span>
        </a>
        {section !== undefined && (
          <a
            href={administrationPath(section)}
            class="ghost-button"
            aria-label="Administration"
            title="Administration"
            aria-current={route.value.page === "administration" ? "page" : undefined}
            onClick={(event) => leaveTo(event, administrationPath(section))}
          >
            <Icon name="people" />
          </a>
        )}
        <a
          href={PROGRAMS_PATH}
          class="ghost-button"
          aria-label="Programs and keys"
          title="Programs and keys"
          aria-current={route.value.page === "programs" ? "page" : undefined}
          onClick={(event) => leaveTo(event, PROGRAMS_PATH)}
        >
          <Icon name="key" />
        </a>
        <a
          href={TOOLS_PATH}
          class="ghost-button"
          aria-label="Tools"
          title="Tools"
          aria-current={route.value.page === "tools" ? "page" : undefined}
          onClick={(event) => leaveTo(event, TOOLS_PATH)}
        >
          <Icon name="tool" />
        </a>
        <button type="button" class="ghost-button" aria-label="Log out" title="Log out" onClick={leave}>
          <Icon name="leave" />
        </button>
      </div>
    </div>
  );
}

const DAY_MS = 86_400_000;

/** The list in groups by age, in the same order. */
function byAge(items: Conversation[]): [string, Conversation[]][] {
  const today = new Date().setHours(0, 0, 0, 0);
  const groups = new Map<string, Conversation[]>();
  for (const item of items) {
    const at = Date.parse(item.updated_at);
    const age =
      at >= today
        ? "Today"
        : at >= today - DAY_MS
          ? "Yesterday"
          : at >= today - 7 * DAY_MS
            ? "Previous 7 days"
            : "Older";
    groups.set(age, [...(groups.get(age) ?? []), item]);
  }
  return [...groups];
}
