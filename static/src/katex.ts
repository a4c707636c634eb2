/** Draws formulas: loaded when the first one is there, never part of the first load. */
import katex from "katex";
import "katex/dist/katex.min.css";

const SETTINGS = {
  throwOnError: true,
  // Half of what models write is not strictly LaTeX, and reads well all the same.
  strict: "ignore",
  // No links, pictures or classes out of a formula.
  trust: false,
  // Nothing larger than a formula is (in em).
  maxSize: 20,
  // Written without the `style` that the page's policy refuses.
  macros: { "\\pmb": "\\boldsymbol{#1}" },
} as const;

/** Elements before they are in a document. KaTeX keeps this way to them for its tests, and does not declare it. */
type Node = { children?: Node[]; attributes?: Record<string, string>; toNode(): globalThis.Node };
type Trees = { __renderToDomTree(tex: string, settings: object): Node };

/** The formula as elements; throws what is no TeX. */
export function draw(tex: string, display: boolean): globalThis.Node {
  const settings = { ...SETTINGS, macros: { ...SETTINGS.macros }, displayMode: display };
  const tree = (katex as unknown as Trees).__renderToDomTree(tex, settings);
  withoutStyle(tree);
  return tree.toNode();
}

/** KaTeX sets styles as properties, which is allowed, but for some as attributes, which is not: those say nothing new. */
function withoutStyle(node: Node): void {
  if (node.attributes) delete node.attributes["style"];
  node.children?.forEach(withoutStyle);
}
