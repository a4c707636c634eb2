/**
 * Reads JSON and keeps it as written: numbers stay text, and repeated names stay repeated. `JSON.parse` would round
 * numbers and drop repeated names, but a person must see what is written. Pure.
 */

export type Json =
  | { kind: "object"; entries: { name: string; value: Json }[] }
  | { kind: "array"; items: Json[] }
  | { kind: "string"; text: string }
  /** A number, `true`, `false` or `null`, as written. */
  | { kind: "plain"; text: string };

/** Deeper than any tool's arguments, and far below the stack's limit. */
const MAX_DEPTH = 200;

/** RFC 8259, section 7. */
const STRING = /"(?:[ !#-[\]-\uffff]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const PLAIN = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/y;
const SPACE = /[ \t\r\n]*/y;

/** The value; null for text that is not JSON or is nested too deeply. */
export function readJson(text: string): Json | null {
  const reader = new Reader(text);
  const value = reader.value(0);
  return value !== null && reader.take(SPACE) !== null && reader.at === text.length ? value : null;
}

/** The source text of the value at these object names in a JSON text. */
export function rawAt(text: string, names: string[]): string | null {
  const reader = new Reader(text);
  let found: string | null = null;
  const value = reader.value(0, names, (from, to) => (found = text.slice(from, to)));
  return value === null ? null : found;
}

type Found = (from: number, to: number) => void;

class Reader {
  at = 0;
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  /** Takes the match of a pattern at this position; null if there is none. */
  take(pattern: RegExp): string | null {
    pattern.lastIndex = this.at;
    const match = pattern.exec(this.#text);
    if (match === null) return null;
    this.at = pattern.lastIndex;
    return match[0];
  }

  value(depth: number, names: string[] | null = null, found: Found = () => undefined): Json | null {
    this.take(SPACE);
    const from = this.at;
    const value = this.#any(depth, names, found);
    if (value !== null && names?.length === 0) found(from, this.at);
    return value;
  }

  #any(depth: number, names: string[] | null, found: Found): Json | null {
    if (depth > MAX_DEPTH) return null;
    switch (this.#text[this.at]) {
      case "{":
        return this.#object(depth, names, found);
      case "[":
        return this.#array(depth);
      case '"': {
        const text = this.#string();
        return text === null ? null : { kind: "string", text };
      }
      default: {
        const text = this.take(PLAIN);
        return text === null ? null : { kind: "plain", text };
      }
    }
  }

  #object(depth: number, names: string[] | null, found: Found): Json | null {
    const entries: { name: string; value: Json }[] = [];
    const complete = this.#list("}", () => {
      const name = this.#string();
      this.take(SPACE);
      if (name === null || !this.#skip(":")) return false;
      const value = this.value(depth + 1, names !== null && names[0] === name ? names.slice(1) : null, found);
      if (value !== null) entries.push({ name, value });
      return value !== null;
    });
    return complete ? { kind: "object", entries } : null;
  }

  #array(depth: number): Json | null {
    const items: Json[] = [];
    const complete = this.#list("]", () => {
      const item = this.value(depth + 1);
      if (item !== null) items.push(item);
      return item !== null;
    });
    return complete ? { kind: "array", items } : null;
  }

  /** Reads items between commas, from the opening bracket to the closing one. */
  #list(end: string, item: () => boolean): boolean {
    this.at += 1;
    this.take(SPACE);
    if (this.#skip(end)) return true;
    for (;;) {
      this.take(SPACE);
      if (!item()) return false;
      this.take(SPACE);
      if (this.#skip(end)) return true;
      if (!this.#skip(",")) return false;
    }
  }

  #skip(char: string): boolean {
    if (this.#text[this.at] !== char) return false;
    this.at += 1;
    return true;
  }

  #string(): string | null {
    const raw = this.take(STRING);
    return raw === null ? null : (JSON.parse(raw) as string);
  }
}
