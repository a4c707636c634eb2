/** Announces visible changes to screen readers, in one polite live region for the whole page. */
import { signal } from "@preact/signals";

const said = signal("");

export function announce(text: string): void {
  said.value = text;
}

export function Announcer() {
  return (
    <div class="sr-only" role="status" aria-live="polite">
      {said}
    </div>
  );
}
