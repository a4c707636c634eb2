/** The servers elsewhere that a person connects, and what they are told when they come back. */
import { answers, asked, refusal } from "./tab.ts";
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import * as connections from "../src/state/connections.ts";
import type { Connection } from "../src/types.ts";

const wiki: Connection = {
  server: "wiki",
  host: "wiki.example.org",
  state: "not_connected",
  message: null,
  connected_at: null,
};

afterEach(() => {
  connections.forgetConnections();
  answers.clear();
  asked.length = 0;
});

test("the person is led to the page where they agree, and to no other kind of address", async () => {
  const opened: string[] = [];
  const open = (address: string) => void opened.push(address);
  answers.set("POST /api/tools/connections", () => Response.json({ authorization_url: "https://auth.example.org/a" }));
  await connections.connect("wiki", open);
  answers.set("POST /api/tools/connections", () => Response.json({ authorization_url: "javascript:alert(1)" }));
  await connections.connect("wiki", open);
  assert.deepEqual(opened, ["https://auth.example.org/a"]);
  assert.equal(connections.changingConnections.value.get("wiki")?.at, "failed");
});

test("a server that cannot be connected says why", async () => {
  let times = 0;
  answers.set("POST /api/tools/connections", () => {
    times += 1;
    return refusal(502, "connection_failed", "wiki cannot be connected.");
  });
  await connections.connect("wiki", () => assert.fail("nothing is opened"));
  assert.equal(times, 1, "it counts, and asks the server each time");
  assert.deepEqual(connections.changingConnections.value.get("wiki"), {
    at: "failed",
    reason: "wiki cannot be connected.",
  });
});

test("what is disconnected is listed anew", async () => {
  answers.set("GET /api/tools/connections", () => Response.json({ items: [wiki] }));
  answers.set("DELETE /api/tools/connections", () => new Response(null, { status: 204 }));
  answers.set("GET /api/tools", () => Response.json({ items: [], next_cursor: null, problems: [] }));
  assert.equal(await connections.disconnect("wiki"), true);
  assert.deepEqual(connections.connectionList.value, { at: "ready", items: [wiki] });
});

test("who comes back is told what came of it", () => {
  const said = (search: string) => connections.outcomeOf(search)?.words ?? null;
  assert.equal(said(""), null);
  assert.deepEqual(connections.outcomeOf("?connected=wiki"), { isConnected: true, words: "wiki is connected." });
  assert.match(said("?connection_failed=denied&server=wiki") ?? "", /^wiki was not connected: access was not given/);
  assert.match(said("?connection_failed=expired") ?? "", /^The attempt to connect is over/);
  assert.match(said("?connection_failed=another&server=wiki") ?? "", /^wiki was not connected/);
});
