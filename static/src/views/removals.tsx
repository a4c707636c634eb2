/** Says which conversations were just deleted, and offers to bring each back. */
import { useLayoutEffect, useRef } from "preact/hooks";
import { bringBack, dismiss, type Removal, removals } from "../state/removals.ts";
import { announce } from "./announce.tsx";

export function Removals() {
  if (removals.value.length === 0) return null;
  return (
    <section
      aria-label="Deleted just now"
      class="fixed inset-x-3 bottom-32 z-30 mx-auto max-w-md md:right-auto md:bottom-20 md:left-3 md:mx-0 md:w-md print:hidden"
    >
      <ul class="grid gap-2">
        {removals.value.map((removal) => (
          <Line key={removal.item.id} removal={removal} />
        ))}
      </ul>
    </section>
  );
}

function Line({ removal: { item, fault } }: { removal: Removal }) {
  const line = useRef<HTMLLIElement>(null);
  const title = item.title || "New chat";
  useLayoutEffect(() => {
    const shown = line.current;
    announce("Deleted. Undo is possible for ten seconds.");
    // The button that was pressed is gone with its conversation.
    const free = document.activeElement === null || document.activeElement === document.body;
    if (free) shown?.querySelector("button")?.focus({ preventScroll: true });
    return () => {
      if (shown?.contains(document.activeElement) === true)
        document.querySelector<HTMLElement>("main textarea")?.focus({ preventScroll: true });
    };
  }, []);
  return (
    <li
      ref={line}
      class="flex min-w-0 items-center gap-3 rounded-xl border border-line bg-raised py-2 pr-2 pl-4 text-sm text-ink shadow-xl"
    >
      {fault === null ? (
        <>
          <p class="min-w-0 flex-1 truncate">
            Deleted: <bdi>{title}</bdi>
          </p>
          <button type="button" class="plain-button" aria-label={`Undo: bring “${title}” back`} onClick={() => back(item.id)}>
            Undo
          </button>
        </>
      ) : (
        <>
          <p class="min-w-0 flex-1 text-danger" role="alert">
            “<bdi>{title}</bdi>” is not deleted. {fault}
          </p>
          <button type="button" class="plain-button" onClick={() => dismiss(item.id)}>
            Close
          </button>
        </>
      )}
    </li>
  );
}

function back(id: string): void {
  bringBack(id);
  announce("The conversation is back");
}
