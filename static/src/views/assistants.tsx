/** The page Assistants: those that the person can use, and their own to make, change and share. */
import { useEffect, useState } from "preact/hooks";
import { assistants as api } from "../assistants.ts";
import { may } from "../permissions.ts";
import { settingsInWords, toggled, USUAL } from "../settings.ts";
import { choose, loadAssistants } from "../state/assistants.ts";
import { models } from "../state/models.ts";
import type { Pages } from "../state/pages.ts";
import { follow } from "../state/route.ts";
import type { Assistant, NamedGroup, User } from "../types.ts";
import { visible } from "../visible.ts";
import { announce } from "./announce.tsx";
import { Confirm } from "./confirm.tsx";
import { Header } from "./header.tsx";
import { ModelSettingsFields } from "./model-settings.tsx";
import { Fault, PageList, textOf, usePages, useSubmit } from "./page-list.tsx";

const LABEL = "grid gap-0.5 text-xs text-soft";

export function Assistants({ user }: { user: User }) {
  const pages = usePages(api.list, ({ id }: Assistant) => id);
  const groups = useGroups(may(user, "assistants:share"));
  const [adding, setAdding] = useState(false);
  return (
    <>
      <Header title="Assistants" />
      <div class="min-h-0 flex-1 overflow-y-auto" tabIndex={-1}>
        <div class="mx-auto w-full max-w-[46rem] px-4 pt-4 pb-10 sm:px-6">
          <p class="text-sm leading-6 text-soft">
            An assistant is a set of settings under a name: what the model is told, how it answers, and with which tools. A chat that is
            begun with one gets a copy, so a later change reaches new chats only.
          </p>
          {adding ? (
            <div class="mt-3 rounded-xl border border-line bg-raised px-4 py-3.5">
              <AssistantForm
                assistant={null}
                groups={groups}
                saved={(made) => {
                  setAdding(false);
                  pages.add(made);
                }}
                close={() => setAdding(false)}
              />
            </div>
          ) : (
            <button type="button" class="main-button mt-3" onClick={() => setAdding(true)}>
              New assistant
            </button>
          )}
          <PageList
            pages={pages}
            none="You have no assistants, and none is shared with you."
            row={(assistant) => <Row key={assistant.id} assistant={assistant} groups={groups} pages={pages} />}
          />
        </div>
      </div>
    </>
  );
}

/** The groups that the person can share with; none if they may not. */
function useGroups(mayShare: boolean): NamedGroup[] {
  const [groups, setGroups] = useState<NamedGroup[]>([]);
  useEffect(() => {
    if (!mayShare) return;
    // Without an answer, nothing is offered.
    void api.groups().then(
      ({ items }) => setGroups(items),
      () => undefined,
    );
  }, [mayShare]);
  return groups;
}

/** Whose it is, and with whom it is shared. */
function sharingInWords({ own, owner_name, groups }: Assistant): string {
  const shared = groups === null || groups.length === 0 ? "" : `shared with ${groups.map(({ name }) => name).join(", ")}`;
  if (own) return shared || "only yours";
  return [owner_name === null ? "somebody else's" : `by ${owner_name}`, shared].filter((word) => word !== "").join(", ");
}

