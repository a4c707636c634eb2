/** Waits for the network. */

/**
 * Whether the browser is offline, as far as it knows. It may be wrong about being online, but hardly about being offline.
 */
export function isOffline(): boolean {
  return typeof navigator !== "undefined" && navigator.onLine === false;
}

/** Waits, but at most until the browser says that the network is back, or `signal` aborts. */
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

/** Calls `listener` when the network comes or goes. Returns a function that ends this. (Tests run without a window.) */
export function onNetwork(event: "online" | "offline", listener: () => void): () => void {
  if (typeof window === "undefined") return () => undefined;
  window.addEventListener(event, listener);
  return () => window.removeEventListener(event, listener);
}
