/** Whether the server keeps somebody waiting for longer than an answer takes: then that is said, and not only shown. */
import { computed, signal } from "@preact/signals";

/** People take what says nothing for five seconds for broken. */
const PATIENCE_MS = 4_000;

const waiting = signal(0);

export const isOverdue = computed(() => waiting.value > 0);

/** A request begins; call what is given back when it is over. */
export function begin(): () => void {
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    waiting.value += 1;
  }, PATIENCE_MS);
  return () => {
    clearTimeout(timer);
    if (late) waiting.value -= 1;
    late = false;
  };
}
