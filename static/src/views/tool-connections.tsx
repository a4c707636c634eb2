/** The servers elsewhere that the person connects to their account there: Connect, Connected, Connect again. */
import { useEffect, useId, useState } from "preact/hooks";
import {
  changingConnections,
  connect,
  connectionList,
  disconnect,
  loadConnections,
  outcomeOf,
} from "../state/connections.ts";
import type { Connection } from "../types.ts";
import { visible } from "../visible.ts";
import { announce } from "./announce.tsx";

export function ToolConnections() {
  const id = useId();
  const [outcome] = useState(() => outcomeOf(location.search));
  useEffect(() => {
    void loadConnections();
    // A reload must not say it again.
    if (outcome !== null) history.replaceState(null, "", location.pathname);
  }, [outcome]);
  const list = connectionList.value;
  const items = list.at === "ready" ? list.items : [];
  return (
    <>
      {outcome !== null && (
        <p
          class={`mt-5 rounded-xl border border-line bg-raised px-4 py-3 text-sm break-words ${outcome.isConnected ? "" : "text-danger"}`}
          role={outcome.isConnected ? "status" : "alert"}
        >
          {visible(outcome.words)}
        </p>
      )}
      {list.at === "failed" && (
        <div class="mt-6 grid justify-items-start gap-3" role="alert">
          <p>The servers that you connect could not be listed. {list.reason}</p>
          <button type="button" class="main-button" onClick={() => void loadConnections()}>
            Try again
          </button>
        </div>
      )}
      {items.length > 0 && (
        <section class="mt-7" aria-labelledby={id}>
          <h2 id={id} class="font-semibold">
            Your accounts elsewhere
          </h2>
          <p class="mt-0.5 text-xs leading-5 text-soft">
            These servers require a sign-in. What you connect is yours alone: nobody else here sees or uses it.
          </p>
          <ul class="mt-2.5 divide-y divide-line rounded-xl border border-line bg-raised">
            {items.map((item) => (
              <Row key={item.server} item={item} />
            ))}
          </ul>
        </section>
      )}
    </>
  );
}

const STATES: Record<Connection["state"], string> = {
  not_connected: "Not connected",
  connected: "Connected",
  lost: "Connection lost",
  more_access: "Connected, needs more access",
};

function Row({ item }: { item: Connection }) {
  const id = useId();
  const state = changingConnections.value.get(item.server);
  const waiting = state?.at === "sending";
  const server = visible(item.server);
  const needsAction = item.state === "lost" || item.state === "more_access";
  const remove = async () => {
    if (await disconnect(item.server)) announce(`${server}: disconnected`);
  };
  return (
    <li class="flex flex-wrap items-center justify-between gap-x-5 gap-y-3 px-4 py-3.5">
      <div class="min-w-0 flex-[1_1_14rem]">
        <h3 id={id} class="text-sm font-medium break-words">
          <bdi>{server}</bdi>
        </h3>
        <p class="mt-0.5 text-xs leading-5 break-words text-soft">
          <bdi>{visible(item.host)}</bdi> · <span class={needsAction ? "text-danger" : ""}>{STATES[item.state]}</span>
        </p>
        {item.message !== null && <p class="mt-1 text-sm leading-5.5">{item.message}</p>}
        {state?.at === "failed" && (
          <p class="mt-1 text-xs leading-5 text-danger" role="alert">
            {visible(state.reason)}
          </p>
        )}
      </div>
      <div class="flex flex-wrap gap-2">
        {item.state !== "connected" && (
          <button
            type="button"
            class="main-button"
            aria-describedby={id}
            disabled={waiting}
            onClick={() => void connect(item.server)}
          >
            {waiting ? "Wait…" : item.state === "not_connected" ? "Connect" : "Connect again"}
          </button>
        )}
        {item.state !== "not_connected" && (
          <button
            type="button"
            class="plain-button"
            aria-describedby={id}
            disabled={waiting}
            onClick={() => void remove()}
          >
            Disconnect
          </button>
        )}
      </div>
    </li>
  );
}
