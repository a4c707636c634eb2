/** Setting up a second factor, and the second step of a log-in. The picture that an app reads is drawn here: the secret goes nowhere else. */
import type { TargetedSubmitEvent } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { auth, describe } from "../api.ts";
import {
  answerChallenge,
  confirmSetup,
  endedBy,
  enterWithCodes,
  expired,
  session,
  type Step,
  step as current,
} from "../state/session.ts";
import type { Setup } from "../types.ts";
import { CopyButton } from "./copy.tsx";
import { Field, Greeting } from "./login.tsx";
import { textOf } from "./page-list.tsx";

/** The page after the right password, until the person is in. */
export function SecondStep({ step }: { step: Step }) {
  return (
    <main class="grid h-full place-items-center overflow-y-auto px-5 py-10 short:py-3">
      <div class="w-full max-w-[23rem]">
        {step.at === "code" && (
          <>
            <Greeting title="One more step">Enter the code that your app shows, or one of your recovery codes.</Greeting>
            <CodeForm button="Log in" send={(code) => answerChallenge(step.challenge, code)} />
          </>
        )}
        {step.at === "setup" && (
          <>
            <Greeting title="Set up a second factor">
              Your role needs one: from now on, you log in with your password and a code of an app.
            </Greeting>
            <SetupForm
              begin={() => auth.beginSetup(step.challenge)}
              confirm={(setup, code) => confirmSetup(step.challenge, setup, code)}
            />
          </>
        )}
        {step.at === "codes" && (
          <>
            <Greeting title="Keep your recovery codes">Each lets you in once, when you do not have your app.</Greeting>
            <RecoveryCodes codes={step.codes} button="I have kept them" done={() => enterWithCodes(step.user)} />
          </>
        )}
        {step.at !== "codes" && (
          <p class="mt-7 text-center text-sm text-soft">
            <button type="button" class="text-button" onClick={() => (current.value = null)}>
              Back to the log-in
            </button>
          </p>
        )}
      </div>
    </main>
  );
}

function CodeForm({ button, send }: { button: string; send: (code: string) => Promise<void> }) {
  const [waiting, setWaiting] = useState(false);
  const [fault, setFault] = useState<string | null>(null);
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => form.current?.querySelector<HTMLElement>("input")?.focus(), []);
  const submit = async (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const code = textOf(new FormData(event.currentTarget), "code");
    setWaiting(true);
    setFault(null);
    try {
      await send(code);
    } catch (error) {
      // On the account's page, a 401 is the end of the session. In the second step of a log-in nobody is in yet.
      if (session.value.at === "in" && endedBy(error)) return;
      setFault(describe(error));
      form.current?.querySelector<HTMLInputElement>("input")?.select();
    }
    setWaiting(false);
  };
  return (
    <form ref={form} class="grid gap-4" onSubmit={(event) => void submit(event)}>
      <Field name="code" label="Code" autocomplete="one-time-code" required error={fault} />
      <button type="submit" class="main-button mt-2 h-11" disabled={waiting}>
        {waiting ? "One moment…" : button}
      </button>
    </form>
  );
}

/** The picture, the secret as text, and the field for the first code. */
export function SetupForm({
  begin,
  confirm,
}: {
  begin: () => Promise<Setup>;
  confirm: (setup: string, code: string) => Promise<void>;
}) {
  const [setup, setSetup] = useState<Setup | null>(null);
  const [fault, setFault] = useState<string | null>(null);
  const start = () => {
    setFault(null);
    void begin().then(setSetup, (error: unknown) => {
      expired(error);
      setFault(describe(error));
    });
  };
  // oxlint-disable-next-line react-hooks/exhaustive-deps -- it begins once: each time there is another secret
  useEffect(start, []);
  if (fault !== null) {
    return (
      <div class="grid justify-items-start gap-3" role="alert">
        <p>{fault}</p>
        <button type="button" class="main-button" onClick={start}>
          Try again
        </button>
      </div>
    );
  }
  if (setup === null) return <div class="shimmer h-56 rounded-xl bg-hover" role="status" aria-label="Loading" />;
  return (
    <>
      <ol class="mb-5 grid list-decimal gap-4 pl-5 text-sm leading-6">
        <li>
          Open an authenticator app on your phone: any that knows TOTP, also most password managers.
        </li>
        <li>
          Let it read this picture.
          <QrCode text={setup.address} />
          <span class="block text-soft">Or enter the key yourself:</span>
          <span class="flex items-center gap-2">
            <code class="min-w-0 flex-1 text-xs select-all">{grouped(setup.secret)}</code>
            <CopyButton text={setup.secret} label="Copy the key" />
          </span>
        </li>
        <li>Enter the code that it shows.</li>
      </ol>
      <CodeForm button="Confirm" send={(code) => confirm(setup.setup, code)} />
    </>
  );
}

/** Four letters at a time, as people read them. */
function grouped(secret: string): string {
  return secret.match(/.{1,4}/g)?.join(" ") ?? secret;
}

/** Dark on light in every theme: not every camera reads it the other way round. */
function QrCode({ text }: { text: string }) {
  const [code, setCode] = useState<{ size: number; path: string } | null>(null);
  useEffect(() => {
    void import("uqr").then(({ encode }) => {
      const { data, size } = encode(text, { ecc: "M", border: 4 });
      const dark = data.flatMap((row, y) => row.flatMap((isDark, x) => (isDark ? `M${x} ${y}h1v1h-1z` : [])));
      setCode({ size, path: dark.join("") });
    });
  }, [text]);
  return (
    <span class="my-3 block size-52 overflow-hidden rounded-xl bg-white">
      {code !== null && (
        <svg
          role="img"
          aria-label="The picture for your app"
          viewBox={`0 0 ${code.size} ${code.size}`}
          shape-rendering="crispEdges"
        >
          <path d={code.path} fill="#000" />
        </svg>
      )}
    </span>
  );
}

/** Codes that are shown only now. */
export function RecoveryCodes({ codes, button, done }: { codes: string[]; button: string; done: () => void }) {
  const notice = useRef<HTMLParagraphElement>(null);
  // The button that led here is gone.
  useEffect(() => notice.current?.focus(), []);
  return (
    <div class="grid gap-4">
      <p ref={notice} tabIndex={-1} class="notice text-sm">
        Print these codes or keep them where you keep passwords. They are shown only now, and each counts once.
      </p>
      <ul
        class="grid grid-cols-[repeat(auto-fill,minmax(11.5rem,1fr))] gap-x-6 gap-y-1 rounded-xl border border-line bg-raised px-4 py-3"
        aria-label="Recovery codes"
      >
        {codes.map((code) => (
          <li key={code}>
            <code class="text-sm whitespace-nowrap select-all">{code}</code>
          </li>
        ))}
      </ul>
      <div class="flex flex-wrap items-center gap-2">
        <button type="button" class="main-button" onClick={done}>
          {button}
        </button>
        <CopyButton text={codes.join("\n")} label="Copy the codes" />
      </div>
    </div>
  );
}
