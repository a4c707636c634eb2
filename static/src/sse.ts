/**
 * Reads `text/event-stream` (WHATWG HTML, "Server-sent events"). Pure: its input is decoded text.
 *
 * Why not EventSource: it hides the status, so an expired session (401) and an ended run (204) look like a broken
 * connection, and its retry delay cannot be set.
 */

/** `id` is null if the event has none. The `data` lines are joined with line feeds. */
export type SseEvent = { id: string | null; event: string; data: string };

/** Longer than any of our events. A longer line is not from an event stream. */
const MAX_BUFFERED_CHARS = 8 * 1024 * 1024;

export class SseParser {
  #buffer = "";
  #data: string[] = [];
  #event = "";
  #id: string | null = null;

  /** Takes the next chunk of the stream, cut anywhere, and returns the events that it completes. */
  push(chunk: string): SseEvent[] {
    this.#buffer += chunk;
    if (this.#buffer.length > MAX_BUFFERED_CHARS) throw new Error("The event stream sent a line that is too long.");
    const events: SseEvent[] = [];
    let start = 0;
    for (;;) {
      const end = this.#endOfLine(start);
      if (end === null) break;
      const event = this.#line(this.#buffer.slice(start, end.at));
      if (event) events.push(event);
      start = end.next;
    }
    this.#buffer = this.#buffer.slice(start);
    return events;
  }

  /** The end of the line at `start` and the beginning of the next; null while the line is not complete. */
  #endOfLine(start: number): { at: number; next: number } | null {
    for (let i = start; i < this.#buffer.length; i++) {
      const char = this.#buffer[i];
      if (char === "\n") return { at: i, next: i + 1 };
      if (char === "\r") {
        // A CR at the very end may be half of a CRLF.
        if (i + 1 === this.#buffer.length) return null;
        return { at: i, next: this.#buffer[i + 1] === "\n" ? i + 2 : i + 1 };
      }
    }
    return null;
  }

  #line(line: string): SseEvent | null {
    if (line === "") return this.#dispatch();
    const colon = line.indexOf(":");
    if (colon === 0) return null; // a comment, which only keeps the connection open
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") this.#data.push(value);
    else if (field === "event") this.#event = value;
    else if (field === "id" && !value.includes("\0")) this.#id = value;
    return null;
  }

  #dispatch(): SseEvent | null {
    const data = this.#data;
    const event = { id: this.#id, event: this.#event || "message", data: data.join("\n") };
    this.#data = [];
    this.#event = "";
    this.#id = null;
    return data.length > 0 ? event : null;
  }
}
