// The TypeScript SDK as a client: see gateway.test.mjs.
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

const [url, revision] = process.argv.slice(2);
const token = process.env.MCP_TOKEN;
// The older revision begins with `initialize`. This client sends it first, unless it is told to detect the revision.
const mode = revision === "2025-11-25" ? "legacy" : "auto";
const client = new Client({ name: "gateway-test", version: "1.0.0" }, { versionNegotiation: { mode } });
const requestInit = token ? { headers: { authorization: `Bearer ${token}` } } : {};
await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit }));

const call = async (name, args) => (await client.callTool({ name, arguments: args })).structuredContent;
const said = {
  revision: client.getNegotiatedProtocolVersion(),
  tools: (await client.listTools()).tools.map((tool) => tool.name),
  clock_now: await call("clock_now", { time_zone: "Asia/Tokyo" }),
  calculator_calculate: await call("calculator_calculate", { expression: "0.1+0.2" }),
};
await client.close();
console.log(JSON.stringify(said));
