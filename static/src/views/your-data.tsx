/** A copy of everything about the person, and the erasure of their account, on the page of their account. */
import { useState } from "preact/hooks";
import { account, auth, describe } from "../api.ts";
import { endedBy, leaveErased } from "../state/session.ts";
import type { ErasureRequest, Proof, SecondFactor } from "../types.ts";
import { When } from "./page-list.tsx";
import { ProofForm } from "./proof.tsx";
import { Section } from "./section.tsx";

export function YourData({ state }: { state: SecondFactor }) {
  const [fault, setFault] = useState<string | null>(null);
  const [proving, setProving] = useState(false);
  const [asked, setAsked] = useState<ErasureRequest | null>(null);
  const copy = async () => {
    setFault(null);
    try {
      // The browser loads the archive itself, with the cookie that this renews if it must.
      await auth.me();
      location.assign("/api/account/export");
    } catch (error) {
      if (!endedBy(error)) setFault(describe(error));
    }
  };
  const erase = async (proof: Proof | Record<string, never>) => setAsked(await account.erase(proof));
  const eraseWithoutProof = async () => {
    setFault(null);
    try {
      await erase({});
    } catch (error) {
      setFault(describe(error));
    }
  };
  if (asked !== null) return <Erasing asked={asked} />;
  return (
    <Section title="Your data">
      <p class="mt-1 text-sm leading-6 text-soft">
        A copy is an archive (ZIP) of what is stored about you: your account, your conversations to read and for
        programs, your settings for tools, and what was recorded of what you did. No passwords or secrets are in it.
      </p>
      <button type="button" class="plain-button mt-3" onClick={() => void copy()}>
        Download a copy
      </button>
      <p class="mt-6 text-sm leading-6 text-soft">
        Your conversations are kept until you delete them, unless an administrator set a time. For each of them you can set
        a shorter one in the list, which says when it goes. A temporary chat is not kept at all.
      </p>
      <p class="mt-6 text-sm leading-6 text-soft">
        If you delete your account, you are logged out everywhere, your programs and keys stop working, and running
        answers are stopped at once. You then have some days in which you can log in to keep the account. After that,
        everything about you is erased and cannot be brought back.
      </p>
      {fault !== null && (
        <p class="mt-2 text-sm text-danger" role="alert">
          {fault}
        </p>
      )}
      {proving ? (
        <ProofForm
          button="Delete my account"
          mayUseCode={state.enabled}
          send={erase}
          cancel={() => setProving(false)}
        />
      ) : (
        <button
          type="button"
          class="plain-button mt-3"
          onClick={() => (state.has_password || state.enabled ? setProving(true) : void eraseWithoutProof())}
        >
          Delete my account…
        </button>
      )}
    </Section>
  );
}

/** What the person takes with them: the account is closed already. */
function Erasing({ asked }: { asked: ErasureRequest }) {
  return (
    <Section title="Your account is closed">
      <p class="mt-1 text-sm leading-6" role="status">
        It will be erased <When at={asked.erase_at} />. Until then, log in to keep it.
      </p>
      <p class="mt-3 text-sm leading-6 text-soft">
        With this token, an administrator or a program of yours gets a signed receipt once everything is erased. It is
        shown only now.
      </p>
      <p class="mt-2 rounded-xl bg-sunken px-3.5 py-2.5 font-mono text-xs leading-5 break-all">{asked.receipt_token}</p>
      <button type="button" class="main-button mt-3" onClick={leaveErased}>
        I have kept it
      </button>
    </Section>
  );
}
