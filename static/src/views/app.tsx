/** The whole page: who is signed in decides what it is, the address decides what it shows. */
import { effect, untracked, useSignalEffect } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { forgetDecisions, undecided } from "../state/approvals.ts";
import { clear, conversation, open, refresh } from "../state/chat.ts";
import { forgetList, loadList } from "../state/list.ts";
import { navigate, route } from "../state/route.ts";
import { forgetSecrets } from "../state/secrets.ts";
import { resume, session } from "../state/session.ts";
import { onTabNews } from "../state/tabs.ts";
import { forgetTools } from "../state/tools.ts";
import { Announcer } from "./announce.tsx";
import { ChatView } from "./chat.tsx";
import { Logo } from "./icons.tsx";
import { LoginView } from "./login.tsx";
import { Shell } from "./shell.tsx";
import { ToolSettings } from "./tool-settings.tsx";

export function App() {
  useEffect(() => {
    void resume();
    const lookAround = () => {
      if (document.visibilityState !== "visible" || session.peek().at !== "in") return;
      void loadList();
      void refresh();
    };
    document.addEventListener("visibilitychange", lookAround);
    window.addEventListener("online", lookAround);
    onTabNews((news) => {
      if (news.kind !== "changed" || session.peek().at !== "in") return;
      void loadList();
      if (news.conversationId === conversation.peek()?.id) void refresh();
    });
  }, []);

  const signedIn = session.value.at === "in";
  useEffect(() => {
    if (signedIn) void loadList();
    else {
      forgetList();
      forgetTools();
      forgetSecrets();
      forgetDecisions();
      clear();
    }
  }, [signedIn]);

  // At once, not with the next frame: an address must not be seen, or written to, with what belongs to the one before.
  useEffect(
    () =>
      effect(() => {
        const current = route.value;
        if (session.value.at !== "in") return;
        untracked(() => {
          if (current.page === "unknown") navigate("/", { replace: true });
          else void open(current.page === "conversation" ? current.id : null);
        });
      }),
    [],
  );

  useSignalEffect(() => {
    const parts = ["Edge Assistant"];
    if (session.value.at === "in") {
      const title = route.value.page === "tools" ? "Tools" : conversation.value?.title;
      if (title) parts.unshift(title);
      // What a person sees of a tab they have left.
      if (undecided.value.length > 0) parts.unshift("Waiting for you");
    }
    document.title = parts.join(" · ");
  });

  return (
    <>
      <Page />
      <Announcer />
    </>
  );
}

function Page() {
  const state = session.value;
  switch (state.at) {
    case "asking":
      return (
        <main class="grid h-full place-items-center" aria-busy="true">
          <h1 class="sr-only">Edge Assistant is loading</h1>
          <span class="shimmer">
            <Logo size={44} />
          </span>
        </main>
      );
    case "unreachable":
      return (
        <main class="grid h-full place-items-center p-6">
          <div class="grid max-w-sm justify-items-center gap-5 text-center">
            <Logo size={44} />
            <h1 class="text-xl font-semibold">Edge Assistant is not there</h1>
            <p class="text-soft">{state.reason}</p>
            <button type="button" class="main-button" onClick={() => void resume()}>
              Try again
            </button>
          </div>
        </main>
      );
    case "out":
      return <LoginView />;
    case "in":
      return <Shell user={state.user}>{route.value.page === "tools" ? <ToolSettings /> : <ChatView />}</Shell>;
  }
}
