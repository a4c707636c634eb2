/** The form for signing up and logging in. Errors are shown at their fields. */
import type { ComponentChildren, TargetedSubmitEvent } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { ApiError, auth, describe } from "../api.ts";
import { ERASURE_PENDING, LINK_ACCOUNT, signInPath } from "../sign-in.ts";
import { navigate } from "../state/route.ts";
import { leaveForProvider, linkAccount, logIn, outcome, resetPassword, session, signUp } from "../state/session.ts";
import type { Provider, SignUpState } from "../types.ts";
import { Logo } from "./icons.tsx";
import { passwordOf, textOf } from "./page-list.tsx";

type Trouble = { field: string | null; text: string };

/** Assumed until the server responds: there are accounts, and sign-up is open. */
const USUAL: SignUpState = { open: true, first: false, invite: true };

/** `invitation`: the secret of the link that somebody opened. */
export function LoginView({ invitation }: { invitation?: string }) {
  const [accounts, setAccounts] = useState(USUAL);
  const [isNew, setNew] = useState(invitation !== undefined);
  const [trouble, setTrouble] = useState<Trouble | null>(null);
  const [waiting, setWaiting] = useState(false);
  /** The account is to be erased, and logging in keeps it. */
  const [keeping, setKeeping] = useState<"no" | "asked" | "with_code">("no");
  const form = useRef<HTMLFormElement>(null);

  useEffect(() => {
    // If this fails, the server's response to the form will tell.
    void auth.signupState().then(setAccounts, () => undefined);
  }, []);
  useEffect(() => form.current?.querySelector<HTMLElement>("[aria-invalid=true]")?.focus(), [trouble]);

  const submit = async (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const data = new FormData(event.currentTarget);
    setWaiting(true);
    setTrouble(null);
    try {
      const [email, password] = [textOf(data, "email"), passwordOf(data, "password")];
      if (isNew) await signUp(email, password, textOf(data, "name"), invitation);
      else if (keeping === "no") await logIn(email, password);
      else await logIn(email, password, { code: keeping === "with_code" ? textOf(data, "code") : null });
      if (invitation !== undefined) navigate("/", { replace: true });
    } catch (error) {
      const code = error instanceof ApiError ? error.code : "";
      if (code === "erasure_pending" && keeping === "no") setKeeping("asked");
      if (code === "second_factor_required") setKeeping("with_code");
      setTrouble({ field: code === "invalid_code" ? "code" : fieldOf(error), text: describe(error) });
    }
    setWaiting(false);
  };

  const at = (field: string) => (trouble?.field === field ? trouble.text : null);
  const reason = session.value.at === "out" ? session.value.reason : null;
  const mayJoin = accounts.open || invitation !== undefined;
  const join = accounts.invite ? "invite" : "closed";
  if (outcome.value === LINK_ACCOUNT) return <LinkView />;
  if (accounts.first && !isNew)
    return <FirstView start={() => setNew(true)} providers={accounts.providers} reason={reason} />;
  return (
    <main class="grid h-full place-items-center overflow-y-auto px-5 py-10 short:py-3">
      <div class="w-full max-w-[23rem]">
        <Greeting title={!isNew ? "Welcome back" : invitation ? "You are invited" : "Create your account"}>
          {isNew
            ? accounts.first
              ? "It is the first one here, and the administrator’s. An email address and a password are enough."
              : "An email address and a password are enough."
            : "Log in to go on with your conversations."}
        </Greeting>
        {reason !== null && (
          <p class="notice mb-6" role="status">
            {reason}
          </p>
        )}
        <Providers list={accounts.providers} invitation={invitation} />
        <form ref={form} class="grid gap-4" onSubmit={(event) => void submit(event)}>
          {isNew && <Field name="name" label="Name" hint="optional" autocomplete="name" error={at("name")} />}
          <Field
            name="email"
            label="Email"
            type="email"
            autocomplete={isNew ? "email" : "username"}
            required
            error={at("email")}
          />
          <Field
            name="password"
            label="Password"
            type="password"
            autocomplete={isNew ? "new-password" : "current-password"}
            required
            error={at("password")}
          />
          {keeping === "with_code" && (
            <Field name="code" label="Code" autocomplete="one-time-code" required error={at("code")} />
          )}
          {trouble !== null && trouble.field === null && (
            <p class="rounded-xl bg-danger-tint px-3.5 py-2.5 text-sm text-danger" role="alert">
              {trouble.text}
            </p>
          )}
          <button type="submit" class="main-button mt-2 h-11" disabled={waiting}>
            {waiting ? "One moment…" : isNew ? "Create account" : keeping === "no" ? "Log in" : "Keep my account"}
          </button>
        </form>
        <p class="mt-7 text-center text-sm text-soft">
          {accounts.first ? null : isNew ? "Already have an account?" : mayJoin ? "New here?" : UNINVITED[join]}{" "}
          {(mayJoin || isNew) && !accounts.first && (
            <button
              type="button"
              class="text-button"
              onClick={() => {
                setNew(!isNew);
                setTrouble(null);
              }}
            >
              {isNew ? "Log in" : "Create an account"}
            </button>
          )}
        </p>
      </div>
    </main>
  );
}

