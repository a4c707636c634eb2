/** Whether a request takes longer than usual. Then the page says so in words. */
import { computed, signal } from "@preact/signals";

/** After five seconds without a sign, people think that something is broken. */
const PATIENCE_MS = 4_000;

const waiting = signal(0);

export const isOverdue = computed(() => waiting.value > 0);

/** A request begins. Call the returned function when it has ended. */
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
