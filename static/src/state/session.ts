/** The signed-in person. The session itself is in two HttpOnly cookies, which this code cannot read. */
import { signal } from "@preact/signals";
import { ApiError, auth, describe } from "../api.ts";
import { outcomeIn, withoutOutcome, wordsFor } from "../sign-in.ts";
import type { Session, User } from "../types.ts";
import { forgetAttached } from "./attachments.ts";
import { forgetDrafts, ownDrafts } from "./drafts.ts";
import { parsePath, route } from "./route.ts";
import { onTabNews, tellTabs } from "./tabs.ts";

export type SessionState =
  /** `reason`: why the person was logged out, if they did not do it. */
  | { at: "asking" }
  | { at: "out"; reason: string | null }
  | { at: "in"; user: User }
  | { at: "unreachable"; reason: string };

export const session = signal<SessionState>({ at: "asking" });

const ENDINGS: Record<string, string> = {
  session_expired: "You were away for a long time, so you were logged out. Log in to go on.",
  session_ended: "You logged out in another place, or your session was ended. Log in to go on.",
  second_factor_setup_required: "Your role needs a second factor by now. Log in to set one up.",
  account_suspended: "This account is suspended. Ask an administrator.",
  session_revoked: "Your session was used in two places at once, so it was ended to be safe. Log in to go on.",
};
const ENDED = "Your session has ended. Log in to go on.";

/** How the person came back from a provider, unless they are signed in: a code. */
export const outcome = signal<string | null>(null);

/** Takes the outcome out of the address, so that a reload does not tell it again. */
function readOutcome(): void {
  const code = outcomeIn(location.search);
  if (code === null) return;
  history.replaceState(null, "", location.pathname + withoutOutcome(location.search) + location.hash);
  outcome.value = code;
}

/** Where the person was, kept in this tab while they are at a provider. */
const AWAY = "ea.away";

/**
 * The person leaves for a provider. When they come back signed in, the other tabs must hear of it. The server brings them back
 * to the path alone, because the query of a program that wants to be let in is longer than it keeps; so the query stays here.
 * The form of an invitation is no use without the secret, which is in the address no more: whoever had one comes to the start.
 */
export function leaveForProvider(): void {
  sessionStorage.setItem(AWAY, route.value.page === "invitation" ? "/" : location.pathname + location.search);
}

/** Puts the address back with which the person left, unless this page was opened for something else. */
function comeBackTo(away: string): void {
  const [path] = away.split("?", 1);
  // A sign-in that took too long does not know any more where it began.
  const isLost = outcome.value !== null && location.pathname === "/";
  // A query that is there belongs to a newer request.
  if (location.search !== "" || (location.pathname !== path && !isLost)) return;
  history.replaceState(null, "", away);
  route.value = parsePath(location.pathname);
}

/** Asks the server who is signed in. */
export async function resume(): Promise<void> {
  readOutcome();
  const away = sessionStorage.getItem(AWAY);
  sessionStorage.removeItem(AWAY);
  if (away !== null) comeBackTo(away);
  try {
    const user = await auth.me();
    if (away !== null) enter(user);
    else arrive(user);
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) {
      // A person who was not logged in is not told that they were logged out.
      const told = outcome.value === null ? null : wordsFor(outcome.value);
      session.value = { at: "out", reason: told ?? ENDINGS[error.code] ?? null };
    } else {
      session.value = { at: "unreachable", reason: describe(error) };
    }
  }
}

/** `invitation`: the secret of a link that somebody was given. */
export async function signUp(email: string, password: string, name: string, invitation?: string): Promise<void> {
  const body = { email, password, ...(name === "" ? {} : { name }), ...(invitation ? { invitation } : {}) };
  await entering(() => auth.signup(body));
}

/** Sets a new password with a link. Whoever was logged in to the account is not any more, and nobody is in this browser. */
export async function resetPassword(token: string, password: string): Promise<void> {
  await auth.resetPassword(token, password);
  session.value = { at: "out", reason: null };
}

/** `keeping`: whether to take back the erasure of the account, and the code with which, if it has a second factor. */
export async function logIn(email: string, password: string, keeping?: { code: string | null }): Promise<void> {
  const keep = keeping === undefined ? {} : { keep_account: true };
  const code = keeping?.code ? { code: keeping.code } : {};
  await entering(() => auth.login({ email, password, ...keep, ...code }));
}

/** What is left to do after the right password, if anything is. `codes`: the recovery codes are shown before the person goes on. */
export type Step =
  | { at: "code"; challenge: string }
  | { at: "setup"; challenge: string }
  | { at: "codes"; codes: string[]; user: User };

export const step = signal<Step | null>(null);

/** Logs in, or asks for the second step. */
async function entering(ask: () => Promise<Session>): Promise<void> {
  step.value = null;
  try {
    enter((await ask()).user);
  } catch (error) {
    if (!(error instanceof ApiError) || error.challenge === null) throw error;
    const { challenge, code } = error;
    step.value = { at: code === "second_factor_setup_required" ? "setup" : "code", challenge };
  }
}

/** The second step: a code of the person's app, or a recovery code. */
export async function answerChallenge(challenge: string, code: string): Promise<void> {
  try {
    enter((await auth.answer(challenge, code)).user);
    step.value = null;
  } catch (error) {
    throw expired(error);
  }
}

/** The second step of whoever has to set up a second factor first. */
export async function confirmSetup(challenge: string, setup: string, code: string): Promise<void> {
  try {
    const { user, recovery_codes: codes = [] } = await auth.confirmSetup(challenge, setup, code);
    step.value = { at: "codes", codes, user };
  } catch (error) {
    throw expired(error);
  }
}

/** Goes on after the recovery codes. */
export function enterWithCodes(user: User): void {
  enter(user);
  step.value = null;
}

/** Whoever took too long begins again with the password, and is told why. */
export function expired(error: unknown): unknown {
  if (error instanceof ApiError && error.code === "challenge_expired") {
    session.value = { at: "out", reason: error.message };
    step.value = null;
  }
  return error;
}

/** The person has another name, or another session. */
export function changed(user: User): void {
  enter(user);
}

/** Links the account to the provider that the person has come from. `code`: of the second factor, if the account has one. */
export async function linkAccount(password: string, code: string | null): Promise<void> {
  enter(await auth.link(password, code));
}

/** Rejects if the server could not be reached. Otherwise the session would continue without the person's knowledge. */
export async function logOut(): Promise<void> {
  const onward = await auth.logout();
  leave();
  tellTabs({ kind: "signed_out" });
  // The session at the provider ends there. From there the browser comes back.
  if (onward !== undefined) location.assign(onward.location);
}

/** Leaves an account that is closed: the server has ended the session. */
export function leaveErased(): void {
  leave();
  tellTabs({ kind: "signed_out" });
}

/** For code that catches errors: shows the login page if the session cannot be renewed. Returns true in that case. */
export function endedBy(error: unknown): boolean {
  if (!(error instanceof ApiError) || error.status !== 401) return false;
  session.value = { at: "out", reason: `${ENDINGS[error.code] ?? ENDED} What you were writing is still there.` };
  return true;
}

function enter(user: User): void {
  arrive(user);
  tellTabs({ kind: "signed_in" });
}

function arrive(user: User): void {
  outcome.value = null;
  ownDrafts(user.id);
  session.value = { at: "in", user };
}

function leave(): void {
  forgetDrafts();
  forgetAttached();
  session.value = { at: "out", reason: null };
}

onTabNews((news) => {
  if (news.kind === "signed_out") leave();
  if (news.kind === "signed_in" && session.value.at !== "in") void resume();
});
