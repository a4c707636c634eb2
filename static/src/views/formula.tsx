/** A formula: TeX until KaTeX is there, and wherever it is none that KaTeX can read. */
import { signal } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";

type Draw = typeof import("../katex.ts").draw;

const drawer = signal<Draw | null>(null);
let loading = false;

function load(): void {
  if (loading) return;
  loading = true;
  void import("../katex.ts").then(
    ({ draw }) => (drawer.value = draw),
    () => (loading = false), // without it the formula is as readable as it was; the next one tries again
  );
}

type Props = { tex: string; source: string; display: boolean; closed: boolean };

export function Formula({ tex, source, display, closed }: Props) {
  const place = useRef<HTMLSpanElement>(null);
  const draw = closed ? drawer.value : null;
  useEffect(load, []);
  useLayoutEffect(() => {
    if (draw === null) return;
    try {
      place.current?.replaceChildren(draw(tex, display));
    } catch {
      place.current?.replaceChildren(source);
    }
  }, [draw, tex, source, display]);
  // Once drawn, what is in it is not Preact's. The key makes another element of it, so that neither touches the other's.
  const content = draw === null ? source : null;
  const key = draw === null ? "tex" : "drawn";
  return display ? (
    <span key={key} ref={place} class="formula-block" dir="ltr" tabIndex={0} role="group" aria-label="Formula">
      {content}
    </span>
  ) : (
    <span key={key} ref={place} dir="ltr">
      {content}
    </span>
  );
}
