/** The settings of the shown conversation: a button that says which assistant it has, and the dialog behind it. */
import type { TargetedSubmitEvent } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { describe } from "../api.ts";
import { settingsInWords, USUAL } from "../settings.ts";
import { usableAssistants } from "../state/assistants.ts";
import { configure, conversation } from "../state/chat.ts";
import { endedBy } from "../state/session.ts";
import { visible } from "../visible.ts";
import { announce } from "./announce.tsx";
import { Icon } from "./icons.tsx";
import { ModelSettingsFields } from "./model-settings.tsx";

export function ConversationSettingsButton() {
  const [open, setOpen] = useState(false);
  const shown = conversation.value;
  // A host of an earlier release does not say them.
  if (shown?.settings === undefined) return null;
  const name = shown.assistant?.name ?? null;
  const words = settingsInWords(shown.settings);
  return (
    <>
      <button
        type="button"
        class={`ghost-button min-w-11 justify-center ${words.length > 0 ? "text-brand" : ""}`}
        aria-label={name === null ? "Settings of this chat" : `Settings of this chat, begun with ${visible(name)}`}
        title={words.join(" · ") || "Settings of this chat"}
        onClick={() => setOpen(true)}
      >
        <Icon name="settings" />
        {name !== null && <span class="max-w-24 truncate sm:max-w-48">{visible(name)}</span>}
      </button>
      {open && <Dialog onClose={() => setOpen(false)} />}
    </>
  );
}

function Dialog({ onClose }: { onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  const before = conversation.peek();
  const [settings, setSettings] = useState(before?.settings ?? USUAL);
  const [chosen, setChosen] = useState("");
  const [fault, setFault] = useState<string | null>(null);
  const [waiting, setWaiting] = useState(false);
  const usable = usableAssistants.value;
  useEffect(() => dialog.current?.showModal(), []);

  const choose = (assistantId: string) => {
    setChosen(assistantId);
    const assistant = usable.find((item) => item.id === assistantId);
    setSettings(assistant?.settings ?? before?.settings ?? USUAL);
  };
  const submit = async (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    setWaiting(true);
    setFault(null);
    try {
      await configure(settings, chosen === "" ? null : chosen);
      announce("Saved. It counts from the next message on.");
      dialog.current?.close();
    } catch (error) {
      if (!endedBy(error)) setFault(describe(error));
      setWaiting(false);
    }
  };
  return (
    <dialog
      ref={dialog}
      aria-labelledby={id}
      class="m-auto max-h-[calc(100dvh-2rem)] w-[min(40rem,calc(100vw-2rem))] overflow-y-auto rounded-2xl border border-line bg-raised p-6 text-ink shadow-xl backdrop:bg-black/40"
      onClose={onClose}
      onClick={(event) => event.target === dialog.current && dialog.current?.close()}
    >
      <form class="grid gap-4" onSubmit={(event) => void submit(event)}>
        <h2 id={id} class="text-lg font-semibold">
          Settings of this chat
        </h2>
        {usable.length > 0 && (
          <label class="grid gap-0.5 text-xs text-soft">
            <span>Take the settings of</span>
            <select class="field text-sm text-ink" value={chosen} onChange={(event) => choose(event.currentTarget.value)}>
              <option value="">
                {before?.assistant ? `As they are, from ${visible(before.assistant.name)}` : "As they are"}
              </option>
              {usable.map((assistant) => (
                <option key={assistant.id} value={assistant.id}>
                  {visible(assistant.name)}
                </option>
              ))}
            </select>
          </label>
        )}
        <ModelSettingsFields settings={settings} change={setSettings} />
        <p class="text-xs leading-5 text-soft">They count from the next message on. Leave a field empty for the usual.</p>
        {fault !== null && (
          <p class="text-sm text-danger" role="alert">
            {fault}
          </p>
        )}
        <div class="flex flex-wrap justify-end gap-2.5">
          <button type="button" class="ghost-button me-auto" onClick={() => setSettings(USUAL)}>
            All as usual
          </button>
          <button type="button" class="plain-button" onClick={() => dialog.current?.close()}>
            Cancel
          </button>
          <button type="submit" class="main-button" disabled={waiting}>
            Save
          </button>
        </div>
      </form>
    </dialog>
  );
}
