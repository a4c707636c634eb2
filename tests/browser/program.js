// A program that asks to be let in by a person, in their browser.
import { createHash } from "node:crypto";

export const REDIRECT = "https://program.example.org/callback";
const VERIFIER = "a verifier of a program, 43 characters long";

/** What a program sends its person's browser to, and how it gets its token when the browser comes back. */
export async function program(page) {
  const origin = new URL(page.url()).origin;
  const post = async (path, init) => (await fetch(`${origin}${path}`, { method: "POST", ...init })).json();
  const headers = { "content-type": "application/json" };
  const body = JSON.stringify({ client_name: "Letter Writer", redirect_uris: [REDIRECT] });
  const { client_id } = await post("/oauth/register", { headers, body });
  const challenge = createHash("sha256").update(VERIFIER).digest("base64url");
  const asked = { client_id, redirect_uri: REDIRECT, response_type: "code", state: "s", resource: `${origin}/mcp` };
  const query = new URLSearchParams({ ...asked, code_challenge: challenge, code_challenge_method: "S256" });
  const exchange = (code) => {
    const grant = { grant_type: "authorization_code", code, client_id };
    return post("/oauth/token", {
      body: new URLSearchParams({ ...grant, redirect_uri: REDIRECT, code_verifier: VERIFIER }),
    });
  };
  const call = (token) =>
    fetch(`${origin}/mcp`, { method: "POST", headers: { ...headers, authorization: `Bearer ${token}` }, body: "{}" });
  return { address: `${origin}/oauth/authorize?${query}`, exchange, opens: async (token) => (await call(token)).status !== 401 };
}
