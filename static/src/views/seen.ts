/** Detects whether all of an element was on the screen, possibly piece by piece. */
import type { RefObject } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { add, isWhole, type Span } from "../spans.ts";

export type Seen = {
  /** How many pieces were not seen; null before the first check. */
  left: number | null;
  /** Scrolls to the first piece that was not seen. */
  showNext: () => void;
};

/** Watches the elements marked `data-piece` inside `ref`, until each was on the screen. `what` changes with them. */
export function useSeen(ref: RefObject<HTMLElement | null>, what: unknown): Seen {
  const [left, setLeft] = useState<number | null>(null);
  /** The unseen pieces, each with its seen parts, from 0 at the upper edge to 1 at the lower. */
  const unseen = useRef(new Map<Element, Span[]>());
  useEffect(() => {
    const pieces = new Map<Element, Span[]>();
    ref.current?.querySelectorAll("[data-piece]").forEach((piece) => pieces.set(piece, []));
    unseen.current = pieces;
    const scroller = ref.current?.closest("[data-scroller]") ?? null;
    const near = new Set<Element>();
    const look = () => {
      const room = scroller?.getBoundingClientRect() ?? { top: 0, bottom: window.innerHeight };
      for (const piece of near) {
        const { top, bottom, height } = piece.getBoundingClientRect();
        const seen = pieces.get(piece) ?? [];
        // A piece without height counts as seen when it is near.
        const part =
          height > 0
            ? ([(Math.max(top, room.top) - top) / height, (Math.min(bottom, room.bottom) - top) / height] as const)
            : ([0, 1] as const);
        if (part[0] < part[1]) pieces.set(piece, add(seen, part));
        if (!isWhole(pieces.get(piece) ?? [])) continue;
        pieces.delete(piece);
        near.delete(piece);
        observer.unobserve(piece);
      }
      setLeft(pieces.size);
    };
    // It tells which pieces are near enough to be measured. For fast scrolling, its own measurements come too late.
    const observer = new IntersectionObserver(
      (entries) => {
        for (const { target, isIntersecting } of entries) {
          if (isIntersecting && pieces.has(target)) near.add(target);
          else near.delete(target);
        }
        look();
      },
      { root: scroller },
    );
    for (const piece of pieces.keys()) observer.observe(piece);
    if (pieces.size === 0) setLeft(0);
    scroller?.addEventListener("scroll", look, { passive: true });
    window.addEventListener("resize", look);
    return () => {
      observer.disconnect();
      scroller?.removeEventListener("scroll", look);
      window.removeEventListener("resize", look);
    };
  }, [ref, what]);
  return {
    left,
    showNext() {
      const [next] = unseen.current.keys();
      next?.scrollIntoView({ block: "start" });
    },
  };
}