/** Buttons that lead to the organisations' providers, and back to where the person is. */
function Providers({ list = [], invitation }: { list?: Provider[] | undefined; invitation?: string | undefined }) {
  const [fault, setFault] = useState<string | null>(null);
  const isKeeping = outcome.value === ERASURE_PENDING && invitation === undefined;
  if (list.length === 0) return null;
  const leave = async (event: MouseEvent, provider: string) => {
    leaveForProvider();
    if (invitation === undefined && !isKeeping) return;
    // The invitation's secret must be in no address, and no link from elsewhere may keep an account, so both are sent before.
    event.preventDefault();
    try {
      const onward = invitation === undefined ? auth.leaveToKeep(provider) : auth.leaveInvited(provider, invitation);
      location.assign((await onward).location);
    } catch (error) {
      setFault(describe(error));
    }
  };
  return (
    <div class="mb-6 grid gap-3">
      {list.map(({ name, label }) => (
        <a
          key={name}
          class="plain-button h-auto min-h-11 py-2 text-center"
          href={signInPath(name, location.pathname)}
          onClick={(event) => void leave(event, name)}
        >
          {isKeeping ? `Keep my account, and continue with ${label}` : `Continue with ${label}`}
        </a>
      ))}
      {fault !== null && (
        <p class="text-sm text-danger" role="alert">
          {fault}
        </p>
      )}
      <p class="mt-3 flex items-center gap-3 text-sm text-soft before:h-px before:flex-1 before:bg-line after:h-px after:flex-1 after:bg-line">
        or with a password
      </p>
    </div>
  );
}

/** Somebody has come from a provider, and the account with their address has a password. */
function LinkView() {
  const [trouble, setTrouble] = useState<Trouble | null>(null);
  const [needsCode, setNeedsCode] = useState(false);
  const [waiting, setWaiting] = useState(false);
  const form = useRef<HTMLFormElement>(null);
  useEffect(() => {
    if (needsCode) form.current?.querySelector<HTMLElement>("[name=code]")?.focus();
  }, [needsCode]);
  const submit = async (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const data = new FormData(event.currentTarget);
    setWaiting(true);
    setTrouble(null);
    try {
      await linkAccount(passwordOf(data, "password"), needsCode ? textOf(data, "code") : null);
    } catch (error) {
      const code = error instanceof ApiError ? error.code : "";
      if (code === "second_factor_required") setNeedsCode(true);
      else if (code === "invalid_credentials") {
        setTrouble({ field: "password", text: "This is not the account’s password." });
      } else setTrouble({ field: code === "invalid_code" ? "code" : "password", text: describe(error) });
      setWaiting(false);
    }
  };
  const at = (field: string) => (trouble?.field === field ? trouble.text : null);
  return (
    <main class="grid h-full place-items-center overflow-y-auto px-5 py-10 short:py-3">
      <div class="w-full max-w-[23rem]">
        <Greeting title="Is this account yours?">
          An account here has your email address. Enter its password once, and from then on your organisation’s sign-in
          leads to it.
        </Greeting>
        {needsCode && (
          <p class="notice mb-6" role="status">
            The account has a second factor. Enter the code that your app shows too, or one of your recovery codes.
          </p>
        )}
        <form ref={form} class="grid gap-4" onSubmit={(event) => void submit(event)}>
          <Field
            name="password"
            label="Password"
            type="password"
            autocomplete="current-password"
            required
            error={at("password")}
          />
          {needsCode && <Field name="code" label="Code" autocomplete="one-time-code" required error={at("code")} />}
          <button type="submit" class="main-button mt-2 h-11" disabled={waiting}>
            {waiting ? "One moment…" : "Link and log in"}
          </button>
        </form>
        <p class="mt-7 text-center text-sm text-soft">
          You do not know it? Ask an administrator for a link that sets another.{" "}
          <button type="button" class="text-button" onClick={() => (outcome.value = null)}>
            Back
          </button>
        </p>
      </div>
    </main>
  );
}

