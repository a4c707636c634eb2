/** The servers elsewhere that the person connects, and what came of the last attempt. */
import { signal } from "@preact/signals";
import { tools as api, describe } from "../api.ts";
import type { Connection } from "../types.ts";
import { endedBy } from "./session.ts";
import { loadTools } from "./tools.ts";

export type ConnectionList =
  { at: "loading" } | { at: "failed"; reason: string } | { at: "ready"; items: Connection[] };

export const connectionList = signal<ConnectionList>({ at: "loading" });
/** The servers that are being connected or disconnected, or could not be, and why. */
export const changingConnections = signal<
  ReadonlyMap<string, { at: "sending" } | { at: "failed"; reason: string }>
>(new Map());

/** The shown list stays while it is loaded again. */
export async function loadConnections(): Promise<void> {
  if (connectionList.value.at === "failed") connectionList.value = { at: "loading" };
  try {
    connectionList.value = { at: "ready", items: (await api.connections()).items };
  } catch (error) {
    if (!endedBy(error)) connectionList.value = { at: "failed", reason: describe(error) };
  }
}

/** Leads to the page of the authorization server, from which the person comes back to this page. */
export async function connect(server: string, open = (address: string) => location.assign(address)): Promise<void> {
  await change(server, async () => {
    const { authorization_url } = await api.connect(server);
    // The server has checked it; an address that runs something here must never be opened.
    if (!/^https?:/i.test(authorization_url)) throw new Error("This is not the address of a page.");
    open(authorization_url);
  });
}

/** Returns true once the connection is gone. */
export async function disconnect(server: string): Promise<boolean> {
  const isGone = await change(server, () => api.disconnect(server));
  if (isGone) await Promise.all([loadConnections(), loadTools()]);
  return isGone;
}

export function forgetConnections(): void {
  connectionList.value = { at: "loading" };
  changingConnections.value = new Map();
}

export type Outcome = { isConnected: boolean; words: string };

const FAULTS: Record<string, string> = {
  denied: "was not connected: access was not given there.",
  expired: "The attempt to connect is over or was begun in another browser. Begin again here.",
  too_many: "was not connected: you have connected as many servers as possible. Disconnect one first.",
  refused: "was not connected: its authorization server did not give access. Try again, or ask its operator.",
  unavailable: "was not connected, because of a fault here. Try again later.",
};

/** What the address says about an attempt from which the person has just come back; null if nothing. */
export function outcomeOf(search: string): Outcome | null {
  const said = new URLSearchParams(search);
  const connected = said.get("connected");
  if (connected !== null) return { isConnected: true, words: `${connected} is connected.` };
  const failed = said.get("connection_failed");
  if (failed === null) return null;
  const words = FAULTS[failed] ?? "was not connected. Try again.";
  const server = said.get("server");
  return { isConnected: false, words: failed === "expired" ? words : `${server ?? "The server"} ${words}` };
}

async function change(server: string, send: () => Promise<void>): Promise<boolean> {
  if (changingConnections.value.get(server)?.at === "sending") return false;
  note(server, { at: "sending" });
  try {
    await send();
    note(server, null);
    return true;
  } catch (error) {
    note(server, endedBy(error) ? null : { at: "failed", reason: describe(error) });
    return false;
  }
}

function note(server: string, state: { at: "sending" } | { at: "failed"; reason: string } | null): void {
  const next = new Map(changingConnections.value);
  if (state === null) next.delete(server);
  else next.set(server, state);
  changingConnections.value = next;
}
