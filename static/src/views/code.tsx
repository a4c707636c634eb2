/** A block of code with its language and buttons to wrap, save and copy it, and with colours once it is complete. */
import { signal } from "@preact/signals";
import type { Root, RootContent } from "hast";
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { codeFile, save } from "../saving.ts";
import { CopyButton } from "./copy.tsx";
import { Icon } from "./icons.tsx";

/** Colouring is work for the main thread, and nobody reads longer code in a chat. */
const MAX_COLOURED_CHARS = 50_000;

/** Whether long lines go on in the next one. Who wants that, wants it for all blocks. */
const wraps = signal(false);

export function CodeBlock({ language, code, growing }: { language: string; code: string; growing: boolean }) {
  const tree = useColours(growing ? "" : language, code);
  return (
    <figure class="code-block">
      <figcaption>
        <span>{language || "text"}</span>
        <span class="flex items-center print:hidden">
          <button
            type="button"
            class="ghost-button"
            aria-pressed={wraps.value}
            aria-label="Wrap long lines"
            title="Wrap long lines"
            onClick={() => (wraps.value = !wraps.value)}
          >
            <Icon name="wrap" />
          </button>
          {!growing && (
            <button
              type="button"
              class="ghost-button"
              aria-label="Save code as a file"
              title="Save code as a file"
              onClick={() => save(codeFile(language), code)}
            >
              <Icon name="save" />
            </button>
          )}
          <CopyButton text={code} label="Copy code" />
        </span>
      </figcaption>
      <pre class={wraps.value ? "wraps" : ""} tabIndex={0} aria-label={language ? `Code, ${language}` : "Code"} role="group">
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
