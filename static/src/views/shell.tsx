/** The frame: the list of conversations beside the chat, or in a drawer on a narrow screen. */
import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { route } from "../state/route.ts";
import type { User } from "../types.ts";
import { PaletteKey } from "./palette-key.tsx";
import { Removals } from "./removals.tsx";
import { Sidebar } from "./sidebar.tsx";

/** Tailwind's `md`: from this width there is room for both. */
const wideQuery = window.matchMedia("(min-width: 48rem)");
const wide = signal(wideQuery.matches);
wideQuery.addEventListener("change", () => (wide.value = wideQuery.matches));

export const drawerOpen = signal(false);

export function Shell({ user, children }: { user: User; children: ComponentChildren }) {
  const drawer = useRef<HTMLElement>(null);
  const current = route.value;
  const hidden = !wide.value && !drawerOpen.value;
  const covered = !wide.value && drawerOpen.value;

  useEffect(() => void (drawerOpen.value = false), [current]);
  // At once, not after the next frame: Escape must not come too early, and with that frame the covered part loses its
  // focus.
  useLayoutEffect(() => {
    if (!covered) return;
    const opener = document.activeElement;
    drawer.current?.querySelector<HTMLElement>("a, button")?.focus();
    const onKey = (event: KeyboardEvent) => {
      if (event.key === "Escape" && document.querySelector("dialog[open]") === null) drawerOpen.value = false;
    };
    document.addEventListener("keydown", onKey);
    return () => {
      document.removeEventListener("keydown", onKey);
      if (opener instanceof HTMLElement) opener.focus();
    };
  }, [covered]);

  return (
    <div class="flex h-full">
      <aside
        ref={drawer}
        aria-label="Conversations"
        inert={hidden}
        class={`fixed inset-y-0 left-0 z-20 w-[min(18.5rem,85vw)] border-r border-line bg-sunken transition-transform duration-200 md:static md:w-[17.5rem] md:shrink-0 md:translate-x-0 ${hidden ? "-translate-x-full" : "translate-x-0"}`}
      >
        <Sidebar user={user} />
      </aside>
      {covered && (
        <div class="fixed inset-0 z-10 bg-black/40" onClick={() => (drawerOpen.value = false)} aria-hidden="true" />
      )}
      <main class="flex min-w-0 flex-1 flex-col" inert={covered}>
        {children}
      </main>
      <Removals />
      <PaletteKey user={user} />
    </div>
  );
}
