/** A button that copies a text and says whether it did. */
import { useState } from "preact/hooks";
import { announce } from "./announce.tsx";
import { Icon } from "./icons.tsx";

const SHOW_RESULT_MS = 1_600;

export function CopyButton({ text, label, quiet = false }: { text: string; label: string; quiet?: boolean }) {
  const [result, setResult] = useState<"" | "Copied" | "Not copied">("");
  const copy = async () => {
    // Absent on plain http to another machine.
    const done = await Promise.resolve(navigator.clipboard?.writeText(text).then(() => true)).catch(() => false);
    const said = done === true ? "Copied" : "Not copied";
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
