/** A titled part of a page of settings. */
import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";

export function Section({ title, children }: { title: string; children: ComponentChildren }) {
  const id = useId();
  return (
    <section aria-labelledby={id}>
      <h2 id={id} class="font-semibold">
        {title}
      </h2>
      {children}
    </section>
  );
}
