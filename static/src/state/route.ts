/**
 * The address bar: `/` is a new chat, `/c/<id>` a conversation, `/settings/tools` the settings for tools. It knows
 * nothing of their contents.
 */
import { signal } from "@preact/signals";

export type Route = { page: "new" } | { page: "conversation"; id: string } | { page: "tools" } | { page: "unknown" };

export const TOOLS_PATH = "/settings/tools";

export const route = signal<Route>(parsePath(location.pathname));

export function parsePath(path: string): Route {
  if (path === "/") return { page: "new" };
  if (path === TOOLS_PATH) return { page: "tools" };
  const id = /^\/c\/([0-9a-f-]{36})\/?$/.exec(path)?.[1];
  return id === undefined ? { page: "unknown" } : { page: "conversation", id };
}

export function conversationPath(id: string): string {
  return `/c/${id}`;
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
