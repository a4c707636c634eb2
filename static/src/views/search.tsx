/** Searching in one's conversations: the field above their list, and the results, which take the list's place. */
import { signal } from "@preact/signals";
import { useEffect, useState } from "preact/hooks";
import { conversations as api } from "../api.ts";
import { goal, goalOf } from "../state/goal.ts";
import { isRemoved } from "../state/removals.ts";
import { withoutTitlesOfMessages } from "../state/results.ts";
import { conversationPath, follow } from "../state/route.ts";
import type { SearchResult } from "../types.ts";
import { Icon } from "./icons.tsx";
import { More, usePages } from "./page-list.tsx";
import { drawerOpen } from "./shell.tsx";

/** What is typed. It stays while the person looks at results, and goes with the page. */
const typed = signal("");
/** Whether anything is looked for. */
export const isSearching = () => typed.value.trim() !== "";

/** For the next person in this tab. */
export function forgetSearch(): void {
  typed.value = "";
  goal.value = null;
}

/** As long as somebody types on, nothing is asked. */
export const TYPING_MS = 250;
/** The longest that the server takes. */
export const MAX_CHARS = 512;

/** The palette searches as well; who has a keyboard learns of it here. */
const HINT = !window.matchMedia("(pointer: fine)").matches
  ? "Search"
  : /mac/i.test(navigator.platform)
    ? "Search (⌘K)"
    : "Search (Ctrl K)";

export function SearchField() {
  return (
    <div class="relative mt-1.5" role="search">
      <span class="pointer-events-none absolute inset-y-0 left-3 grid place-items-center text-soft">
        <Icon name="search" size={16} />
      </span>
      <input
        type="search"
        dir="auto"
        class="field h-10 pl-9 text-sm pointer-coarse:h-11 pointer-coarse:text-base"
        aria-label="Search your conversations"
        aria-keyshortcuts="Control+K Meta+K"
        placeholder={HINT}
        maxLength={MAX_CHARS}
        value={typed.value}
        onInput={(event) => (typed.value = event.currentTarget.value)}
      />
    </div>
  );
}

export function SearchResults() {
  const text = typed.value;
  // Nothing at first: whoever has typed one letter will type on.
  const [asked, setAsked] = useState("");
  useEffect(() => {
    const timer = setTimeout(() => setAsked(text), TYPING_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return asked === "" ? null : <Results key={asked} asked={asked} />;
}

function Results({ asked }: { asked: string }) {
  const [isComplete, setComplete] = useState(true);
  const ask = async (cursor: string | null) => {
    const page = await api.search(asked, cursor);
    setComplete(page.is_complete);
    return page;
  };
  const pages = usePages<SearchResult>(ask, (result) => result.id);
  const state = pages.state.value;
  switch (state.at) {
    case "loading":
      return (
        <p class="px-2 py-3 text-sm text-soft" role="status">
          Searching…
        </p>
      );
    case "failed":
      return (
        <div class="px-2 py-3 text-sm text-soft" role="alert">
          <p>{state.reason}</p>
          <button type="button" class="text-button mt-2" onClick={() => void pages.load()}>
            Try again
          </button>
        </div>
      );
    case "ready":
      return (
        <>
          {state.items.length === 0 && state.cursor === null && (
            <p class="px-2 py-3 text-sm text-soft" role="status">
              Nothing was found.
            </p>
          )}
          {!isComplete && (
            <p class="px-2 py-2 text-sm text-soft" role="status">
              Some of what you said is not searched yet. Search again in a while.
            </p>
          )}
          <ul aria-label="What was found">
            {withoutTitlesOfMessages(state.items.filter((found) => !isRemoved(found.conversation_id))).map((result) => (
              <Found key={result.id} result={result} />
            ))}
          </ul>
          {state.fault !== null && (
            <p class="px-2 py-2 text-sm text-danger" role="alert">
              {state.fault}
            </p>
          )}
          <More pages={pages} look="ghost-button mt-3 w-full" />
        </>
      );
  }
}

function Found({ result }: { result: SearchResult }) {
  const path = conversationPath(result.conversation_id);
  const open = (event: MouseEvent) => {
    follow(event, path);
    // Not in a tab of its own.
    if (event.defaultPrevented) goal.value = goalOf(result);
    drawerOpen.value = false;
  };
  const date = new Date(result.created_at).toLocaleDateString([], { dateStyle: "medium" });
  return (
    <li>
      <a href={path} class="block rounded-lg px-2.5 py-2 text-sm hover:bg-hover pointer-coarse:py-3" onClick={open}>
        <span class="flex items-baseline gap-2 text-xs text-soft">
          <span dir="auto" class="min-w-0 flex-1 truncate">
            {result.kind === "conversation" ? "Conversation" : result.title || "New chat"}
          </span>
          <time class="shrink-0" dateTime={result.created_at}>
            {date}
          </time>
        </span>
        <span dir="auto" class="mt-0.5 line-clamp-3 leading-snug break-words">
          {result.snippet.map((piece, index) =>
            piece.match ? (
              <mark key={index} class="rounded-sm bg-brand-tint font-medium text-ink">
                {piece.text}
              </mark>
            ) : (
              piece.text
            ),
          )}
        </span>
      </a>
    </li>
  );
}
