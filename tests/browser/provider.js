// An organisation's provider: npm `oidc-provider`, which is certified for OpenID Connect, with two people and its own pages for logging in.
import { createServer } from "node:http";
import { once } from "node:events";
import { after } from "node:test";
import Provider from "oidc-provider";

const CLIENT = { client_id: "edge-assistant", client_secret: "a secret of the tests" };

/** A provider for the tests of a file. It starts before the app, which gets its variables, and knows the app once that serves. */
export class Organisation {
  #handle = (_request, response) => response.writeHead(503).end();
  #server = createServer((request, response) => this.#handle(request, response));

  constructor() {
    after(() => (this.#server.closeAllConnections(), this.#server.close()));
  }

  /** The variables with which an app knows it. `more` are further settings of the provider there. */
  async variables(more = {}) {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    this.issuer = `http://127.0.0.1:${this.#server.address().port}`;
    const settings = { name: "corp", label: "Corp", issuer: this.issuer, ...CLIENT, ...more };
    return [`oidc_providers=${JSON.stringify([settings])}`, `oidc_host=${this.issuer}`];
  }

  /** The app has started at this address. */
  serve(address) {
    const app = new URL(address).origin;
    const client = {
      ...CLIENT,
      redirect_uris: [`${app}/auth/oidc/callback/corp`],
      post_logout_redirect_uris: [`${app}/`],
      backchannel_logout_uri: `${app}/auth/oidc/backchannel-logout`,
      backchannel_logout_session_required: true,
    };
    const claims = { email: ["email", "email_verified"], profile: ["name", "groups"] };
    const findAccount = (_context, sub) => ({
      accountId: sub,
      claims: () => ({ sub, email: `${sub}@corp.example`, email_verified: true, name: "Ada of Corp", groups: ["staff"] }),
    });
    // Its own way out refuses addresses of this machine, where the app of the tests is.
    const send = (url, { dispatcher: _, ...options }) => fetch(url, options);
    const features = { backchannelLogout: { enabled: true }, rpInitiatedLogout: { enabled: true } };
    this.#handle = new Provider(this.issuer, { clients: [client], claims, findAccount, features, fetch: send }).callback();
  }
}

/** On the provider's pages: logs in as this person, and agrees. Its pages would ask another site for a font. */
export async function agree(page, who) {
  await page.locator("input[name=login]").fill(who);
  await page.locator("input[name=password]").fill("any");
  await page.getByRole("button", { name: "Sign-in" }).click();
  await page.getByRole("button", { name: "Continue" }).click();
}
