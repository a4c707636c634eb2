/** Waiting for a network that may be gone. */

/** As far as the browser knows: it may be wrong when it says no, hardly when it says yes. */
export function isOffline(): boolean {
  return typeof navigator !== "undefined" && navigator.onLine === false;
}

/** Waits, but not longer than until the browser says that the network is back, or `signal` aborts. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      stop();
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    const stop = onNetwork("online", done);
    if (signal?.aborted) done();
    signal?.addEventListener("abort", done);
  });
}

/** Calls back when the network comes or goes; gives back how to end that. (Tests run where there is no window.) */
export function onNetwork(event: "online" | "offline", listener: () => void): () => void {
  if (typeof window === "undefined") return () => undefined;
  window.addEventListener(event, listener);
  return () => window.removeEventListener(event, listener);
}
