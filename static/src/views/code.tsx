/** A block of code with its language and a copy button, and with colours once it is complete. */
import type { Root, RootContent } from "hast";
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { CopyButton } from "./copy.tsx";

/** Colouring is work for the main thread, and nobody reads longer code in a chat. */
const MAX_COLOURED_CHARS = 50_000;

export function CodeBlock({ language, code, growing }: { language: string; code: string; growing: boolean }) {
  const tree = useColours(growing ? "" : language, code);
  return (
    <figure class="code-block">
      <figcaption>
        <span>{language || "text"}</span>
        <CopyButton text={code} label="Copy code" />
      </figcaption>
      <pre tabIndex={0} aria-label={language ? `Code, ${language}` : "Code"} role="group">
        <code>{tree === null ? code : tree.children.map(span)}</code>
      </pre>
    </figure>
  );
}

function useColours(language: string, code: string): Root | null {
  const [tree, setTree] = useState<Root | null>(null);
  useEffect(() => {
    setTree(null);
    if (language === "" || code.length > MAX_COLOURED_CHARS) return;
    let shown = true;
    void import("../highlight.ts").then(
      ({ highlight }) => shown && setTree(highlight(language.toLowerCase(), code)),
      () => undefined, // without colours, the code is still readable
    );
    return () => void (shown = false);
  }, [language, code]);
  return tree;
}

function span(node: RootContent): ComponentChildren {
  if (node.type === "text") return node.value;
  if (node.type !== "element") return null;
  const classes = node.properties["className"];
  return <span class={Array.isArray(classes) ? classes.join(" ") : ""}>{node.children.map(span)}</span>;
}
