/** What the person may do on the pages for administrators. The server decides; here, what they may not do is not offered. */
import { SECTIONS, type Section } from "./state/route.ts";
import type { User } from "./types.ts";

/** What each section needs to be seen. */
const NEEDS: Record<Section, string> = {
  users: "users:read",
  invitations: "invitations:manage",
  groups: "groups:manage",
  roles: "users:read",
  "service-accounts": "service-accounts:manage",
  sessions: "sessions:manage",
  providers: "providers:manage",
  limits: "limits:manage",
  usage: "usage:read",
  audit: "audit:read",
  retention: "retention:manage",
  erasures: "users:erase",
  webhooks: "webhooks:manage",
  keys: "keys:manage",
  settings: "settings:read",
};

export function may(user: User, permission: string): boolean {
  const has = user.permissions ?? [];
  return has.includes("*") || has.includes(permission);
}

/** The sections that the person may see; none for most. */
export function sectionsOf(user: User): Section[] {
  return SECTIONS.filter((section) => may(user, NEEDS[section]));
}
