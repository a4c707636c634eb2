/** Requests about assistants. `api.ts` sends them. */
import { query, send } from "./api.ts";
import type { Assistant, AssistantContents, NamedGroup, Page } from "./types.ts";

const path = (id: string) => `/api/assistants/${encodeURIComponent(id)}`;

export const assistants = {
  list: (cursor: string | null) => send<Page<Assistant>>("GET", `/api/assistants${query({ limit: "100", cursor })}`),
  make: (contents: AssistantContents) => send<Assistant>("POST", "/api/assistants", { body: contents, once: true }),
  change: (id: string, contents: Partial<AssistantContents>) => send<Assistant>("PATCH", path(id), { body: contents }),
  remove: (id: string) => send<void>("DELETE", path(id)),
  /** The groups that the person can share with. */
  groups: () => send<Page<NamedGroup>>("GET", "/api/groups"),
};