const UNINVITED = {
  closed: "This installation accepts no new accounts. Ask its administrator for one.",
  invite: "An account here needs an invitation. Ask an administrator for one.",
};

/** A new password, with the link of an administrator. */
export function PasswordResetView({ token }: { token: string }) {
  const [state, setState] = useState<"asking" | "waiting" | "done">("asking");
  const [fault, setFault] = useState<string | null>(null);
  const submit = async (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const password = passwordOf(new FormData(event.currentTarget), "password");
    setState("waiting");
    setFault(null);
    try {
      await resetPassword(token, password);
      setState("done");
    } catch (error) {
      setFault(describe(error));
      setState("asking");
    }
  };
  return (
    <main class="grid h-full place-items-center overflow-y-auto px-5 py-10 short:py-3">
      <div class="w-full max-w-[23rem]">
        <Greeting title={state === "done" ? "Your password is changed" : "Choose a new password"}>
          {state === "done"
            ? "Every browser that was logged in to your account is logged out, every program disconnected, and your API keys are deleted. Organisations that you sign in with ask for the new password once."
            : "Every browser that is logged in to your account will be logged out, every program disconnected, and your API keys deleted."}
        </Greeting>
        {state === "done" ? (
          <button type="button" class="main-button h-11 w-full" onClick={() => navigate("/", { replace: true })}>
            Log in
          </button>
        ) : (
          <form class="grid gap-4" onSubmit={(event) => void submit(event)}>
            <Field
              name="password"
              label="New password"
              type="password"
              autocomplete="new-password"
              required
              error={fault}
            />
            <button type="submit" class="main-button mt-2 h-11" disabled={state === "waiting"}>
              {state === "waiting" ? "One moment…" : "Save"}
            </button>
          </form>
        )}
      </div>
    </main>
  );
}

type First = { start: () => void; providers: Provider[] | undefined; reason: string | null };

/** The first page of a new installation, where nobody can log in yet. */
function FirstView({ start, providers, reason }: First) {
  return (
    <main class="grid h-full place-items-center overflow-y-auto px-5 py-10 short:py-3">
      <div class="grid w-full max-w-[23rem] justify-items-center">
        <Greeting title="Welcome to Edge Assistant">
          There is no account here yet. Whoever makes the first one is the administrator of this installation.
        </Greeting>
        <div class="w-full">
          {reason !== null && (
            <p class="notice mb-6" role="status">
              {reason}
            </p>
          )}
          <Providers list={providers} />
        </div>
        <button type="button" class="main-button h-11" onClick={start}>
          Create an account
        </button>
      </div>
    </main>
  );
}

export function Greeting({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <div class="mb-8 grid justify-items-center gap-5 text-center">
      <Logo size={48} />
      <div>
        <h1 class="text-2xl font-semibold tracking-tight">{title}</h1>
        <p class="mt-1.5 text-soft">{children}</p>
      </div>
    </div>
  );
}

/** The field of an error. The server does not name a field for a taken address. */
function fieldOf(error: unknown): string | null {
  if (!(error instanceof ApiError)) return null;
  return error.code === "email_taken" ? "email" : error.field;
}

type FieldProps = {
  name: string;
  label: string;
  type?: "text" | "email" | "password";
  hint?: string;
  autocomplete: string;
  required?: boolean;
  error: string | null;
};

export function Field({ name, label, type = "text", hint, autocomplete, required = false, error }: FieldProps) {
  const id = useId();
  return (
    <div class="grid gap-1.5">
      <label for={id} class="flex justify-between text-sm font-medium">
        {label}
        {hint && <span class="font-normal text-soft">{hint}</span>}
      </label>
      <input
        id={id}
        name={name}
        // Preact types inputs one type at a time; these three take the same attributes.
        // oxlint-disable-next-line typescript/no-unnecessary-type-assertion -- TypeScript says that it is needed
        type={type as "text"}
        class="field"
        dir="auto"
        autocomplete={autocomplete}
        required={required}
        aria-invalid={error !== null}
        aria-describedby={error === null ? undefined : `${id}-error`}
      />
      {error !== null && (
        <p id={`${id}-error`} class="text-sm text-danger" role="alert">
          {error}
        </p>
      )}
    </div>
  );
}
