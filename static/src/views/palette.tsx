/** One field for everything: commands, conversations by their titles, and what was said in them. All of it by keyboard. */
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { conversations as api, describe } from "../api.ts";
import { sectionsOf } from "../permissions.ts";
import { wantsTemporary } from "../state/chat.ts";
import { goal, goalOf } from "../state/goal.ts";
import { conversations } from "../state/list.ts";
import { type Choice, matching, MAX_OF_GROUP, moved } from "../state/palette.ts";
import { isRemoved } from "../state/removals.ts";
import { withoutTitlesOfMessages } from "../state/results.ts";
import {
  ACCOUNT_PATH,
  administrationPath,
  ASSISTANTS_PATH,
  conversationPath,
  MEMORY_PATH,
  navigate,
  PROGRAMS_PATH,
  TOOLS_PATH,
} from "../state/route.ts";
import { endedBy } from "../state/session.ts";
import type { SearchResult, User } from "../types.ts";
import { MAX_CHARS, TYPING_MS } from "./search.tsx";

/** Before that, almost everything would be found. */
const MIN_SEARCHED_CHARS = 2;

type Said = { asked: string; items: SearchResult[]; fault: string | null };
type Group = { name: string; choices: Choice[] };

export function Palette({ user, onClose }: { user: User; onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  const [typed, setTyped] = useState("");
  const [at, setAt] = useState(0);
  const said = useSaid(typed.trim());

  useEffect(() => dialog.current?.showModal(), []);

  const groups = groupsOf(user, typed, said);
  const choices = groups.flatMap((group) => group.choices);
  const current = choices[Math.min(at, choices.length - 1)];
  const optionId = (choice: Choice) => `${id}-${choice.id}`;
  const active = current === undefined ? undefined : optionId(current);
  useEffect(() => {
    if (active !== undefined) document.getElementById(active)?.scrollIntoView({ block: "nearest" });
  }, [active]);

  const take = (choice: Choice | undefined) => {
    if (choice === undefined) return;
    dialog.current?.close();
    choice.choose();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    // While a word is being composed, the keys are for that.
    if (event.isComposing) return;
    const place = Math.min(at, choices.length - 1);
    if (event.key === "ArrowDown") setAt(moved(place, 1, choices.length));
    else if (event.key === "ArrowUp") setAt(moved(place, -1, choices.length));
    else if (event.key === "Enter") take(current);
    else return;
    event.preventDefault();
  };

  return (
    <dialog
      ref={dialog}
      aria-label="Go to anything"
      class="m-auto mt-[10vh] w-[min(38rem,calc(100vw-1.5rem))] overflow-hidden rounded-2xl border border-line bg-raised p-0 text-ink shadow-xl backdrop:bg-black/40"
      onClose={onClose}
      onClick={(event) => event.target === dialog.current && dialog.current?.close()}
    >
      <input
        class="w-full border-b border-line bg-transparent px-5 py-4 text-base outline-none"
        type="text"
        dir="auto"
        role="combobox"
        aria-label="Go to anything"
        aria-expanded="true"
        aria-autocomplete="list"
        aria-controls={`${id}-list`}
        aria-activedescendant={active}
        placeholder="Commands, titles, or anything that was said"
        maxLength={MAX_CHARS}
        autoComplete="off"
        value={typed}
        onInput={(event) => {
          setTyped(event.currentTarget.value);
          setAt(0);
        }}
        onKeyDown={onKeyDown}
      />
      <div id={`${id}-list`} role="listbox" aria-label="What fits" class="max-h-[60vh] overflow-y-auto p-2">
        {groups.map(({ name, choices: offered }) => (
          <div key={name} role="group" aria-label={name}>
            <p class="px-3 pt-2 pb-1 text-xs font-medium text-soft" aria-hidden="true">
              {name}
            </p>
            {offered.map((choice) => (
              <div
                key={choice.id}
                id={optionId(choice)}
                role="option"
                aria-selected={choice === current}
                class={`cursor-pointer rounded-lg px-3 py-2 text-sm pointer-coarse:py-3 ${choice === current ? "palette-current bg-brand-tint" : ""}`}
                onMouseMove={() => setAt(choices.indexOf(choice))}
                onClick={() => take(choice)}
              >
                <span dir="auto" class="block truncate">
                  {choice.label}
                </span>
                {choice.note !== undefined && (
                  <span dir="auto" class="block truncate text-xs text-soft">
                    {choice.note}
                  </span>
                )}
              </div>
            ))}
          </div>
        ))}
      </div>
      <p role="status" class={choices.length === 0 || said?.fault ? "px-5 pb-4 text-sm text-soft" : "sr-only"}>
        {said?.fault ?? (choices.length === 0 ? "Nothing fits." : `${choices.length} of these fit`)}
      </p>
    </dialog>
  );
}

function groupsOf(user: User, typed: string, said: Said | null): Group[] {
  const listed = conversations.value.filter(({ id }) => !isRemoved(id));
  const titles = listed.map(
    ({ id, title }): Choice => ({ id, label: title || "New chat", choose: () => navigate(conversationPath(id)) }),
  );
  const found = withoutTitlesOfMessages(said?.items ?? []).filter((result) => !isRemoved(result.conversation_id));
  const spoken = found.slice(0, MAX_OF_GROUP).map(
    (result): Choice => ({
      id: `said-${result.id}`,
      label: result.snippet.map(({ text }) => text).join(""),
      note: result.title || "New chat",
      choose: () => {
        navigate(conversationPath(result.conversation_id));
        goal.value = goalOf(result);
      },
    }),
  );
  const groups = [
    { name: "Commands", choices: matching(commandsOf(user), typed) },
    { name: "Conversations", choices: matching(titles, typed) },
    { name: "In your conversations", choices: spoken },
  ];
  // Whoever types looks for a conversation first.
  if (typed.trim() !== "") groups.unshift(...groups.splice(1, 1));
  return groups.filter(({ choices }) => choices.length > 0);
}

function commandsOf(user: User): Choice[] {
  const section = sectionsOf(user)[0];
  const to = (id: string, label: string, path: string): Choice => ({ id, label, choose: () => navigate(path) });
  const temporary = () => {
    navigate("/");
    wantsTemporary.value = true;
  };
  return [
    to("new", "New chat", "/"),
    { id: "temporary", label: "New temporary chat", choose: temporary },
    to("assistants", "Assistants", ASSISTANTS_PATH),
    to("tools", "Tools and accounts", TOOLS_PATH),
    to("memory", "Memory", MEMORY_PATH),
    to("programs", "Programs and keys", PROGRAMS_PATH),
    to("account", "Your account", ACCOUNT_PATH),
    ...(section === undefined ? [] : [to("administration", "Administration", administrationPath(section))]),
  ];
}

/** What was said that has the words, once nobody has typed for a moment. */
function useSaid(text: string): Said | null {
  const [said, setSaid] = useState<Said | null>(null);
  useEffect(() => {
    if (text.length < MIN_SEARCHED_CHARS) return setSaid(null);
    let isWanted = true;
    const ask = async () => {
      try {
        const { items } = await api.search(text, null);
        if (isWanted) setSaid({ asked: text, items, fault: null });
      } catch (cause) {
        if (isWanted && !endedBy(cause)) setSaid({ asked: text, items: [], fault: describe(cause) });
      }
    };
    const timer = setTimeout(() => void ask(), TYPING_MS);
    return () => {
      isWanted = false;
      clearTimeout(timer);
    };
  }, [text]);
  return said;
}
