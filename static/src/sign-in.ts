/**
 * What the log-in page is told when somebody comes back from an organisation's provider: a code in the address. These are
 * its words.
 */

/** The account with this address has a password, which is to be entered once. */
export const LINK_ACCOUNT = "link_account";

/** The person asked for the erasure of the account, and can still keep it. */
export const ERASURE_PENDING = "erasure_pending";

const WORDS: Record<string, string> = {
  provider_unavailable:
    "Your organisation’s sign-in cannot be used at the moment. Try again soon. If it stays so, tell your administrator.",
  denied: "Nobody was signed in: your organisation’s sign-in was cancelled there, or you may not use this app.",
  expired: "This sign-in took too long, or was finished before. Try again.",
  refused:
    "Your organisation’s sign-in was not accepted here, so nobody was signed in. Try again. If it stays so, tell your administrator.",
  email_missing:
    "Your organisation does not say your email address, and an account needs one. Ask your administrator to release it.",
  email_unverified:
    "Your organisation has not verified your email address. Verify it there, or ask your administrator, and try again.",
  address_taken:
    "An account here has your address already, but was signed in to in another way. Ask an administrator for a link that sets a password for it, then sign in here again and enter that password.",
  signup_closed: "You have no account here, and none is made by signing in. Ask an administrator for an invitation.",
  invitation_invalid: "This invitation has expired, was withdrawn or has been used. Ask an administrator for another.",
  failed: "Something went wrong here, so nobody was signed in. Try again. If it stays so, tell your administrator.",
  erasure_pending: "Your account is going to be erased, as you asked. If you want to keep it, say so below.",
  account_suspended: "This account is suspended. Ask an administrator.",
};

const PARAMETER = "sign_in";

/** The outcome in a query, such as `?sign_in=denied`. */
export function outcomeIn(query: string): string | null {
  return new URLSearchParams(query).get(PARAMETER);
}

/** The same query without the outcome. Empty if nothing else is in it. */
export function withoutOutcome(query: string): string {
  const others = new URLSearchParams(query);
  others.delete(PARAMETER);
  const rest = others.toString();
  return rest === "" ? "" : `?${rest}`;
}

/** The words for an outcome; null if there are none. */
export function wordsFor(outcome: string): string | null {
  return Object.hasOwn(WORDS, outcome) ? (WORDS[outcome] ?? null) : null;
}

/** Where a provider's button leads: out, and back to this path. */
export function signInPath(provider: string, returnTo: string): string {
  return `/auth/oidc/login?${new URLSearchParams({ provider, return_to: returnTo })}`;
}
