/** Fields with which people show that it is them, and not whoever found their browser. */
import { useEffect, useId, useRef, useState } from "preact/hooks";
import type { Proof } from "../types.ts";
import { Fault, passwordOf, textOf, useSubmit } from "./page-list.tsx";

export function Secret({ name, label, autocomplete }: { name: string; label: string; autocomplete: string }) {
  const id = useId();
  return (
    <div class="grid gap-1">
      <label for={id} class="text-sm">
        {label}
      </label>
      <input id={id} name={name} type="password" class="field" autocomplete={autocomplete} required />
    </div>
  );
}

/** Asks for the password, or for a code if there is a second factor. */
export function ProofForm({
  button,
  mayUseCode,
  send,
  cancel,
}: {
  button: string;
  mayUseCode: boolean;
  send: (proof: Proof) => Promise<void>;
  cancel: () => void;
}) {
  const [byCode, setByCode] = useState(false);
  const { fault, waiting, submit } = useSubmit((data) =>
    send(byCode ? { code: textOf(data, "code") } : { password: passwordOf(data, "password") }),
  );
  const id = useId();
  const form = useRef<HTMLFormElement>(null);
  // The button that led here, or the other field, is gone.
  useEffect(() => form.current?.querySelector<HTMLElement>("input")?.focus(), [byCode]);
  return (
    <form ref={form} class="mt-3 grid gap-2" onSubmit={submit}>
      {byCode ? (
        <>
          <label for={id} class="text-sm">
            A code of your app, or a recovery code
          </label>
          <input id={id} name="code" class="field" autocomplete="one-time-code" required />
        </>
      ) : (
        <Secret name="password" label="Your password, to show that it is you" autocomplete="current-password" />
      )}
      <Fault text={fault} />
      <div class="mt-1 flex flex-wrap items-center gap-2">
        <button type="submit" class="main-button" disabled={waiting}>
          {button}
        </button>
        <button type="button" class="plain-button" onClick={cancel}>
          Cancel
        </button>
        {mayUseCode && (
          <button type="button" class="text-button text-sm" onClick={() => setByCode(!byCode)}>
            {byCode ? "Use your password" : "Use a code"}
          </button>
        )}
      </div>
    </form>
  );
}
