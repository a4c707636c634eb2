/**
 * What a tool is called with, for a person to read before they allow it. The text comes from a model that may have been
 * talked into something: nothing here may make it look like other than it is. Pure.
 */

/** `lines`: one for each element of a flat list. `json`: indented, for what is nested deeper than a line can say. */
export type Shown = { as: "text" | "json"; text: string } | { as: "lines"; lines: string[] } | { as: "empty" };

export type Argument = { name: string; value: Shown };

/** One row for each argument; a text if the model wrote no object, which no tool accepts. */
export function readArguments(value: unknown): Argument[] | string {
  if (value === null || value === undefined) return [];
  if (typeof value !== "object" || Array.isArray(value)) {
    return visible(typeof value === "string" ? value : JSON.stringify(value));
  }
  return Object.entries(value).map(([name, item]) => ({ name: visible(name), value: show(item) }));
}

function show(value: unknown): Shown {
  if (isEmpty(value)) return { as: "empty" };
  if (isPlain(value)) return { as: "text", text: visible(String(value)) };
  if (Array.isArray(value) && value.every((item) => isPlain(item) && !isEmpty(item)))
    return { as: "lines", lines: value.map((item) => visible(String(item))) };
  return { as: "json", text: visible(JSON.stringify(value, null, 2)) };
}

function isPlain(value: unknown): boolean {
  return value === null || typeof value !== "object";
}

function isEmpty(value: unknown): boolean {
  return value === "" || (Array.isArray(value) && value.length === 0);
}

/**
 * Characters that cannot be seen, or that turn the text around them (Unicode TR36, "bidirectional text spoofing"). The
 * joiners U+200C and U+200D stay: scripts and emoji need them. Surrogates without a partner are no text at all.
 */
const DECEPTIVE =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}\p{Cs}]/gu;

/** The text with such characters written out. Line feeds and tabs stay. */
export function visible(text: string): string {
  return text
    .replaceAll("\r\n", "\n")
    .replace(DECEPTIVE, (char) => `⟨U+${char.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}⟩`);
}

/** The parameters of a tool, from its JSON Schema: as much of it as a person wants to know. */
export type Parameter = { name: string; type: string; description: string; required: boolean };

export function readParameters(schema: unknown): Parameter[] {
  const properties = asObject(asObject(schema)["properties"]);
  const required = asObject(schema)["required"];
  return Object.entries(properties).map(([name, value]) => {
    const { type, description } = asObject(value);
    return {
      name: visible(name),
      type: [type]
        .flat()
        .filter((part) => typeof part === "string")
        .join(" or "),
      description: typeof description === "string" ? visible(description) : "",
      required: Array.isArray(required) && required.includes(name),
    };
  });
}

function asObject(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}
