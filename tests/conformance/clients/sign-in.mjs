// The TypeScript SDK signs in by OAuth: see sign-in.test.mjs. MCP_SESSION is the person's session, with which this program
// decides for them.
import { Client, StreamableHTTPClientTransport, UnauthorizedError } from "@modelcontextprotocol/client";

const [url, revision] = process.argv.slice(2);
const session = { authorization: `Bearer ${process.env.MCP_SESSION}` };
const kept = {};
let callback;

/** What the SDK keeps, and the person's browser, as far as a program sees it. */
const provider = {
  redirectUrl: "http://127.0.0.1:49152/callback",
  clientMetadata: { client_name: "TypeScript SDK", redirect_uris: ["http://127.0.0.1:49152/callback"] },
  clientInformation: () => kept.client,
  saveClientInformation: (client) => void (kept.client = client),
  tokens: () => kept.tokens,
  saveTokens: (tokens) => void (kept.tokens = tokens),
  saveCodeVerifier: (verifier) => void (kept.verifier = verifier),
  codeVerifier: () => kept.verifier,
  discoveryState: () => kept.discovery,
  saveDiscoveryState: (state) => void (kept.discovery = state),
  state: () => "some state",
  async redirectToAuthorization(address) {
    const began = await fetch(address, { redirect: "manual" });
    const page = new URL(began.headers.get("location"), url);
    if (began.status !== 303 || page.pathname !== "/authorize") throw new Error(`${began.status} ${page}`);
    const wanted = await fetch(new URL(`/oauth/authorization${page.search}`, url), { headers: session });
    const { request } = await wanted.json();
    const decided = await fetch(new URL("/oauth/authorization", url), {
      method: "POST",
      headers: { ...session, "content-type": "application/json" },
      body: JSON.stringify({ request, decision: "allow" }),
    });
    callback = new URL((await decided.json()).redirect_to).searchParams;
  },
};

const mode = revision === "2025-11-25" ? "legacy" : "auto";
async function connected() {
  const client = new Client({ name: "sign-in-test", version: "1.0.0" }, { versionNegotiation: { mode } });
  const transport = new StreamableHTTPClientTransport(new URL(url), { authProvider: provider });
  return { transport, client, connect: () => client.connect(transport) };
}
async function said({ client }) {
  const result = await client.callTool({ name: "calculator_calculate", arguments: { expression: "0.1+0.2" } });
  return result.structuredContent;
}

const before = await connected();
await before.connect().then(
  () => {
    throw new Error("It was let in without a person.");
  },
  async (error) => {
    if (!(error instanceof UnauthorizedError)) throw error;
    await before.transport.finishAuth(callback);
  },
);
const first = await connected();
await first.connect();
const tools = (await first.client.listTools()).tools.map((tool) => tool.name);
const result = await said(first);
const negotiated = first.client.getNegotiatedProtocolVersion();
await first.client.close();
// Another start of the program, when the access token is over.
const { refresh_token } = kept.tokens;
kept.tokens = { ...kept.tokens, access_token: "over" };
callback = undefined;
const second = await connected();
await second.connect();
const again = await said(second);
await second.client.close();
if (callback !== undefined) throw new Error("The person was asked again.");
console.log(
  JSON.stringify({ revision: negotiated, tools, result, again, rotated: kept.tokens.refresh_token !== refresh_token }),
);
