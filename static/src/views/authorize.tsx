/** The page to which a program sends a person: it says which program wants what, and the person decides. */
import { useEffect, useState } from "preact/hooks";
import { describe, programs } from "../api.ts";
import { navigate } from "../state/route.ts";
import { endedBy } from "../state/session.ts";
import type { SentBack, User, Wanted } from "../types.ts";
import { visible } from "../visible.ts";
import { Logo } from "./icons.tsx";
import { scopeInWords } from "./scopes.ts";

type State =
  | { at: "asking" }
  | { at: "deciding"; wanted: Wanted; fault: string | null }
  | { at: "sending" }
  /** The browser was told to go back to the program. With a program on this computer, the page may stay. */
  | { at: "sent" }
  | { at: "refused"; reason: string; back: SentBack | null };

export function Authorize({ user }: { user: User }) {
  const [state, setState] = useState<State>({ at: "asking" });
  const back = (address: string) => {
    setState({ at: "sent" });
    location.assign(address);
  };
  useEffect(() => {
    void programs.wanted(location.search).then(
      (wanted) => {
        if (!("redirect_to" in wanted)) setState({ at: "deciding", wanted, fault: null });
        else setState({ at: "refused", reason: wanted.reason, back: wanted });
      },
      (error: unknown) => !endedBy(error) && setState({ at: "refused", reason: describe(error), back: null }),
    );
  }, []);
  const decide = async (wanted: Wanted, decision: "allow" | "deny") => {
    setState({ at: "sending" });
    try {
      back((await programs.decide(wanted.request, decision)).redirect_to);
    } catch (error) {
      if (!endedBy(error)) setState({ at: "deciding", wanted, fault: describe(error) });
    }
  };
  return (
    <main class="grid h-full place-items-center overflow-y-auto px-5 py-10 short:py-3" aria-busy={state.at === "asking"}>
      <div class="w-full max-w-[26rem]">
        <div class="mb-6 grid justify-items-center">
          <Logo size={48} />
        </div>
        {state.at === "deciding" && <Question user={user} {...state} decide={decide} />}
        {state.at === "refused" && (
          <Notice title="The program cannot be let in" words={state.reason}>
            {state.back !== null && (
              <a class="plain-button" href={state.back.redirect_to}>
                Back to {state.back.redirect_host}
              </a>
            )}
            <button type="button" class="main-button" onClick={() => navigate("/", { replace: true })}>
              Go to Edge Assistant
            </button>
          </Notice>
        )}
        {state.at === "sent" && (
          <Notice title="Back to the program" words="You can close this page if it does not close by itself." />
        )}
        {(state.at === "asking" || state.at === "sending") && <h1 class="text-center text-soft">One moment…</h1>}
      </div>
    </main>
  );
}

/** What the program wants, and the two buttons. */
export function Question({
  user,
  wanted,
  fault,
  decide,
}: {
  user: User;
  wanted: Wanted;
  fault: string | null;
  decide: (wanted: Wanted, decision: "allow" | "deny") => Promise<void>;
}) {
  const name = visible(wanted.client_name);
  // A path of the gateway: all servers, or one.
  const server = /^\/mcp\/(.+)$/.exec(wanted.resource)?.[1] ?? null;
  return (
    <>
      <h1 class="text-center text-2xl font-semibold tracking-tight break-words">
        Let <bdi>{name}</bdi> in?
      </h1>
      <p class="mt-2 text-center text-sm leading-6 text-soft">
        {wanted.client_host === null ? (
          "This is what the program calls itself; nobody has checked it. Go on only if you have just connected it yourself."
        ) : (
          <>
            The program describes itself at <bdi class="font-medium text-ink">{wanted.client_host}</bdi>.
          </>
        )}
        {wanted.is_on_this_computer && wanted.client_host !== null && (
          <>
            {" "}
            Any program on this computer can say that it is this one. Go on only if you have just connected it yourself.
          </>
        )}
      </p>
      <div class="mt-6 rounded-xl border border-line bg-raised px-4 py-3.5 text-sm leading-6">
        <h2 class="font-medium">It may, for you</h2>
        <ul class="mt-1 list-disc pl-5">
          {wanted.scopes.map((scope) => (
            <li key={scope} class="break-words">
              {scopeInWords(scope)}
            </li>
          ))}
        </ul>
        <dl class="mt-3 grid grid-cols-[auto_minmax(0,1fr)] gap-x-3 border-t border-line pt-3 text-soft">
          <dt>You are</dt>
          <dd class="break-all text-ink">
            <bdi>{user.email}</bdi>
          </dd>
          {server !== null && (
            <>
              <dt>Only the server</dt>
              <dd class="break-all text-ink">
                <bdi>{visible(server)}</bdi>
              </dd>
            </>
          )}
          <dt>Then back to</dt>
          <dd class="break-all text-ink">
            <bdi>{wanted.redirect_host}</bdi>
          </dd>
        </dl>
      </div>
      {fault !== null && (
        <p class="mt-4 rounded-xl bg-danger-tint px-3.5 py-2.5 text-sm text-danger" role="alert">
          {fault}
        </p>
      )}
      <div class="mt-6 grid gap-2.5">
        <button type="button" class="main-button h-11" onClick={() => void decide(wanted, "allow")}>
          Let it in
        </button>
        <button type="button" class="plain-button h-11" onClick={() => void decide(wanted, "deny")}>
          No
        </button>
      </div>
      <p class="mt-5 text-center text-xs leading-5 text-soft">
        You can end this at any time under “Programs and keys”.
      </p>
    </>
  );
}

function Notice({ title, words, children }: { title: string; words: string; children?: preact.ComponentChildren }) {
  return (
    <div class="grid justify-items-center gap-5 text-center">
      <h1 class="text-xl font-semibold">{title}</h1>
      <p class="text-soft" role="status">
        {words}
      </p>
      {children}
    </div>
  );
}
