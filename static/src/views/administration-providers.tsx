/** Providers of models, for administrators: which there are, and whether they answer. A key is entered and never shown. */
import { useId, useState } from "preact/hooks";
import { admin, ApiError } from "../api.ts";
import type { Pages } from "../state/pages.ts";
import { loadModels } from "../state/models.ts";
import type { ModelProvider, ProviderContents } from "../types.ts";
import { visible } from "../visible.ts";
import { announce } from "./announce.tsx";
import { Fault, PageList, textOf, usePages, useSubmit } from "./page-list.tsx";

export function Providers() {
  const pages = usePages(
    () => admin.providers(),
    ({ name }: ModelProvider) => name,
  );
  const [adding, setAdding] = useState(false);
  return (
    <>
      <p class="text-sm leading-6 text-soft">
        Of the providers that have a model, the one with the highest priority is asked first. If it fails before it says anything, the
        next is asked. Saving tests a provider: it is asked for its list of models, and its first model one short question.
      </p>
      {adding ? (
        <div class="mt-3 rounded-xl border border-line bg-raised px-4 py-3.5">
          <ProviderForm
            provider={null}
            saved={(provider) => {
              setAdding(false);
              pages.add(provider);
            }}
            close={() => setAdding(false)}
          />
        </div>
      ) : (
        <button type="button" class="main-button mt-3" onClick={() => setAdding(true)}>
          Add a provider
        </button>
      )}
      <PageList
        pages={pages}
        none="There are no providers."
        row={(provider) => <ProviderRow key={provider.name} provider={provider} pages={pages} />}
      />
    </>
  );
}

function ProviderRow({ provider, pages }: { provider: ModelProvider; pages: Pages<ModelProvider> }) {
  const [editing, setEditing] = useState(false);
  const [told, setTold] = useState<string | null>(null);
  const test = useSubmit(async () => {
    setTold(null);
    const { ok, message } = await admin.testProvider(provider.name);
    if (!ok) throw new Error(message);
    setTold(message);
  });
  const remove = useSubmit(async () => {
    await pages.change(provider, async () => (await admin.removeProvider(provider.name), null));
    void loadModels();
  });
  const { name, base_url, dialect, priority, models, has_key, headers, is_configured } = provider;
  const names = models.map((model) => visible(typeof model === "string" ? model : model.name));
  return (
    <li class="px-4 py-3.5 text-sm">
      <div class="flex flex-wrap items-start gap-x-2 gap-y-1">
        <div class="min-w-0 flex-[1_1_16rem]">
          <p class="font-medium break-all">{name}</p>
          <p class="text-xs leading-5 break-all text-soft">
            {visible(base_url)}
            {dialect === "responses" ? ", Responses" : ""}, priority {priority}
            {has_key || headers.length > 0 ? ", with a key" : ", without a key"}
            {is_configured ? ", configured where it is deployed" : ""}
          </p>
          <p class="text-xs leading-5 break-words text-soft">{names.join(", ")}</p>
        </div>
        <form onSubmit={test.submit}>
          <button type="submit" class="ghost-button" aria-label={`Test ${name}`} disabled={test.waiting}>
            {test.waiting ? "Testing…" : "Test"}
          </button>
        </form>
        {!is_configured && (
          <>
            <button
              type="button"
              class="ghost-button"
              aria-label={`Change ${name}`}
              aria-expanded={editing}
              onClick={() => setEditing(!editing)}
            >
              Change
            </button>
            <form onSubmit={remove.submit}>
              <button type="submit" class="ghost-button" aria-label={`Remove ${name}`} disabled={remove.waiting}>
                Remove
              </button>
            </form>
          </>
        )}
      </div>
      {told !== null && (
        <p class="mt-1 text-xs leading-5 text-soft" role="status">
          {visible(told)}
        </p>
      )}
      <Fault text={test.fault ?? remove.fault ?? provider.problem} />
      {editing && (
        <div class="mt-3">
          <ProviderForm
            provider={provider}
            saved={(changed) => {
              setEditing(false);
              void pages.change(provider, async () => changed);
            }}
            close={() => setEditing(false)}
          />
        </div>
      )}
    </li>
  );
}

type FormProps = {
  /** null: a new one. */
  provider: ModelProvider | null;
  saved: (provider: ModelProvider) => void;
  close: () => void;
};

