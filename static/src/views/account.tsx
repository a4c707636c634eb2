/** The person's own account: the name, the password, the second factor, the organisations that sign in, their data. */
import { useEffect, useState } from "preact/hooks";
import { account, describe, ownWebhooks } from "../api.ts";
import { may } from "../permissions.ts";
import { follow, MEMORY_PATH } from "../state/route.ts";
import { changed, endedBy } from "../state/session.ts";
import type { Proof, SecondFactor, Setup, User } from "../types.ts";
import { announce } from "./announce.tsx";
import { Header } from "./header.tsx";
import { Identities } from "./identities.tsx";
import { Fault, passwordOf, textOf, useSubmit, When } from "./page-list.tsx";
import { OwnUsage } from "./own-usage.tsx";
import { ProofForm, Secret } from "./proof.tsx";
import { RecoveryCodes, SetupForm } from "./second-factor.tsx";
import { Section } from "./section.tsx";
import { Webhooks } from "./webhooks.tsx";
import { YourData } from "./your-data.tsx";

export function AccountSettings({ user }: { user: User }) {
  const [state, setState] = useState<SecondFactor | null>(null);
  const [fault, setFault] = useState<string | null>(null);
  const load = () => {
    setFault(null);
    return account.secondFactor().then(setState, (error: unknown) => {
      if (!endedBy(error)) setFault(describe(error));
    });
  };
  useEffect(() => void load(), []);
  return (
    <>
      <Header title="Your account" />
      <div class="min-h-0 flex-1 overflow-y-auto" tabIndex={-1}>
        <div class="mx-auto grid w-full max-w-[40rem] gap-8 px-4 pt-4 pb-10 sm:px-6">
          <Name user={user} />
          {state?.has_password !== false && <Password user={user} />}
          <Section title="Second factor">
            {fault !== null && (
              <div class="mt-3 grid justify-items-start gap-3" role="alert">
                <p>Your second factor could not be asked for. {fault}</p>
                <button type="button" class="main-button" onClick={() => void load()}>
                  Try again
                </button>
              </div>
            )}
            {state !== null && <SecondFactorForms state={state} load={load} />}
          </Section>
          {state !== null && <Identities state={state} />}
          <Section title="Memory">
            <p class="mt-1 text-sm leading-6 text-soft">
              Conversations can remember facts about you for later ones.{" "}
              <a class="underline" href={MEMORY_PATH} onClick={(event) => follow(event, MEMORY_PATH)}>
                See what is remembered
              </a>
            </p>
          </Section>
          <OwnUsage />
          {may(user, "webhooks:use") && (
            <Section title="Webhooks">
              <p class="mt-1 text-sm leading-6 text-soft">
                Other programs can be told when an answer has ended or a tool call waits for you: ids and times, never what you or a model said.
              </p>
              <Webhooks access={ownWebhooks} />
            </Section>
          )}
          {state !== null && <YourData state={state} />}
        </div>
      </div>
    </>
  );
}

function Name({ user }: { user: User }) {
  const { fault, waiting, submit } = useSubmit(async (data) => {
    changed(await account.rename(textOf(data, "name")));
    announce("Name saved");
  });
  return (
    <Section title="Name">
      <p class="mt-1 text-sm leading-6 text-soft">
        You log in as <bdi class="break-all">{user.email}</bdi>.
      </p>
      <form key={user.name} class="mt-3 flex flex-wrap gap-2" onSubmit={submit}>
        <input
          name="name"
          class="field min-w-0 flex-[1_1_12rem]"
          dir="auto"
          autocomplete="name"
          aria-label="Name"
          defaultValue={user.name}
        />
        <button type="submit" class="main-button" disabled={waiting}>
          Save
        </button>
      </form>
      <Fault text={fault} />
    </Section>
  );
}

function Password({ user }: { user: User }) {
  const [done, setDone] = useState(false);
  const { fault, waiting, submit } = useSubmit(async (data) => {
    setDone(false);
    const { user: same } = await account.changePassword(passwordOf(data, "password"), passwordOf(data, "new_password"));
    changed(same);
    setDone(true);
  });
  return (
    <Section title="Password">
      <p class="mt-1 text-sm leading-6 text-soft">With a new password, all your other browsers are logged out, connected programs are disconnected, and your API keys are deleted. Organisations that you sign in with ask for it once more.</p>
      <form class="mt-3 grid gap-2" onSubmit={submit}>
        {/* So that password managers know whose it is. */}
        <input type="hidden" name="username" autocomplete="username" value={user.email} />
        <Secret name="password" label="Password until now" autocomplete="current-password" />
        <Secret name="new_password" label="New password" autocomplete="new-password" />
        <div class="mt-1">
          <button type="submit" class="main-button" disabled={waiting}>
            Change the password
          </button>
        </div>
      </form>
      <Fault text={fault} />
      {done && (
        <p class="mt-2 text-sm" role="status">
          Your password is changed.
        </p>
      )}
    </Section>
  );
}

