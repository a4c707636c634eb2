/** Scopes of programs in words. */
import { visible } from "../visible.ts";

/** What a scope lets a program do. One that has no words is shown as it is written. */
export function scopeInWords(scope: string): string {
  if (scope === "*") return "Do everything that the account may do";
  if (scope === "gateway:use") return "Connect to the tools here";
  if (scope === "conversations:read") return "Read conversations";
  if (scope === "conversations:write") return "Write in conversations and start answers";
  if (scope === "tools:read") return "See which tools there are";
  if (scope === "models:call") return "Ask models over OpenAI's API";
  if (scope === "models:use:*") return "Use all models";
  if (scope === "tools:call:*") return "Call all tools, where this is allowed without asking";
  const server = /^tools:call:([^:]+):\*$/.exec(scope)?.[1];
  return server === undefined ? visible(scope) : `Call the tools of ${visible(server)}, where this is allowed without asking`;
}
