/** Keeps the end of a growing text visible until the person scrolls up. */
import { type Signal, useSignal } from "@preact/signals";
import type { RefObject } from "preact";
import { useCallback, useEffect, useRef } from "preact/hooks";

/** Closer than this counts as the end. */
const END_MARGIN_PX = 60;

export type End = { atEnd: Signal<boolean>; jump: (behavior?: ScrollBehavior) => void };

/** `isThere` changes with the element of `ref`. */
export function useEnd(ref: RefObject<HTMLElement | null>, isThere: boolean): End {
  const atEnd = useSignal(true);
  const following = useRef(true);

  useEffect(() => {
    const box = ref.current;
    const content = box?.firstElementChild;
    if (!box || !content) return;
    let lastTop = box.scrollTop;
    const onScroll = () => {
      const near = box.scrollHeight - box.scrollTop - box.clientHeight < END_MARGIN_PX;
      // Only scrolling up means that the person wants to stay. While the text grows, the end moves away by itself.
      if (box.scrollTop < lastTop - 1 && !near) following.current = false;
      if (near) following.current = true;
      lastTop = box.scrollTop;
      atEnd.value = near;
    };
    const onSize = () => {
      if (following.current) box.scrollTop = box.scrollHeight;
      else atEnd.value = box.scrollHeight - box.scrollTop - box.clientHeight < END_MARGIN_PX;
    };
    const sizes = new ResizeObserver(onSize);
    sizes.observe(content);
    sizes.observe(box);
    box.addEventListener("scroll", onScroll, { passive: true });
    return () => {
      sizes.disconnect();
      box.removeEventListener("scroll", onScroll);
    };
  }, [ref, atEnd, isThere]);

  const jump = useCallback(
    (behavior: ScrollBehavior = "smooth") => {
      following.current = true;
      const box = ref.current;
      box?.scrollTo({ top: box.scrollHeight, behavior });
    },
    [ref],
  );
  return { atEnd, jump };
}
