/** Asks before something is done that cannot be undone. */
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";

export function Confirm({
  title,
  button,
  children,
  confirmed,
  onClose,
}: {
  title: string;
  /** What the button says that does it. */
  button: string;
  children: ComponentChildren;
  confirmed: () => void;
  onClose: () => void;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog
      ref={dialog}
      aria-labelledby={id}
      class="m-auto w-[min(26rem,calc(100vw-2rem))] rounded-2xl border border-line bg-raised p-6 text-ink shadow-xl backdrop:bg-black/40"
      onClose={onClose}
    >
      <div class="grid gap-5">
        <h2 id={id} class="text-lg font-semibold">
          {title}
        </h2>
        <p class="text-soft">{children}</p>
        <div class="flex justify-end gap-2.5">
          <button type="button" class="plain-button" onClick={() => dialog.current?.close()}>
            Cancel
          </button>
          <button
            type="button"
            class="danger-button"
            onClick={() => {
              dialog.current?.close();
              confirmed();
            }}
          >
            {button}
          </button>
        </div>
      </div>
    </dialog>
  );
}
