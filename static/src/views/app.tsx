/** The whole page. The session decides between login and app, and the address decides what is shown. */
import { effect, untracked, useSignalEffect } from "@preact/signals";
import { options } from "preact";
import { useEffect } from "preact/hooks";
import { isOverdue } from "../overdue.ts";
import { forgetDecisions, undecided } from "../state/approvals.ts";
import { forgetAssistants, loadAssistants } from "../state/assistants.ts";
import {
  abandonTemporary,
  comeBack,
  conversation,
  conversationId,
  fill,
  goOffline,
  hasEarlier,
  leave,
  loadWhole,
  open,
  refresh,
} from "../state/chat.ts";
import { forgetCopies } from "../state/copies.ts";
import { forgetList, loadList } from "../state/list.ts";
import { forgetModels, loadModels } from "../state/models.ts";
import { abandonRemoved, bringBack, forgetRemovals, isRemoved } from "../state/removals.ts";
import { linkSecret, navigate, type Route, route } from "../state/route.ts";
import { forgetConnections } from "../state/connections.ts";
import { forgetSecrets } from "../state/secrets.ts";
import { resume, session, step } from "../state/session.ts";
import { onTabNews } from "../state/tabs.ts";
import { forgetTools } from "../state/tools.ts";
import { Announcer } from "./announce.tsx";
import { Authorize } from "./authorize.tsx";
import { ChatView } from "./chat.tsx";
import { Logo } from "./icons.tsx";
import { later } from "./later.tsx";
import { LoginView, PasswordResetView } from "./login.tsx";
import { forgetSearch } from "./search.tsx";
import { SecondStep } from "./second-factor.tsx";
import { Shell } from "./shell.tsx";

const ToolSettings = later("Tools", async () => (await import("./tool-settings.tsx")).ToolSettings);
const Assistants = later("Assistants", async () => (await import("./assistants.tsx")).Assistants);
const Programs = later("Programs", async () => (await import("./programs.tsx")).Programs);
const MemorySettings = later("Memory", async () => (await import("./memory.tsx")).MemorySettings);
const AccountSettings = later("Your account", async () => (await import("./account.tsx")).AccountSettings);
const Administration = later("Administration", async () => (await import("./administration.tsx")).Administration);

/** The longest delay before changes from another device are shown. */
const LOOK_AROUND_MS = 20_000;

export function App() {
  useEffect(() => {
    void resume();
    const isLooking = () => document.visibilityState === "visible" && session.peek().at === "in";
    const lookAround = () => {
      if (!isLooking()) return;
      void loadList();
      void refresh();
    };
    document.addEventListener("visibilitychange", lookAround);
    window.addEventListener("online", lookAround);
    window.addEventListener("offline", goOffline);
    window.addEventListener("pagehide", abandonTemporary);
    window.addEventListener("pagehide", abandonRemoved);
    window.addEventListener("pageshow", (event) => event.persisted && comeBack());
    setInterval(() => isLooking() && void refresh(), LOOK_AROUND_MS);
    document.addEventListener("keydown", (event) => void printWhole(event));
    // When printing from a menu, everything loaded is drawn before the browser continues.
    window.addEventListener("beforeprint", () => atOnce(() => fill(true)));
    window.matchMedia("print").addEventListener("change", () => fill(true));
    // Without this, a dropped file would open in place of the page.
    for (const kind of ["dragover", "drop"] as const)
      document.addEventListener(kind, (event) => event.dataTransfer?.types.includes("Files") && event.preventDefault());
    onTabNews((news) => {
      if (news.kind !== "changed" || session.peek().at !== "in") return;
      void loadList();
      if (news.conversationId === conversationId.peek()) void refresh();
    });
  }, []);

  const signedIn = session.value.at === "in";
  useEffect(() => {
    if (signedIn) {
      void loadList();
      void loadModels();
      void loadAssistants();
    } else {
      forgetList();
      forgetRemovals();
      forgetTools();
      forgetConnections();
      forgetSecrets();
      forgetModels();
      forgetAssistants();
      forgetSearch();
      forgetDecisions();
      leave();
      forgetCopies();
    }
  }, [signedIn]);

  // At once, not with the next frame: while an address is new, nothing of the previous one may be shown or changed.
  useEffect(
    () =>
      effect(() => {
        const current = route.value;
        if (session.value.at !== "in") return;
        untracked(() => {
          // Whoever goes back to it wants it back.
          if (current.page === "conversation" && isRemoved(current.id)) bringBack(current.id);
          if (current.page === "unknown") navigate("/", { replace: true });
          else void open(current.page === "conversation" ? current.id : null);
        });
      }),
    [],
  );

  useSignalEffect(() => {
    const parts = ["Edge Assistant"];
    if (session.value.at === "in") {
      const title = TITLES[route.value.page] ?? conversation.value?.title;
      if (title) parts.unshift(title);
      // The title of the tab, which the person sees from other tabs.
      if (undecided.value.length > 0) parts.unshift("Waiting for you");
    }
    document.title = parts.join(" · ");
  });

  return (
    <>
      <Page />
      <Overdue />
      <Announcer />
    </>
  );
}

/** The titles of pages that are not conversations. */
const TITLES: Partial<Record<Route["page"], string>> = {
  tools: "Tools",
  assistants: "Assistants",
  programs: "Programs",
  memory: "Memory",
  authorize: "A program asks",
  account: "Your account",
  administration: "Administration",
};

/** A notice that the server does not respond, on every page. */
function Overdue() {
  return (
    <div role="status" class="fixed inset-x-0 top-2 z-30 mx-auto w-fit max-w-[calc(100vw-1rem)] print:hidden">
      {isOverdue.value && (
        <p class="notice shadow-md">
          <span class="spinner" aria-hidden="true" />
          The server does not answer. Still trying…
        </p>
      )}
    </div>
  );
}

/** Loads the whole conversation before printing, because only what is on the page is printed. */
async function printWhole(event: KeyboardEvent): Promise<void> {
  if (event.key.toLowerCase() !== "p" || !(event.ctrlKey || event.metaKey) || !hasEarlier.peek()) return;
  event.preventDefault();
  await loadWhole();
  // After the page was drawn.
  setTimeout(() => window.print());
}

function atOnce(change: () => void): void {
  // oxlint-disable-next-line typescript/unbound-method -- Preact itself calls it without a `this`
  const usual = options.debounceRendering;
  options.debounceRendering = (draw) => draw();
  change();
  if (usual === undefined) delete options.debounceRendering;
  else options.debounceRendering = usual;
}

function Page() {
  const state = session.value;
  const current = route.value;
  if (step.value !== null) return <SecondStep step={step.value} />;
  // Links that somebody was given, whoever is logged in.
  if (current.page === "invitation") return <LoginView invitation={linkSecret()} />;
  if (current.page === "password-reset") return <PasswordResetView token={linkSecret()} />;
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
      if (current.page === "authorize") return <Authorize user={state.user} />;
      return (
        <Shell user={state.user}>
          {current.page === "tools" ? (
            <ToolSettings />
          ) : current.page === "assistants" ? (
            <Assistants user={state.user} />
          ) : current.page === "programs" ? (
            <Programs />
          ) : current.page === "memory" ? (
            <MemorySettings />
          ) : current.page === "account" ? (
            <AccountSettings user={state.user} />
          ) : current.page === "administration" ? (
            <Administration user={state.user} section={current.section} />
          ) : (
            <ChatView />
          )}
        </Shell>
      );
  }
}
