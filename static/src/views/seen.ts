/** Whether all of something was on the screen, be it once and piece by piece. */
import type { RefObject } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

/** Of a piece that fits. Less than all of it: edges fall between pixels. */
const WHOLE = 0.98;
/** Of the screen, for a piece that does not fit: where there is room for two lines only. */
const FULL = 0.6;
const STEPS = Array.from({ length: 21 }, (_, step) => step / 20);

export type Seen = {
  /** How many pieces are left; null before the first look. */
  left: number | null;
  /** Brings the first piece that is left to the top of the screen. */
  showNext(): void;
};

/** Watches the elements marked `data-piece` in what `ref` names, until each was on the screen. `what` changes with them. */
export function useSeen(ref: RefObject<HTMLElement | null>, what: unknown): Seen {
  const [left, setLeft] = useState<number | null>(null);
  const unseen = useRef(new Set<Element>());
  useEffect(() => {
    const pieces = new Set(ref.current?.querySelectorAll("[data-piece]"));
    unseen.current = pieces;
    if (pieces.size === 0) setLeft(0);
    const observer = new IntersectionObserver(
      (entries) => {
        for (const entry of entries) {
          if (!isSeen(entry)) continue;
          pieces.delete(entry.target);
          observer.unobserve(entry.target);
        }
        setLeft(pieces.size);
      },
      { root: ref.current?.closest("[data-scroller]") ?? null, threshold: STEPS },
    );
    for (const piece of pieces) observer.observe(piece);
    return () => observer.disconnect();
  }, [what]);
  return {
    left,
    showNext() {
      const [next] = unseen.current;
      next?.scrollIntoView({ block: "start" });
    },
  };
}

function isSeen({ intersectionRatio, intersectionRect, boundingClientRect, rootBounds }: IntersectionObserverEntry) {
  if (intersectionRatio >= WHOLE) return true;
  const room = rootBounds?.height ?? window.innerHeight;
  return boundingClientRect.height > room * 0.9 && intersectionRect.height >= room * FULL;
}
