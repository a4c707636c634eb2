/** Reads the data of one event of a run. Pure. */
import { rawAt } from "./json.ts";
import type { RunEvent } from "./types.ts";

/**
 * The event; null for what is none of ours. `arguments` of a call become the text that the model wrote, byte for byte: as a
 * value of JavaScript its numbers would be rounded, and a name that is there twice would be there once.
 */
export function readEvent(data: string): RunEvent | null {
  try {
    const event = JSON.parse(data) as RunEvent;
    if (typeof event.metadata !== "object" || event.metadata === null) return { ...event, metadata: {} };
    if (!("arguments" in event.metadata)) return event;
    const written = event.metadata["arguments"];
    // A text there is what the model wrote instead of JSON.
    const text = typeof written === "string" ? written : rawAt(data, ["metadata", "arguments"]);
    return { ...event, metadata: { ...event.metadata, arguments: text ?? JSON.stringify(written) } };
  } catch {
    return null;
  }
}
