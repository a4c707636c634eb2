/** Requests about assistants. `api.ts` sends them. */
import { send } from "./api.ts";
import type { AssistantContents } from "./types.ts";

export const assistants = {
  list: (cursor: string | null) => send("get", "/api/assistants", { query: { limit: 100, cursor } }),
  make: (contents: AssistantContents) => send("post", "/api/assistants", { body: contents, once: true }),
  change: (id: string, contents: Partial<AssistantContents>) =>
    send("patch", "/api/assistants/{id}", { path: { id }, body: contents }),
  remove: (id: string) => send("delete", "/api/assistants/{id}", { path: { id } }),
  /** The groups that the person can share with. */
  groups: () => send("get", "/api/groups"),
};