function Row({ assistant, groups, pages }: { assistant: Assistant; groups: NamedGroup[]; pages: Pages<Assistant> }) {
  const [editing, setEditing] = useState(false);
  const [removing, setRemoving] = useState(false);
  const name = visible(assistant.name);
  const words = [assistant.model === null ? "" : visible(assistant.model), ...settingsInWords(assistant.settings)];
  const mayChange = assistant.groups !== null;
  const remove = async () => {
    if (await pages.change(assistant, async () => (await api.remove(assistant.id), null))) announce(`${name} is deleted`);
    void loadAssistants();
  };
  return (
    <li class="px-4 py-3.5 text-sm">
      <div class="flex flex-wrap items-start gap-x-2 gap-y-1">
        <div class="min-w-0 flex-[1_1_16rem]">
          <p class="font-medium break-words">
            <bdi>{name}</bdi> <span class="font-normal text-soft">{visible(sharingInWords(assistant))}</span>
          </p>
          {assistant.description !== "" && (
            <p class="break-words text-soft" dir="auto">
              {visible(assistant.description)}
            </p>
          )}
          <p class="text-xs leading-5 break-words text-soft">
            {words.filter((word) => word !== "").join(" · ") || "everything as usual"}
          </p>
        </div>
        <a
          href="/"
          class="ghost-button"
          aria-label={`Begin a chat with ${name}`}
          onClick={(event) => {
            choose(assistant);
            follow(event, "/");
          }}
        >
          Begin a chat
        </a>
        {mayChange && (
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
            <button type="button" class="ghost-button" aria-label={`Delete ${name}`} onClick={() => setRemoving(true)}>
              Delete
            </button>
          </>
        )}
      </div>
      {editing && (
        <div class="mt-3">
          <AssistantForm
            assistant={assistant}
            groups={groups}
            saved={(changed) => {
              setEditing(false);
              void pages.change(assistant, async () => changed);
            }}
            close={() => setEditing(false)}
          />
        </div>
      )}
      {removing && (
        <Confirm
          title="Delete assistant?"
          button="Delete"
          confirmed={() => void remove()}
          onClose={() => setRemoving(false)}
        >
          “{name}” will be gone for everybody who uses it. Chats that were begun with it keep their settings.
        </Confirm>
      )}
    </li>
  );
}

type FormProps = {
  /** null: a new one. */
  assistant: Assistant | null;
  groups: NamedGroup[];
  saved: (assistant: Assistant) => void;
  close: () => void;
};

function AssistantForm({ assistant, groups, saved, close }: FormProps) {
  const [settings, setSettings] = useState(assistant?.settings ?? USUAL);
  const [shared, setShared] = useState<string[]>(assistant?.groups?.map(({ id }) => id) ?? []);
  const { fault, waiting, submit } = useSubmit(async (data) => {
    const contents = {
      name: textOf(data, "name"),
      description: textOf(data, "description"),
      model: textOf(data, "model") || null,
      settings,
      groups: shared,
    };
    const stored = await (assistant === null ? api.make(contents) : api.change(assistant.id, contents));
    announce(`${stored.name}: saved`);
    void loadAssistants();
    saved(stored);
  });
  // Those it is shared with already may be others than one's own.
  const offered = [...new Map([...groups, ...(assistant?.groups ?? [])].map((group) => [group.id, group])).values()];
  const ids = [...new Set([...models.value.map(({ id }) => id), ...(assistant?.model ? [assistant.model] : [])])];
  return (
    <form class="grid gap-3" autocomplete="off" onSubmit={submit}>
      <div class="grid gap-x-4 gap-y-3 sm:grid-cols-2">
        <label class={LABEL}>
          <span>Name</span>
          <input name="name" required maxLength={60} dir="auto" class="field text-sm text-ink" defaultValue={assistant?.name ?? ""} />
        </label>
        <label class={LABEL}>
          <span>Model</span>
          <select name="model" class="field text-sm text-ink" defaultValue={assistant?.model ?? ""}>
            <option value="" selected={!assistant?.model}>
              As usual
            </option>
            {ids.map((id) => (
              <option key={id} value={id} selected={id === assistant?.model}>
                {visible(id)}
              </option>
            ))}
          </select>
        </label>
      </div>
      <label class={LABEL}>
        <span>What it is for</span>
        <input
          name="description"
          maxLength={500}
          dir="auto"
          class="field text-sm text-ink"
          defaultValue={assistant?.description ?? ""}
        />
      </label>
      <ModelSettingsFields settings={settings} change={setSettings} />
      {offered.length > 0 && (
        <fieldset class="grid gap-1 text-sm">
          <legend class="text-xs text-soft">Shared with</legend>
          {offered.map(({ id, name }) => (
            <label key={id} class="flex items-center gap-2 break-words pointer-coarse:min-h-11">
              <input type="checkbox" checked={shared.includes(id)} onChange={() => setShared(toggled(shared, id))} />
              {visible(name)}
            </label>
          ))}
          <p class="text-xs leading-5 text-soft">Members of these groups can use it, and read everything in it.</p>
        </fieldset>
      )}
      <Fault text={fault} />
      <div class="flex justify-end gap-2.5">
        <button type="button" class="plain-button" onClick={close}>
          Cancel
        </button>
        <button type="submit" class="main-button" disabled={waiting}>
          Save
        </button>
      </div>
    </form>
  );
}
