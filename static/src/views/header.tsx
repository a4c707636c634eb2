/** The line at the top: a button for the list of conversations on a narrow screen, and a title. */
import type { ComponentChildren } from "preact";
import { Icon } from "./icons.tsx";
import { drawerOpen } from "./shell.tsx";

export function Header({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <header class="flex h-14 shrink-0 items-center gap-2 px-3 short:h-9 sm:px-6 print:h-auto">
      <button
        type="button"
        class="ghost-button md:hidden"
        aria-label="Show conversations"
        aria-expanded={drawerOpen.value}
        onClick={() => (drawerOpen.value = true)}
      >
        <Icon name="menu" size={20} />
      </button>
      <h1 dir="auto" class="min-w-0 flex-1 truncate text-sm font-medium">
        {title || <span class="sr-only">New chat</span>}
      </h1>
      {children}
    </header>
  );
}
