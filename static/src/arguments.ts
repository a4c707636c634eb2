/**
 * Shows the arguments of a tool call to the person who must allow it: completely, and as they are written in the JSON
 * text. The text comes from a model that may have been manipulated. Pure.
 */
import { type Json, readJson } from "./json.ts";
import { unmistakable, visible, wholly } from "./visible.ts";

/** `text`: a string. `lines`: one line for each element of a flat list. `json`: anything else, indented. */
export type Shown = { as: "text" | "json"; text: string } | { as: "lines"; lines: string[] };

/** `again`: the name occurred before. The tool decides which of the values counts. */
export type Argument = { name: string; value: Shown; again: boolean };

/** One row for each argument; a string if the model did not write an object, which no tool accepts. */
export function readArguments(text: string): Argument[] | string {
  if (text.trim() === "") return [];
  const json = readJson(text);
  if (json?.kind !== "object") return unmistakable(text);
  const names = new Set<string>();
  return json.entries.map(({ name, value }) => {
    const again = names.has(name);
    names.add(name);
    return { name: oneLine(name), value: show(value), again };
  });
}

function show(json: Json): Shown {
  if (json.kind === "string" && isText(json.text)) return { as: "text", text: wholly(json.text) };
  if (json.kind === "array" && json.items.length > 0 && json.items.every(isLine))
    return { as: "lines", lines: json.items.map(line) };
  return { as: "json", text: unmistakable(indented(json, "")) };
}

/** Whether a string without its quotes looks different from a number or keyword of JSON. */
function isText(text: string): boolean {
  return text !== "" && readJson(text)?.kind !== "plain" && !/^".*"$/s.test(text);
}

/** Whether an element of a list is one line that cannot look like two. */
function isLine(json: Json): boolean {
  return json.kind === "plain" || (json.kind === "string" && isText(json.text) && !json.text.includes("\n"));
}

function line(json: Json): string {
  return json.kind === "string" ? wholly(json.text) : indented(json, "");
}

function indented(json: Json, indent: string): string {
  const deeper = `${indent}  `;
  const list = (open: string, parts: string[], close: string) =>
    parts.length === 0 ? open + close : `${open}\n${parts.map((part) => deeper + part).join(",\n")}\n${indent}${close}`;
  switch (json.kind) {
    case "plain":
      return json.text;
    case "string":
      return JSON.stringify(json.text);
    case "array":
      return list(
        "[",
        json.items.map((item) => indented(item, deeper)),
        "]",
      );
    case "object": {
      const parts = json.entries.map(({ name, value }) => `${JSON.stringify(name)}: ${indented(value, deeper)}`);
      return list("{", parts, "}");
    }
  }
}

function oneLine(name: string): string {
  return name === "" ? '""' : wholly(name).replace(/[\n\t]/g, (char) => JSON.stringify(char).slice(1, -1));
}

/** A piece is smaller than any screen: about six lines on the smallest one. */
const PIECE_CHARS = 200;
const PIECE_LINES = 5;

/** Splits the text into pieces that each fit on the screen. Joined, they are the text again. */
export function piecesOf(text: string): string[] {
  const pieces: string[] = [];
  let lines = 0;
  let from = 0;
  for (let at = 0; at < text.length; at++) {
    if (text[at] === "\n") lines += 1;
    // Not between the halves of a surrogate pair.
    const cut = (at + 1 - from >= PIECE_CHARS && !/[\ud800-\udbff]/.test(text[at]!)) || lines === PIECE_LINES;
    if (!cut) continue;
    pieces.push(text.slice(from, at + 1));
    from = at + 1;
    lines = 0;
  }
  if (from < text.length) pieces.push(text.slice(from));
  return pieces;
}

/** A parameter of a tool, from its JSON Schema: the parts that interest a person. */
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
