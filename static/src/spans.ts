/** Parts of a whole, from 0 to 1, that are merged. Pure. */

export type Span = readonly [from: number, to: number];

/** Edges can lie between pixels. */
const MARGIN = 0.03;

/** The sorted parts with one more. Parts that touch are merged. */
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
