/** Parts of a whole, from 0 to 1, that grow together. Pure. */

export type Span = readonly [from: number, to: number];

/** Edges fall between pixels. */
const MARGIN = 0.03;

/** The parts with one more; those that touch become one. In order. */
export function add(spans: Span[], part: Span): Span[] {
  const merged: Span[] = [];
  for (const span of [...spans, part].sort((a, b) => a[0] - b[0])) {
    const last = merged.at(-1);
    if (last !== undefined && span[0] <= last[1] + MARGIN)
      merged[merged.length - 1] = [last[0], Math.max(last[1], span[1])];
    else merged.push(span);
  }
  return merged;
}

export function isWhole(spans: Span[]): boolean {
  const [first] = spans;
  return first !== undefined && first[0] <= MARGIN && first[1] >= 1 - MARGIN;
}
