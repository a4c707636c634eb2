/** A formula. It is shown as TeX until KaTeX is loaded, or if KaTeX cannot read it. */
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
    () => (loading = false), // without it, the formula is still readable as TeX; the next formula tries again
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
  // KaTeX's elements do not belong to Preact. The key makes a new element, so that neither changes the other's.
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
