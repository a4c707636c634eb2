/** What the palette offers for what is typed. It knows nothing of keys and drawing. */

/** More than these, nobody looks through: who types on sees fewer. */
export const MAX_OF_GROUP = 8;

export type Choice = { id: string; label: string; note?: string; choose: () => void };

/** Those in which every word that is typed begins a word, whatever its case and accents, in their order. */
export function matching(choices: readonly Choice[], typed: string): Choice[] {
  const wanted = words(typed);
  const fits = ({ label }: Choice) => {
    const has = words(label);
    return wanted.every((word) => has.some((other) => other.startsWith(word)));
  };
  return choices.filter(fits).slice(0, MAX_OF_GROUP);
}

/** The place after `at` in a list of `count`, in the direction of `step`, round the ends. */
export function moved(at: number, step: number, count: number): number {
  return count === 0 ? 0 : (at + step + count) % count;
}

const words = (text: string) =>
  text
    .normalize("NFD")
    .replaceAll(/\p{M}/gu, "")
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .filter((word) => word !== "");
