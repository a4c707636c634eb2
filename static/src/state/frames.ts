/**
 * Combines many small changes into one per animation frame, so that a fast answer does not cost a rendering for each
 * token.
 */
import { batch } from "@preact/signals";

/** Browsers draw no frames in a hidden tab, but its state must keep up. */
const HIDDEN_FRAME_MS = 500;

export type Frames<T> = { push(item: T): void; flush(): void };

export function eachFrame<T>(apply: (item: T) => void): Frames<T> {
  let waiting: T[] = [];
  let cancel: (() => void) | null = null;
  const flush = () => {
    cancel?.();
    cancel = null;
    const items = waiting;
    waiting = [];
    batch(() => items.forEach(apply));
  };
  return {
    push(item) {
      waiting.push(item);
      cancel ??= schedule(flush);
    },
    flush,
  };
}

function schedule(flush: () => void): () => void {
  // Both are needed: the tab may be hidden after the frame was requested.
  const frame = requestAnimationFrame(flush);
  const timer = setTimeout(flush, HIDDEN_FRAME_MS);
  return () => {
    cancelAnimationFrame(frame);
    clearTimeout(timer);
  };
}