function ProviderForm({ provider, saved, close }: FormProps) {
  const id = useId();
  /** The test failed, and the person may save nevertheless. */
  const [refused, setRefused] = useState(false);
  const { fault, waiting, submit } = useSubmit(async (data) => {
    const name = provider?.name ?? textOf(data, "name");
    try {
      const stored = await admin.setProvider(name, contentsOf(data, provider, refused));
      announce(stored.test.ok ? `${name}: saved. ${stored.test.message}` : `${name}: saved`);
      void loadModels();
      saved(stored);
    } catch (error) {
      setRefused(error instanceof ApiError && error.code === "provider_test_failed");
      throw error;
    }
  });
  const label = "grid gap-0.5 text-xs text-soft";
  const names = provider?.models.map((model) => (typeof model === "string" ? model : model.name)) ?? ["*"];
  return (
    <form class="grid gap-3" autocomplete="off" onSubmit={submit} onInput={() => setRefused(false)}>
      <div class="grid gap-x-4 gap-y-3 sm:grid-cols-2">
        {provider === null && (
          <label class={label}>
            <span>Name</span>
            <input
              name="name"
              required
              pattern="[a-z0-9\-]{1,40}"
              title="Small letters, digits and hyphens"
              class="field text-sm"
              placeholder="openai"
            />
          </label>
        )}
        <label class={label}>
          <span>Address</span>
          <input
            name="base_url"
            type="url"
            required
            class="field text-sm"
            placeholder="https://api.openai.com/v1"
            defaultValue={provider?.base_url ?? ""}
          />
        </label>
        <label class={label}>
          <span>Key</span>
          <input
            name="key"
            type="password"
            autocomplete="new-password"
            class="field text-sm"
            placeholder={provider?.has_key ? "Saved. Enter another to replace it" : "None"}
          />
        </label>
        <label class={label}>
          <span>API</span>
          <select name="dialect" class="field text-sm" defaultValue={provider?.dialect ?? "chat_completions"}>
            <option value="chat_completions" selected={provider?.dialect !== "responses"}>
              Chat Completions
            </option>
            <option value="responses" selected={provider?.dialect === "responses"}>
              Responses
            </option>
          </select>
        </label>
        <label class={label}>
          <span>Priority</span>
          <input
            name="priority"
            type="number"
            min="-1000"
            max="1000"
            step="1"
            class="field text-sm"
            defaultValue={`${provider?.priority ?? 0}`}
          />
        </label>
        <label class={label}>
          <span>Further header, as Name: value</span>
          <input
            name="header"
            type="password"
            autocomplete="new-password"
            class="field text-sm"
            placeholder={provider !== null && provider.headers.length > 0 ? `Saved: ${provider.headers.join(", ")}` : "None"}
          />
        </label>
      </div>
      <label class={label}>
        <span id={`${id}-models`}>Models, one a line; * stands for any text</span>
        <textarea name="models" required rows={3} class="field h-24 py-2 text-sm leading-5" defaultValue={names.join("\n")} />
      </label>
      <Fault text={fault} />
      <div class="flex flex-wrap gap-2">
        <button type="submit" class="main-button" disabled={waiting}>
          {waiting ? "Testing…" : refused ? "Save nevertheless" : "Save"}
        </button>
        <button type="button" class="plain-button" onClick={close}>
          Cancel
        </button>
      </div>
    </form>
  );
}

/** What the form says. A field for a secret that is empty leaves what is saved. */
function contentsOf(data: FormData, provider: ModelProvider | null, untested: boolean): ProviderContents {
  const known = new Map(provider?.models.map((model) => [typeof model === "string" ? model : model.name, model]));
  const names = textOf(data, "models").split(/\s+/).filter((name) => name !== "");
  const header = textOf(data, "header");
  const at = header.indexOf(":");
  if (header !== "" && at < 1) throw new Error("Write a header as its name, a colon and its value.");
  const key = textOf(data, "key");
  return {
    base_url: textOf(data, "base_url"),
    dialect: textOf(data, "dialect") === "responses" ? "responses" : "chat_completions",
    priority: Number(textOf(data, "priority") || "0"),
    // What is known about a model stays with its name.
    models: names.map((name) => known.get(name) ?? name),
    ...(key !== "" && { key }),
    ...(header !== "" && { headers: { [header.slice(0, at).trim()]: header.slice(at + 1).trim() } }),
    ...(untested && { untested }),
  };
}
