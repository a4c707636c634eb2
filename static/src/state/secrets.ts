/** The secrets that the person has entered for tools, as the server describes them. Values are sent and not kept. */
import { signal } from "@preact/signals";
import { tools as api, describe } from "../api.ts";
import { keyOf, removed, withSecret } from "../secrets.ts";
import type { Secret } from "../types.ts";
import { endedBy } from "./session.ts";

export type SecretList = { at: "loading" } | { at: "failed"; reason: string } | { at: "ready"; items: Secret[] };

export const secretList = signal<SecretList>({ at: "loading" });
/** The secrets (by their keys) that are being saved or removed, or could not be, and why. */
export const savingSecrets = signal<ReadonlyMap<string, { at: "sending" } | { at: "failed"; reason: string }>>(
  new Map(),
);

/** The shown list stays while it is loaded again. */
export async function loadSecrets(): Promise<void> {
  if (secretList.value.at === "failed") secretList.value = { at: "loading" };
  try {
    secretList.value = { at: "ready", items: (await api.secrets()).items };
  } catch (error) {
    if (!endedBy(error)) secretList.value = { at: "failed", reason: describe(error) };
  }
}

/** Returns true once the server has stored it. */
export function saveSecret(secret: Secret, value: string): Promise<boolean> {
  return change(secret, () => api.setSecret(secret.server, secret.name, value));
}

/** Returns true once the server has removed it. */
export function removeSecret(secret: Secret): Promise<boolean> {
  return change(secret, async () => {
    await api.removeSecret(secret.server, secret.name);
    return removed(secret);
  });
}

export function forgetSecrets(): void {
  secretList.value = { at: "loading" };
  savingSecrets.value = new Map();
}

async function change(secret: Secret, send: () => Promise<Secret>): Promise<boolean> {
  const key = keyOf(secret);
  if (savingSecrets.value.get(key)?.at === "sending") return false;
  note(key, { at: "sending" });
  try {
    const changed = await send();
    const list = secretList.value;
    if (list.at === "ready") secretList.value = { at: "ready", items: withSecret(list.items, changed) };
    note(key, null);
    return true;
  } catch (error) {
    note(key, endedBy(error) ? null : { at: "failed", reason: describe(error) });
    return false;
  }
}

function note(key: string, state: { at: "sending" } | { at: "failed"; reason: string } | null): void {
  const next = new Map(savingSecrets.value);
  if (state === null) next.delete(key);
  else next.set(key, state);
  savingSecrets.value = next;
}
