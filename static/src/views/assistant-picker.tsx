/** With which assistant a new chat is begun: a quiet choice beside that of the model, if there is one. */
import { chatAt, isSending } from "../state/chat.ts";
import { choose, nextAssistant, usableAssistants } from "../state/assistants.ts";
import { visible } from "../visible.ts";
import { announce } from "./announce.tsx";

export function AssistantPicker() {
  const usable = usableAssistants.value;
  if (chatAt.value !== "new" || usable.length === 0) return null;
  const chooseById = (id: string) => {
    const chosen = usable.find((assistant) => assistant.id === id) ?? null;
    choose(chosen);
    announce(chosen === null ? "No assistant" : `The next chat begins with ${chosen.name}`);
  };
  return (
    <div class="mt-1.5 flex min-w-0 ps-3 text-xs text-soft">
      <select
        aria-label="Assistant"
        class="field-sizing-content max-w-full min-w-0 cursor-pointer truncate rounded-lg bg-transparent px-1.5 py-1 hover:bg-hover hover:text-ink pointer-coarse:h-11"
        value={nextAssistant.value?.id ?? ""}
        disabled={isSending.value}
        title={nextAssistant.value?.description ?? ""}
        onChange={(event) => chooseById(event.currentTarget.value)}
      >
        <option value="">No assistant</option>
        {usable.map(({ id, name, description }) => (
          <option key={id} value={id} title={description}>
            {visible(name)}
          </option>
        ))}
      </select>
    </div>
  );
}
