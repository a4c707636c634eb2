// Each scenario for a few seconds, against an app of its own, so that the scenarios stay true and their thresholds hold where nothing
// else runs. EA_HOST is the host's program, K6 the program of k6.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { after, before, test } from "node:test";
import { serve } from "../conformance/host.mjs";

const SETTINGS = [
  // Everybody here is one person.
  "requests_per_minute=0",
  "person_requests_per_minute=0",
  "session_requests_per_minute=0",
  "tool_calls_per_minute=100000",
];
const NOT_SCENARIOS = ["app.js"];
const SCENARIOS = readdirSync(import.meta.dirname).filter((file) => file.endsWith(".js") && !NOT_SCENARIOS.includes(file));

let host;
let key;

before(async () => {
  host = await serve("spin.toml", "--model-server", ...SETTINGS.flatMap((setting) => ["--variable", setting]));
  const made = async (path, body, headers) => {
    const init = { method: "POST", headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(body) };
    const response = await fetch(`${host.url}${path}`, init);
    assert.equal(response.status, 201, path);
    return response.json();
  };
  const session = await made("/auth/signup", { email: "load@example.org", password: "correct horse battery staple" });
  key = (await made("/auth/api-keys", { name: "load" }, { authorization: `Bearer ${session.access_token}` })).key;
});
after(() => host?.end());

for (const scenario of SCENARIOS) {
  test(`the thresholds of ${basename(scenario, ".js")} hold`, async () => {
    const settings = { EA_URL: host.url, EA_API_KEY: key, EA_SECONDS: "4", EA_PEOPLE: "4" };
    const args = ["run", "--no-usage-report", "--quiet", join(import.meta.dirname, scenario)];
    const k6 = spawn(process.env.K6 ?? "k6", args, { env: { ...process.env, ...settings } });
    let said = "";
    for (const stream of [k6.stdout, k6.stderr]) stream.on("data", (data) => (said += data));
    const [code] = await once(k6, "close");
    assert.equal(code, 0, said);
  });
}
