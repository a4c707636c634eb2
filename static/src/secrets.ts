/** Functions about the secrets of tools, without requests. They never keep the person's input. */
import type { Secret } from "./types.ts";

/** The server's limit. */
const MAX_VALUE_BYTES = 4 * 1024;

/** A secret's unique key. */
export function keyOf(secret: Secret): string {
  return JSON.stringify([secret.server, secret.name]);
}

export function secretsOf(items: Secret[], server: string): Secret[] {
  return items.filter((item) => item.server === server);
}

/** The list with one item replaced by its current state. */
export function withSecret(items: Secret[], changed: Secret): Secret[] {
  return items.map((item) => (keyOf(item) === keyOf(changed) ? changed : item));
}

/** The server's description of a secret after it was removed. */
export function removed({ value: _, ...rest }: Secret): Secret {
  return { ...rest, is_set: false };
}

/** The message why a value cannot be saved; null if it can. */
export function faultOf(value: string): string | null {
  if (value === "") return "Enter something first.";
  if (new TextEncoder().encode(value).length > MAX_VALUE_BYTES) return "This is too long: at most 4,096 bytes.";
  return null;
}

/** Whether a server's tools have the secrets that they need, in words. */
export function standing(secrets: Secret[]): string {
  const needed = secrets.filter((secret) => !secret.optional);
  const missing = needed.filter((secret) => !secret.is_set).length;
  if (missing === 0) return needed.length > 0 ? "All required secrets are entered." : "These are optional.";
  return missing === needed.length ? "Not entered yet." : `${missing} of ${needed.length} not entered yet.`;
}
