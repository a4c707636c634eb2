/** Asks for a conversation's new name, or how long it is kept. */
import type { TargetedSubmitEvent } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { describe } from "../api.ts";
import { showRenamed } from "../state/chat.ts";
import { daysToChoose, inDays } from "../retention.ts";
import { keep, rename } from "../state/list.ts";
import { endedBy } from "../state/session.ts";
import type { Conversation } from "../types.ts";
import { announce } from "./announce.tsx";
import { When } from "./page-list.tsx";

export type Asked = { to: "rename" | "keep"; item: Conversation };

const MAX_TITLE_CHARS = 200;

export function ConversationDialog({ asked: { to, item }, onClose }: { asked: Asked; onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  const [error, setError] = useState<string | null>(null);
  const [waiting, setWaiting] = useState(false);

  useEffect(() => {
    dialog.current?.showModal();
    dialog.current?.querySelector("input")?.select();
  }, []);

  const submit = async (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const given = new FormData(event.currentTarget).get("title");
    const title = typeof given === "string" ? given.trim() : "";
    setWaiting(true);
    setError(null);
    try {
      if (to === "rename") await renameTo(item.id, title);
      else await keepFor(item.id, Number(new FormData(event.currentTarget).get("days")));
      dialog.current?.close();
    } catch (cause) {
      if (!endedBy(cause)) setError(describe(cause));
      setWaiting(false);
    }
  };

  return (
    <dialog
      ref={dialog}
      aria-labelledby={id}
      class="m-auto w-[min(26rem,calc(100vw-2rem))] rounded-2xl border border-line bg-raised p-6 text-ink shadow-xl backdrop:bg-black/40"
      onClose={onClose}
      onClick={(event) => event.target === dialog.current && dialog.current?.close()}
    >
      <form class="grid gap-5" onSubmit={(event) => void submit(event)}>
        <h2 id={id} class="text-lg font-semibold">
          {TITLES[to]}
        </h2>
        {to === "rename" ? (
          <input
            class="field"
            name="title"
            dir="auto"
            aria-label="New name"
            defaultValue={item.title}
            maxLength={MAX_TITLE_CHARS}
            required
          />
        ) : (
          <>
            <select class="field" name="days" aria-label="Delete it" defaultValue={`${item.retention_days ?? 0}`}>
              {daysToChoose(item).map((days) => (
                <option key={days} value={days} selected={days === (item.retention_days ?? 0)}>
                  {days === 0 ? "As usual here" : `${inDays(days)} after its last use`}
                </option>
              ))}
            </select>
            <p class="text-sm leading-6 text-soft">
              {item.expires_at ? (
                <>
                  At present it will be deleted <When at={item.expires_at} />, unless it is used before.
                </>
              ) : (
                "At present it is kept until somebody deletes it."
              )}{" "}
              If this installation keeps conversations for less time, that counts.
            </p>
          </>
        )}
        {error !== null && (
          <p class="text-sm text-danger" role="alert">
            {error}
          </p>
        )}
        <div class="flex justify-end gap-2.5">
          <button type="button" class="plain-button" onClick={() => dialog.current?.close()}>
            Cancel
          </button>
          <button type="submit" class="main-button" disabled={waiting}>
            {BUTTONS[to]}
          </button>
        </div>
      </form>
    </dialog>
  );
}

const TITLES = {
  rename: "Rename conversation",
  keep: "How long is it kept?",
};
const BUTTONS = { rename: "Rename", keep: "Save" };

async function keepFor(id: string, days: number): Promise<void> {
  showRenamed(await keep(id, days === 0 ? null : days));
  announce("Saved");
}

async function renameTo(id: string, title: string): Promise<void> {
  showRenamed(await rename(id, title));
  announce("Renamed");
}
