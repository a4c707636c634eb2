/** What is remembered about the person: shown with where it was said, edited, deleted, turned off. What is remembered, conversations decide (docs/memory.md). */
import { useState } from "preact/hooks";
import { describe, memories } from "../api.ts";
import type { Pages } from "../state/pages.ts";
import { conversationPath, follow } from "../state/route.ts";
import { endedBy } from "../state/session.ts";
import type { Memory } from "../types.ts";
import { announce } from "./announce.tsx";
import { Confirm } from "./confirm.tsx";
import { Header } from "./header.tsx";
import { Fault, PageList, textOf, usePages, useSubmit, When } from "./page-list.tsx";

/** As the server has it. */
const MAX_CHARS = 500;

export function MemorySettings() {
  const [isOn, setIsOn] = useState<boolean | null>(null);
  const [fault, setFault] = useState<string | null>(null);
  const [asking, setAsking] = useState(false);
  const pages = usePages(
    async () => {
      const list = await memories.list();
      setIsOn(list.is_on);
      return list;
    },
    ({ id }: Memory) => id,
  );
  const attempt = async (act: () => Promise<void>) => {
    setFault(null);
    try {
      await act();
    } catch (error) {
      if (!endedBy(error)) setFault(describe(error));
    }
  };
  const flip = (wanted: boolean) =>
    attempt(async () => {
      setIsOn((await memories.turn(wanted)).is_on);
      announce(wanted ? "Memory is on" : "Memory is off");
    });
  const removeAll = () =>
    attempt(async () => {
      await memories.removeAll();
      await pages.load();
      announce("Everything is forgotten");
    });
  const state = pages.state.value;
  return (
    <>
      <Header title="Memory" />
      <div class="min-h-0 flex-1 overflow-y-auto" tabIndex={-1}>
        <div class="mx-auto w-full max-w-[46rem] px-4 pt-4 pb-10 sm:px-6">
          <p class="text-sm leading-6 text-soft">
            Facts about you that models had remembered, in tool calls that you can see. Every conversation knows them, but temporary chats, which
            also add nothing. Under Tools you can have models ask before they remember something.
          </p>
          {isOn !== null && (
            <label class="mt-3 flex min-h-8 items-center gap-2 text-sm pointer-coarse:min-h-11">
              <input type="checkbox" checked={isOn} onChange={(event) => void flip(event.currentTarget.checked)} />
              Remember, and use what is remembered
            </label>
          )}
          <Fault text={fault} />
          <PageList pages={pages} none="Nothing is remembered about you." row={(memory) => <Row key={memory.id} memory={memory} pages={pages} />} />
          {state.at === "ready" && state.items.length > 0 && (
            <button type="button" class="plain-button mt-4" onClick={() => setAsking(true)}>
              Forget everything…
            </button>
          )}
          {asking && (
            <Confirm title="Forget everything?" button="Forget everything" confirmed={() => void removeAll()} onClose={() => setAsking(false)}>
              All facts about you are deleted. The conversations in which you said them stay.
            </Confirm>
          )}
        </div>
      </div>
    </>
  );
}

function Row({ memory, pages }: { memory: Memory; pages: Pages<Memory> }) {
  const [editing, setEditing] = useState(false);
  const remove = async () => {
    const gone = await pages.change(memory, async () => {
      await memories.remove(memory.id);
      return null;
    });
    if (gone) announce("Forgotten");
  };
  if (editing) return <Editor memory={memory} pages={pages} done={() => setEditing(false)} />;
  return (
    <li class="flex flex-wrap items-center gap-x-4 gap-y-1 px-4 py-3 text-sm">
      <div class="min-w-[12rem] flex-1">
        <bdi class="break-words">{memory.content}</bdi>
        <p class="text-xs leading-5 text-soft">
          <When at={memory.updated_at} />
          {memory.conversation_id === null ? ", in a conversation that is deleted" : <Source id={memory.conversation_id} />}
        </p>
      </div>
      <button type="button" class="ghost-button" aria-label={`Edit: ${memory.content}`} onClick={() => setEditing(true)}>
        Edit
      </button>
      <button type="button" class="ghost-button" aria-label={`Forget: ${memory.content}`} onClick={() => void remove()}>
        Forget
      </button>
    </li>
  );
}

function Source({ id }: { id: string }) {
  const path = conversationPath(id);
  return (
    <>
      , in{" "}
      <a class="underline" href={path} onClick={(event) => follow(event, path)}>
        this conversation
      </a>
    </>
  );
}

function Editor({ memory, pages, done }: { memory: Memory; pages: Pages<Memory>; done: () => void }) {
  const { fault, waiting, submit } = useSubmit(async (data) => {
    const edited = await memories.edit(memory.id, textOf(data, "content"));
    await pages.change(memory, () => Promise.resolve(edited));
    announce("Saved");
    done();
  });
  return (
    <li class="px-4 py-3 text-sm">
      <form class="flex flex-wrap gap-2" onSubmit={submit}>
        <input
          name="content"
          class="field min-w-0 flex-[1_1_14rem]"
          dir="auto"
          required
          maxLength={MAX_CHARS}
          aria-label="What is remembered"
          autocomplete="off"
          defaultValue={memory.content}
        />
        <button type="submit" class="main-button" disabled={waiting}>
          Save
        </button>
        <button type="button" class="plain-button" onClick={done}>
          Cancel
        </button>
      </form>
      <Fault text={fault} />
    </li>
  );
}
