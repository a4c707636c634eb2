/** The text field. Enter sends, Shift+Enter makes a new line. A draft survives a reload and a failed sending. */
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { undecided } from "../state/approvals.ts";
import { attach, attachedTo, MAX_FILES } from "../state/attachments.ts";
import { busy, isSending, isTemporary, say, stop, stopping } from "../state/chat.ts";
import { readDraft, writeDraft } from "../state/drafts.ts";
import { isPaused } from "../state/pause.ts";
import { Attached } from "./attachments.tsx";
import { Icon } from "./icons.tsx";
import { AssistantPicker } from "./assistant-picker.tsx";
import { ModelPicker } from "./model-picker.tsx";
import { PauseNotice } from "./pause-notice.tsx";

/** The id of the notice that says what the answer waits for. */
export const WAITING_ID = "waiting-for-person";

const FIELD_ID = "composer";
const BUTTON_ID = "composer-button";

/** Focuses the text field; on devices with an on-screen keyboard, the button beside it. */
export function focusComposer(): void {
  const fine = window.matchMedia("(pointer: fine)").matches;
  document.getElementById(fine ? FIELD_ID : BUTTON_ID)?.focus();
}

const STILL_WRITING =
  "The answer is still being written. Your message stays here: send it afterwards, or stop the answer.";
const STILL_UPLOADING = "A file is still being uploaded. Your message stays here: send it afterwards.";
const NOT_UPLOADED = "A file could not be uploaded. Remove it, or attach it again.";
const TOO_MANY = `A message has at most ${MAX_FILES} files.`;

export function Composer({ draftId, disabled }: { draftId: string; disabled: boolean }) {
  const [text, setText] = useState("");
  const field = useRef<HTMLTextAreaElement>(null);
  const chooser = useRef<HTMLInputElement>(null);
  const attached = attachedTo(draftId);
  /** Enter was pressed while the conversation was loading, and nothing was typed since. */
  const early = useRef(false);
  /** Why the person's action failed. */
  const [note, setNote] = useState("");

  // Before the next frame, so that the draft belongs to the conversation above it.
  useLayoutEffect(() => {
    // While the first message is being sent, the new chat becomes a conversation. Its draft is that message.
    if (!isSending.peek()) setText(readDraft(draftId));
    // On-screen keyboards would push the conversation away.
    if (window.matchMedia("(pointer: fine)").matches) field.current?.focus();
  }, [draftId, disabled]);

  // Some browsers do not support `field-sizing: content` yet.
  useLayoutEffect(() => {
    const box = field.current;
    if (box === null) return;
    box.style.height = "auto";
    box.style.height = `${box.scrollHeight}px`;
  }, [text]);

  const send = async () => {
    const said = text.trim();
    early.current = disabled;
    if ((said === "" && attached.length === 0) || disabled) return;
    if (attached.some(({ problem }) => problem !== null)) return setNote(NOT_UPLOADED);
    const files = attached.flatMap(({ file }) => (file === null ? [] : [file]));
    if (files.length < attached.length) return setNote(STILL_UPLOADING);
    if (busy.peek()) return setNote(STILL_WRITING);
    if (isPaused()) return;
    setNote("");
    setText("");
    const sent = await say(said, files);
    if (!sent) setText((typed) => (typed === "" ? said : typed));
  };

  useEffect(() => {
    if (early.current && !disabled) void send();
  });
  useLayoutEffect(() => () => void (early.current = false), [draftId]);
  const stops = busy.value;
  // The notice is outdated.
  useEffect(() => setNote(""), [draftId, stops]);

  const take = (chosen: readonly File[]) => setNote(attach(draftId, chosen) ? "" : TOO_MANY);
  const takeFiles = (event: Event, data: DataTransfer | null) => {
    // A copied table of a spreadsheet contains text and a picture of it.
    if (data === null || data.files.length === 0 || data.types.includes("text/plain")) return;
    event.preventDefault();
    take([...data.files]);
  };

  const empty = (text.trim() === "" && attached.length === 0) || disabled;
  return (
    <>
      <p role="status" class={note === "" ? "sr-only" : "notice mb-2"}>
        {note}
      </p>
      <Attached draftId={draftId} />
      <PauseNotice hasDraft={!empty} onSend={() => void send()} />
      <form
        class={`flex items-end gap-2 rounded-3xl border border-line bg-raised p-2 shadow-sm short:p-0.5 transition-shadow focus-within:border-brand focus-within:shadow-md ${isTemporary.value ? "border-dashed" : ""}`}
        onSubmit={(event) => {
          event.preventDefault();
          void send();
        }}
        onDragOver={(event) => {
          if (event.dataTransfer?.types.includes("Files")) event.preventDefault();
        }}
        onDrop={(event) => takeFiles(event, event.dataTransfer)}
      >
        <input
          ref={chooser}
          type="file"
          multiple
          hidden
          aria-label="Files"
          onChange={(event) => {
            take([...(event.currentTarget.files ?? [])]);
            // The same file can be chosen again.
            event.currentTarget.value = "";
            field.current?.focus();
          }}
        />
        <button
          type="button"
          class="grid size-10 shrink-0 place-items-center rounded-full text-soft hover:bg-hover hover:text-ink pointer-coarse:size-11"
          aria-label="Attach files"
          title="Attach files"
          onClick={() => chooser.current?.click()}
        >
          <Icon name="clip" size={20} />
        </button>
        <textarea
          ref={field}
          id={FIELD_ID}
          dir="auto"
          rows={1}
          class="max-h-[40vh] min-w-0 flex-1 resize-none bg-transparent py-2 leading-6 outline-none short:max-h-24 placeholder:text-soft"
          aria-label="Message"
          aria-describedby={undecided.value.length > 0 ? WAITING_ID : undefined}
          placeholder={undecided.value.length > 0 ? "Waiting for your decision" : "Ask anything"}
          value={text}
          enterkeyhint="send"
          onInput={(event) => {
            early.current = false;
            setNote("");
            setText(event.currentTarget.value);
            writeDraft(draftId, event.currentTarget.value);
          }}
          onPaste={(event) => takeFiles(event, event.clipboardData)}
          onKeyDown={(event) => {
            // During composition, Enter chooses a word. Safari reports this as key code 229.
            if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
            event.preventDefault();
            void send();
          }}
        />
        {/* One button for both, so that it keeps the focus when an answer begins or ends. */}
        <button
          id={BUTTON_ID}
          type={stops ? "button" : "submit"}
          class={`grid size-10 shrink-0 place-items-center rounded-full pointer-coarse:size-11 ${stops ? `stop-button ${stopping.value ? "opacity-60" : ""}` : "send-button"}`}
          aria-label={stops ? (stopping.value ? "Stopping. Stop at once" : "Stop") : "Send"}
          title={stops ? (stopping.value ? "Stop at once" : "Stop") : "Send"}
          aria-disabled={!stops && empty}
          onClick={(event) => {
            if (!stops) return;
            event.preventDefault();
            void stop();
          }}
        >
          {stops ? <span class="size-3 rounded-[3px]" /> : <Icon name="send" size={20} />}
        </button>
      </form>
      <div class="flex min-w-0 flex-wrap gap-x-2 short:hidden">
        <ModelPicker />
        <AssistantPicker />
      </div>
    </>
  );
}
