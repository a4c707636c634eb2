// What the scenarios share: the address and the key of an installation, and requests to it whose answers are checked.
import http from "k6/http";
import { check, fail } from "k6";

if (!__ENV.EA_URL || !__ENV.EA_API_KEY) {
  fail("set EA_URL to the app's address and EA_API_KEY to an API key: k6 run --env EA_URL=... --env EA_API_KEY=...");
}

/** Whether it only asks whether all works, `EA_ONCE`: one person, once. */
export const isOnce = Boolean(__ENV.EA_ONCE);

/** How long it runs, and with how many people at once: `EA_SECONDS`, `EA_PEOPLE`. */
export const everybody = isOnce
  ? { executor: "shared-iterations", iterations: 1, vus: 1, maxDuration: "3m" }
  : { executor: "constant-vus", duration: `${__ENV.EA_SECONDS ?? 60}s`, vus: Number(__ENV.EA_PEOPLE ?? 20) };

/** Sends a request and checks the status of its answer. `name` groups requests whose addresses differ. */
export function request(method, path, { body, name, status, type = "application/json" }) {
  const headers = { authorization: `Bearer ${__ENV.EA_API_KEY}`, "content-type": "application/json", accept: type };
  const sent = body === undefined ? null : JSON.stringify(body);
  const answer = http.request(method, `${__ENV.EA_URL}${path}`, sent, { headers, tags: { name } });
  check(answer, { [`${name}: ${status}`]: ({ status: said }) => said === status });
  return answer;
}
