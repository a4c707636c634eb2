/** What the page knows of secrets for tools without asking anybody. Never keeps what the person types. */
import type { Secret } from "./types.ts";

/** As the server has it. */
const MAX_VALUE_BYTES = 4 * 1024;

/** How one secret is told from all others. */
export function keyOf(secret: Secret): string {
  return JSON.stringify([secret.server, secret.name]);
}

export function secretsOf(items: Secret[], server: string): Secret[] {
  return items.filter((item) => item.server === server);
}

/** The list with one of its items as it is now. */
export function withSecret(items: Secret[], changed: Secret): Secret[] {
  return items.map((item) => (keyOf(item) === keyOf(changed) ? changed : item));
}

/** What the server says of a secret that was removed. */
export function removed({ value: _, ...rest }: Secret): Secret {
  return { ...rest, is_set: false };
}

/** Why a value cannot be saved, in words for the person; null if it can. */
export function faultOf(value: string): string | null {
  if (value === "") return "Enter something first.";
  if (new TextEncoder().encode(value).length > MAX_VALUE_BYTES) return "This is too long: at most 4,096 bytes.";
  return null;
}

/** Whether a server's tools have what they need. */
export function standing(secrets: Secret[]): string {
  const needed = secrets.filter((secret) => !secret.optional);
  const missing = needed.filter((secret) => !secret.is_set).length;
  if (missing === 0) return needed.length > 0 ? "Everything needed is entered." : "They can do without it.";
  return missing === needed.length ? "Not entered yet." : `${missing} of ${needed.length} not entered yet.`;
}
