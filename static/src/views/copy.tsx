/** A button that copies a text and announces the result. */
import { useState } from "preact/hooks";
import { announce } from "./announce.tsx";
import { Icon } from "./icons.tsx";

const SHOW_RESULT_MS = 1_600;

async function put(text: string): Promise<boolean> {
  try {
    // The clipboard does not exist on plain http to another machine.
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

export function CopyButton({ text, label, quiet = false }: { text: string | (() => string); label: string; quiet?: boolean }) {
  const [result, setResult] = useState<"" | "Copied" | "Not copied">("");
  const copy = async () => {
    const said = (await put(typeof text === "string" ? text : text())) ? "Copied" : "Not copied";
    setResult(said);
    announce(said);
    setTimeout(() => setResult(""), SHOW_RESULT_MS);
  };
  return (
    <button type="button" class="ghost-button" onClick={() => void copy()} aria-label={label} title={label}>
      <Icon name={result === "Copied" ? "check" : "copy"} />
      {quiet && result === "" ? null : <span>{result || "Copy"}</span>}
    </button>
  );
}