/** What the person is doing about the second factor. */
type Doing =
  | { at: "nothing" }
  /** First, they show that it is them. */
  | { at: "proving"; what: Change }
  | { at: "setup"; setup: Setup }
  | { at: "codes"; codes: string[] };

type Change = "setup" | "codes" | "remove";

const BUTTONS: Record<Change, string> = {
  setup: "Go on",
  codes: "Make new recovery codes",
  remove: "Remove the second factor",
};

function SecondFactorForms({ state, load }: { state: SecondFactor; load: () => Promise<void> }) {
  const [doing, setDoing] = useState<Doing>({ at: "nothing" });
  const finish = async (words: string) => {
    setDoing({ at: "nothing" });
    announce(words);
    await load();
  };
  const prove = async (what: Change, proof: Proof) => {
    if (what === "setup") {
      setDoing({ at: "setup", setup: await account.beginSetup(proof) });
    } else if (what === "codes") {
      setDoing({ at: "codes", codes: (await account.renewRecoveryCodes(proof)).recovery_codes });
    } else {
      await account.removeSecondFactor(proof);
      await finish("Second factor removed");
    }
  };
  if (!state.has_password) {
    return (
      <p class="mt-1 text-sm leading-6 text-soft">
        You log in with your organisation, which looks after second factors. This account has no password here.
      </p>
    );
  }
  switch (doing.at) {
    case "proving":
      return (
        <ProofForm
          button={BUTTONS[doing.what]}
          mayUseCode={state.enabled}
          send={(proof) => prove(doing.what, proof)}
          cancel={() => setDoing({ at: "nothing" })}
        />
      );
    case "setup":
      return (
        <div class="mt-3">
          <SetupForm
            begin={() => Promise.resolve(doing.setup)}
            confirm={async (setup, code) => {
              setDoing({ at: "codes", codes: (await account.confirmSetup(setup, code)).recovery_codes });
            }}
          />
          <button type="button" class="text-button mt-4 text-sm" onClick={() => setDoing({ at: "nothing" })}>
            Cancel
          </button>
        </div>
      );
    case "codes":
      return (
        <div class="mt-3">
          <RecoveryCodes codes={doing.codes} button="I have kept them" done={() => void finish("Recovery codes kept")} />
        </div>
      );
    case "nothing":
      return <Standing state={state} begin={(what) => setDoing({ at: "proving", what })} />;
  }
}

function Standing({ state, begin }: { state: SecondFactor; begin: (what: Change) => void }) {
  if (!state.enabled) {
    return (
      <>
        <p class="mt-1 text-sm leading-6 text-soft">
          You log in with your password alone. With a second factor, whoever finds out your password still needs a code
          that an authenticator app on your phone shows (two-factor authentication, 2FA).
        </p>
        <button type="button" class="main-button mt-3" onClick={() => begin("setup")}>
          Set up a second factor
        </button>
      </>
    );
  }
  return (
    <>
      <p class="mt-1 text-sm leading-6 text-soft">
        You log in with your password and a code of your app
        {state.created_at !== null && (
          <>
            , since <When at={state.created_at} />
          </>
        )}
        . {left(state.recovery_codes_left)}
        {state.required && " Your role needs a second factor, so it can be replaced and not removed."}
      </p>
      <div class="mt-3 flex flex-wrap gap-2">
        <button type="button" class="plain-button" onClick={() => begin("codes")}>
          New recovery codes
        </button>
        <button type="button" class="plain-button" onClick={() => begin("setup")}>
          Use another app
        </button>
        {!state.required && (
          <button type="button" class="plain-button" onClick={() => begin("remove")}>
            Remove
          </button>
        )}
      </div>
    </>
  );
}

function left(codes: number): string {
  if (codes === 0) return "You have no recovery codes left: make new ones.";
  return codes === 1 ? "You have one recovery code left." : `You have ${codes} recovery codes left.`;
}

