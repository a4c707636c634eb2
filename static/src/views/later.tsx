/** Pages whose code is loaded when they are first shown, so that the chat does not wait for it. */
import { type ComponentType, h } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Header } from "./header.tsx";

export function later<Props extends object>(
  title: string,
  load: () => Promise<ComponentType<Props>>,
): ComponentType<Props> {
  let loaded: ComponentType<Props> | null = null;
  return function Later(props: Props) {
    const [page, setPage] = useState(() => loaded);
    const [hasFailed, setFailed] = useState(false);
    useEffect(() => {
      if (page !== null) return;
      let shown = true;
      const arrived = (component: ComponentType<Props>) => {
        loaded = component;
        if (shown) setPage(() => component);
      };
      void load().then(arrived, () => shown && setFailed(true));
      return () => void (shown = false);
    }, [page]);
    if (page !== null) return h(page, props);
    return (
      <>
        <Header title={title} />
        <div class="grid flex-1 place-items-center p-6 text-sm text-soft">
          {hasFailed ? (
            <div class="grid justify-items-center gap-4 text-center" role="alert">
              {/* After an update of the app, the names of the old page's parts are gone. */}
              <p>This page could not be loaded. Perhaps the network is away, or the app was updated.</p>
              <button type="button" class="main-button" onClick={() => location.reload()}>
                Load it anew
              </button>
            </div>
          ) : (
            <p role="status">Loading…</p>
          )}
        </div>
      </>
    );
  };
}
