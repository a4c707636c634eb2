// People who open the app and look around: lists, one conversation, their tools, the models. No model is asked.
import { request, everybody } from "./app.js";

export const options = {
  scenarios: { reading: everybody },
  thresholds: {
    checks: ["rate==1"],
    http_req_failed: ["rate==0"],
    // At 20 people on two cores that also run this.
    "http_req_duration{name:list}": ["p(95)<500"],
    "http_req_duration{name:messages}": ["p(95)<500"],
    "http_req_duration{name:models}": ["p(95)<500"],
  },
};

export function setup() {
  const made = request("POST", "/api/conversations", { body: { title: "Read often" }, name: "conversation", status: 201 });
  return { path: `/api/conversations/${made.json("id")}` };
}

export default function ({ path }) {
  request("GET", "/api/conversations", { name: "list", status: 200 });
  request("GET", `${path}/messages`, { name: "messages", status: 200 });
  request("GET", "/api/models", { name: "models", status: 200 });
}

export function teardown({ path }) {
  request("DELETE", path, { name: "delete", status: 204 });
}
