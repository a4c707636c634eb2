/** Messages between the tabs of a browser. They carry no content: a tab that learns of a change asks the server. */
import type { Decision } from "../types.ts";

export type TabNews =
  | { kind: "signed_in" }
  | { kind: "signed_out" }
  | { kind: "changed"; conversationId: string }
  | { kind: "decided"; runId: string; callId: string; decision: Decision };

const channel = new BroadcastChannel("ea.tabs");

export function tellTabs(news: TabNews): void {
  channel.postMessage(news);
}

export function onTabNews(listener: (news: TabNews) => void): void {
  channel.addEventListener("message", (event: MessageEvent<TabNews>) => listener(event.data));
}
