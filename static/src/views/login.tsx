/** Signing up and logging in: one form, two words. Errors stand at the field they are about. */
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { ApiError, describe } from "../api.ts";
import { logIn, signUp } from "../state/session.ts";
import { Logo } from "./icons.tsx";

type Trouble = { field: string | null; text: string };

export function LoginView() {
  const [isNew, setNew] = useState(false);
  const [trouble, setTrouble] = useState<Trouble | null>(null);
  const [waiting, setWaiting] = useState(false);
  const form = useRef<HTMLFormElement>(null);

  useEffect(() => form.current?.querySelector<HTMLElement>("[aria-invalid=true]")?.focus(), [trouble]);

  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const data = new FormData(event.currentTarget as HTMLFormElement);
    const text = (name: string) => String(data.get(name) ?? "");
    setWaiting(true);
    setTrouble(null);
    try {
      if (isNew) await signUp(text("email").trim(), text("password"), text("name").trim());
      else await logIn(text("email").trim(), text("password"));
    } catch (error) {
      setTrouble({ field: fieldOf(error), text: describe(error) });
      setWaiting(false);
    }
  };

  const at = (field: string) => (trouble?.field === field ? trouble.text : null);
  return (
    <main class="grid h-full place-items-center overflow-y-auto px-5 py-10">
      <div class="w-full max-w-[23rem]">
        <div class="mb-8 grid justify-items-center gap-5 text-center">
          <Logo size={48} />
          <div>
            <h1 class="text-2xl font-semibold tracking-tight">{isNew ? "Create your account" : "Welcome back"}</h1>
            <p class="mt-1.5 text-soft">
              {isNew ? "An email address and a password are enough." : "Log in to go on with your conversations."}
            </p>
          </div>
        </div>
        <form ref={form} class="grid gap-4" onSubmit={(event) => void submit(event as SubmitEvent)}>
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
          {trouble !== null && trouble.field === null && (
            <p class="rounded-xl bg-danger-tint px-3.5 py-2.5 text-sm text-danger" role="alert">
              {trouble.text}
            </p>
          )}
          <button type="submit" class="main-button mt-2 h-11" disabled={waiting}>
            {waiting ? "One moment…" : isNew ? "Create account" : "Log in"}
          </button>
        </form>
        <p class="mt-7 text-center text-sm text-soft">
          {isNew ? "Already have an account?" : "New here?"}{" "}
          <button
            type="button"
            class="font-medium text-brand underline underline-offset-3 hover:text-brand-strong"
            onClick={() => {
              setNew(!isNew);
              setTrouble(null);
            }}
          >
            {isNew ? "Log in" : "Create an account"}
          </button>
        </p>
      </div>
    </main>
  );
}

/** A taken address is about the address, though the server names fields only for what is malformed. */
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

function Field({ name, label, type = "text", hint, autocomplete, required = false, error }: FieldProps) {
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
        type={type as "text"}
        class="field"
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
