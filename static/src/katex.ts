/** Draws formulas. This module is loaded with the first formula, never with the page. */
import katex from "katex";
import "katex/dist/katex.min.css";

const SETTINGS = {
  throwOnError: true,
  // Half of the models' formulas are not strictly LaTeX, but still readable.
  strict: "ignore",
  // A formula must not contain links, pictures or classes.
  trust: false,
  // Larger than any formula (in em).
  maxSize: 20,
  // Defined without the `style` attribute, which the page's policy refuses.
  macros: { "\\pmb": "\\boldsymbol{#1}" },
} as const;

/** The tree before it is in a document. KaTeX has this function for its tests and does not declare it. */
type Node = { children?: Node[]; attributes?: Record<string, string>; toNode(): globalThis.Node };
type Trees = { __renderToDomTree(tex: string, settings: object): Node };

/** The formula as elements; throws if it is not valid TeX. */
export function draw(tex: string, display: boolean): globalThis.Node {
  const settings = { ...SETTINGS, macros: { ...SETTINGS.macros }, displayMode: display };
  const tree = (katex as unknown as Trees).__renderToDomTree(tex, settings);
  withoutStyle(tree);
  return tree.toNode();
}

/**
 * KaTeX sets styles as properties, which is allowed, and some also as attributes, which is not. The attributes add
 * nothing.
 */
function withoutStyle(node: Node): void {
  if (node.attributes) delete node.attributes["style"];
  node.children?.forEach(withoutStyle);
}
