/**
 * The address bar: `/` is a new chat, `/c/<id>` a conversation, `/settings/tools` says which tools may be used, `/settings/account` is the person's own,
 * `/settings/assistants` has the assistants, `/settings/memory` what is remembered about the person, `/settings/administration/<section>` is for administrators. `/invitation` and `/password-reset` are links that somebody was
 * given, with a secret behind the `#`, which browsers send to nobody. `/settings/programs` has the keys and programs of the person, and
 * `/authorize` is where a program sends them that wants to be let in. Knows nothing of what is shown there.
 */
import { signal } from "@preact/signals";

export const SECTIONS = ["users", "invitations", "groups", "roles", "service-accounts", "sessions", "providers", "limits", "usage", "audit", "retention", "erasures", "webhooks", "keys", "settings"] as const;
export type Section = (typeof SECTIONS)[number];

export type Route =
  | { page: "new" }
  | { page: "conversation"; id: string }
  | { page: "tools" }
  | { page: "assistants" }
  | { page: "programs" }
  | { page: "memory" }
  | { page: "authorize" }
  | { page: "account" }
  | { page: "administration"; section: Section }
  | { page: "invitation" }
  | { page: "password-reset" }
  | { page: "unknown" };

export const TOOLS_PATH = "/settings/tools";
export const ASSISTANTS_PATH = "/settings/assistants";
export const PROGRAMS_PATH = "/settings/programs";
export const MEMORY_PATH = "/settings/memory";
export const ACCOUNT_PATH = "/settings/account";
const ADMINISTRATION_PATH = "/settings/administration";

export const route = signal<Route>(parsePath(location.pathname));

export function parsePath(path: string): Route {
  if (path === "/") return { page: "new" };
  if (path === TOOLS_PATH) return { page: "tools" };
  if (path === ASSISTANTS_PATH) return { page: "assistants" };
  if (path === PROGRAMS_PATH) return { page: "programs" };
  if (path === MEMORY_PATH) return { page: "memory" };
  if (path === "/authorize") return { page: "authorize" };
  if (path === ACCOUNT_PATH) return { page: "account" };
  if (path === "/invitation") return { page: "invitation" };
  if (path === "/password-reset") return { page: "password-reset" };
  const section = SECTIONS.find((name) => path === administrationPath(name));
  if (section !== undefined) return { page: "administration", section };
  const id = /^\/c\/([0-9a-f-]{36})\/?$/.exec(path)?.[1];
  return id === undefined ? { page: "unknown" } : { page: "conversation", id };
}

export function conversationPath(id: string): string {
  return `/c/${id}`;
}

export function administrationPath(section: Section): string {
  return `${ADMINISTRATION_PATH}/${section}`;
}

/** The secret of the link that was opened. It stays in the address until it is used: a reload must not lose it. */
export function linkSecret(): string {
  return location.hash.replace(/^#/, "");
}

/** `replace` is for pages to which the person should not go back. */
export function navigate(path: string, options: { replace?: boolean } = {}): void {
  if (path !== location.pathname) history[options.replace ? "replaceState" : "pushState"](null, "", path);
  route.value = parsePath(path);
}

window.addEventListener("popstate", () => {
  route.value = parsePath(location.pathname);
});

/** For `onClick` of links within the page. New tabs and windows still work as usual. */
export function follow(event: MouseEvent, path: string): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey)
    return;
  event.preventDefault();
  navigate(path);
}
