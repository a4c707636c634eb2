/** Where one writes. Enter sends, Shift+Enter makes a new line; a draft survives a reload, and a failed sending. */
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { undecided } from "../state/approvals.ts";
import { busy, running, say, sending, stop, stopping } from "../state/chat.ts";
import { readDraft, writeDraft } from "../state/drafts.ts";
import { Icon } from "./icons.tsx";

/** Of the notice that says what the answer waits for. */
export const WAITING_ID = "waiting-for-person";

export function Composer({ draftId, disabled }: { draftId: string; disabled: boolean }) {
  const [text, setText] = useState("");
  const field = useRef<HTMLTextAreaElement>(null);
  /** Enter was pressed while the conversation was still loading, and nothing was typed since. */
  const early = useRef(false);

  // Before the next frame: what is written belongs to what is shown above it.
  useLayoutEffect(() => {
    // While a first message is on its way the new chat becomes a conversation; its draft is that message.
    if (!sending.peek()) setText(readDraft(draftId));
    // Where there is a keyboard on the screen, focus would push the conversation away.
    if (window.matchMedia("(pointer: fine)").matches) field.current?.focus();
  }, [draftId, disabled]);

  // `field-sizing: content` is not everywhere yet.
  useLayoutEffect(() => {
    const box = field.current;
    if (box === null) return;
    box.style.height = "auto";
    box.style.height = `${box.scrollHeight}px`;
  }, [text]);

  const send = async () => {
    const said = text.trim();
    early.current = disabled;
    if (said === "" || busy.peek() || disabled) return;
    setText("");
    const sent = await say(said);
    if (!sent) setText((typed) => (typed === "" ? said : typed));
  };

  useEffect(() => {
    if (early.current && !disabled) void send();
  }, [disabled]);
  useLayoutEffect(() => () => void (early.current = false), [draftId]);

  return (
    <form
      class="flex items-end gap-2 rounded-3xl border border-line bg-raised p-2 pl-4.5 shadow-sm transition-shadow focus-within:border-brand focus-within:shadow-md"
      onSubmit={(event) => {
        event.preventDefault();
        void send();
      }}
    >
      <textarea
        ref={field}
        rows={1}
        class="max-h-[40vh] min-w-0 flex-1 resize-none bg-transparent py-2 leading-6 outline-none placeholder:text-soft"
        aria-label="Message"
        aria-describedby={undecided.value.length > 0 ? WAITING_ID : undefined}
        placeholder={undecided.value.length > 0 ? "Waiting for your decision" : "Ask anything"}
        value={text}
        enterkeyhint="send"
        onInput={(event) => {
          early.current = false;
          setText(event.currentTarget.value);
          writeDraft(draftId, event.currentTarget.value);
        }}
        onKeyDown={(event) => {
          // During composition Enter chooses a word; 229 is how Safari says so.
          if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
          event.preventDefault();
          void send();
        }}
      />
      {running.value ? (
        <button
          type="button"
          class="grid size-10 shrink-0 place-items-center rounded-full bg-ink text-paper hover:opacity-85 disabled:opacity-50"
          aria-label={stopping.value ? "Stopping" : "Stop"}
          title="Stop"
          disabled={stopping.value}
          onClick={() => void stop()}
        >
          <span class="size-3 rounded-[3px] bg-paper" />
        </button>
      ) : (
        <button
          type="submit"
          class="grid size-10 shrink-0 place-items-center rounded-full bg-brand text-paper transition-colors hover:bg-brand-strong disabled:bg-hover disabled:text-soft"
          aria-label="Send"
          title="Send"
          disabled={text.trim() === "" || sending.value || disabled}
        >
          <Icon name="send" size={20} />
        </button>
      )}
    </form>
  );
}
