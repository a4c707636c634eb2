// Programs that call a tool over MCP, through the gateway and its sandbox.
import { check } from "k6";
import { request, everybody } from "./app.js";

export const options = {
  scenarios: { tools: everybody },
  thresholds: {
    checks: ["rate==1"],
    http_req_failed: ["rate==0"],
    "http_req_duration{name:call}": ["p(95)<1000"],
  },
};

export default function () {
  const params = { name: "calculator_calculate", arguments: { expression: "6 * 7" } };
  const body = { jsonrpc: "2.0", id: 1, method: "tools/call", params };
  const type = "application/json, text/event-stream";
  const answer = request("POST", "/mcp", { body, name: "call", status: 200, type });
  check(answer, { "the result is right": ({ body: said }) => said.includes("42") });
}
