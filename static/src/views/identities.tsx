/** The organisations that the person signs in with, on the page of their account. */
import { useEffect, useState } from "preact/hooks";
import { account, describe } from "../api.ts";
import { endedBy } from "../state/session.ts";
import type { Identity, SecondFactor } from "../types.ts";
import { announce } from "./announce.tsx";
import { When } from "./page-list.tsx";
import { ProofForm } from "./proof.tsx";
import { Section } from "./section.tsx";

/** Shows nothing to people who sign in with no organisation. */
export function Identities({ state }: { state: SecondFactor }) {
  const [items, setItems] = useState<Identity[]>([]);
  const [fault, setFault] = useState<string | null>(null);
  const load = () => {
    setFault(null);
    return account.identities().then(
      (list) => setItems(list.items),
      (error: unknown) => {
        if (!endedBy(error)) setFault(describe(error));
      },
    );
  };
  useEffect(() => void load(), []);
  if (fault === null && items.length === 0) return null;
  return (
    <Section title="Signing in with an organisation">
      {fault !== null && (
        <div class="mt-3 grid justify-items-start gap-3" role="alert">
          <p>Your organisations could not be asked for. {fault}</p>
          <button type="button" class="main-button" onClick={() => void load()}>
            Try again
          </button>
        </div>
      )}
      <ul class="mt-3 grid gap-4">
        {items.map((identity) => (
          <li key={identity.issuer}>
            <Linked identity={identity} state={state} load={load} />
          </li>
        ))}
      </ul>
    </Section>
  );
}

function Linked({ identity, state, load }: { identity: Identity; state: SecondFactor; load: () => Promise<void> }) {
  const [proving, setProving] = useState(false);
  return (
    <>
      <p>
        <bdi>{identity.label ?? identity.issuer}</bdi>, as <bdi class="break-all">{identity.email}</bdi>
      </p>
      <p class="mt-1 text-sm leading-6 text-soft">
        Last used <When at={identity.used_at} />.
        {identity.label === null && " This installation no longer knows the organisation, so it opens nothing."}
        {!state.has_password && " It is the only way into your account, so it stays."}
      </p>
      {proving ? (
        <ProofForm
          button="Remove"
          mayUseCode={state.enabled}
          send={async (proof) => {
            await account.removeIdentity(identity.issuer, proof);
            announce("Removed");
            await load();
          }}
          cancel={() => setProving(false)}
        />
      ) : (
        state.has_password && (
          <button
            type="button"
            class="plain-button mt-2"
            aria-label={`Remove ${identity.label ?? identity.issuer}`}
            onClick={() => setProving(true)}
          >
            Remove
          </button>
        )
      )}
    </>
  );
}
