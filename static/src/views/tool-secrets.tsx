/** The form for the secrets of a server's tools: an address, a password. Secret values are not shown again. */
import type { TargetedInputEvent } from "preact";
import { useId, useState } from "preact/hooks";
import { faultOf, keyOf, secretsOf, standing } from "../secrets.ts";
import { loadSecrets, removeSecret, saveSecret, savingSecrets, secretList } from "../state/secrets.ts";
import type { Secret } from "../types.ts";
import { visible } from "../visible.ts";
import { announce } from "./announce.tsx";

/** The secrets of one server; nothing if its tools need none. */
export function ToolSecrets({ server }: { server: string }) {
  const list = secretList.value;
  const secrets = list.at === "ready" ? secretsOf(list.items, server) : [];
  return secrets.length === 0 ? null : <SecretForms secrets={secrets} />;
}

/** One notice for all servers that their secrets could not be loaded. */
export function SecretsFault() {
  const list = secretList.value;
  if (list.at !== "failed") return null;
  return (
    <div class="mt-6 grid justify-items-start gap-3" role="alert">
      <p>What you have entered for tools could not be read. {list.reason}</p>
      <button type="button" class="main-button" onClick={() => void loadSecrets()}>
        Try again
      </button>
    </div>
  );
}

export function SecretForms({ secrets }: { secrets: Secret[] }) {
  const id = useId();
  return (
    <div class="mt-2.5 rounded-xl border border-line bg-raised px-4 py-3.5" role="group" aria-labelledby={id}>
      <h3 id={id} class="text-sm font-medium">
        What these tools need from you
      </h3>
      <p class="mt-0.5 text-xs leading-5 text-soft">
        {standing(secrets)} It is kept encrypted and goes to these tools only, never to the model.
      </p>
      {secrets.map((secret) => (
        <SecretForm key={keyOf(secret)} secret={secret} />
      ))}
    </div>
  );
}

function SecretForm({ secret }: { secret: Secret }) {
  const id = useId();
  /** The typed text; null before anything was typed. */
  const [typed, setTyped] = useState<string | null>(null);
  const [fault, setFault] = useState<string | null>(null);
  const state = savingSecrets.value.get(keyOf(secret));
  const waiting = state?.at === "sending";
  const value = typed ?? secret.value ?? "";
  const title = visible(secret.title);
  const reason = fault ?? (state?.at === "failed" ? `Not saved. ${state.reason}` : null);

  const save = async (event: Event) => {
    event.preventDefault();
    const found = faultOf(value);
    setFault(found);
    if (found !== null || waiting) return;
    if (await saveSecret(secret, value)) {
      setTyped(null);
      announce(`${title}: saved`);
    }
  };
  const remove = async (button: HTMLElement) => {
    if (waiting) return;
    // The button disappears, so the focus moves to the field.
    button.closest("form")?.querySelector<HTMLElement>("input")?.focus();
    setFault(null);
    if (await removeSecret(secret)) {
      setTyped(null);
      announce(`${title}: removed`);
    }
  };

  const field = {
    id: `${id}-value`,
    class: "field min-w-0 flex-[1_1_12rem]",
    spellcheck: false,
    placeholder: secret.is_set && !secret.visible ? "Saved. Enter another to replace it" : "",
    "aria-invalid": reason !== null,
    "aria-describedby": `${id}-about ${id}-state`,
    onInput: (event: TargetedInputEvent<HTMLInputElement>) => {
      setTyped(event.currentTarget.value);
      setFault(null);
    },
  };
  return (
    <form class="mt-3.5 grid gap-1.5" autocomplete="off" onSubmit={(event) => void save(event)}>
      <label for={`${id}-value`} class="text-sm">
        <bdi class="break-words">{title}</bdi>
        {secret.optional && <span class="text-soft">, optional</span>}
      </label>
      {secret.description && (
        <p id={`${id}-about`} class="text-xs leading-5 break-words text-soft">
          {visible(secret.description)}
        </p>
      )}
      <div class="flex flex-wrap items-center gap-2">
        {secret.visible ? (
          <input {...field} type="text" dir="auto" autocomplete="off" value={value} />
        ) : (
          // Otherwise a password manager would offer the password of this page.
          <input {...field} type="password" autocomplete="new-password" value={value} />
        )}
        <button type="submit" class="main-button" aria-label={`Save ${title}`} disabled={waiting}>
          Save
        </button>
        {secret.is_set && (
          <button
            type="button"
            class="plain-button"
            aria-label={`Remove ${title}`}
            disabled={waiting}
            onClick={(event) => void remove(event.currentTarget)}
          >
            Remove
          </button>
        )}
      </div>
      <p id={`${id}-state`} class="text-xs leading-5 text-soft">
        {waiting ? "Saving…" : secret.is_set ? "Saved" : "Not entered yet"}
      </p>
      {reason !== null && (
        <p class="text-xs leading-5 text-danger" role="alert">
          {reason}
        </p>
      )}
    </form>
  );
}
