/**
 * Reads the description of the API (`/openapi.json`, OpenAPI 3.1) for the page that shows it: the routes by subject, and in words what a schema says. It
 * knows what our own description uses of OpenAPI, and no more. Pure.
 */

export type Schema = {
  $ref?: string;
  type?: string | string[];
  description?: string;
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: boolean | Schema;
  items?: Schema;
  allOf?: Schema[];
  oneOf?: Schema[];
  enum?: unknown[];
  contentSchema?: Schema;
  format?: string;
  pattern?: string;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  maxItems?: number;
  default?: unknown;
  example?: unknown;
};
export type Content = Record<string, { schema?: Schema; example?: unknown }>;
export type Answer = { $ref?: string; description?: string; content?: Content };
export type Parameter = { name: string; in: string; required?: boolean; description?: string; schema: Schema; example?: unknown };
export type Operation = {
  operationId: string;
  summary: string;
  description: string;
  tags: string[];
  parameters?: Parameter[];
  requestBody?: { description?: string; content: Content };
  responses: Record<string, Answer>;
};
export type Description = {
  info: { title: string; version: string; description: string };
  tags: { name: string; description: string }[];
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema>; responses: Record<string, Answer> };
};

export type Route = { method: string; path: string; operation: Operation };
/** What belongs together. */
export type Subject = { name: string; description: string; routes: Route[] };

/** The routes that have all of these words, by subject, in the order of the description. */
export function subjects({ tags, paths }: Description, words: string): Subject[] {
  const wanted = words.toLowerCase().split(/\s+/);
  const routes = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method, path, operation })),
  );
  const found = routes.filter(({ method, path, operation: { operationId, summary, tags: [subject] } }) => {
    const text = `${method} ${path} ${operationId} ${summary} ${subject}`.toLowerCase();
    return wanted.every((word) => text.includes(word));
  });
  return tags
    .map(({ name, description }) => ({ name, description, routes: found.filter(({ operation }) => operation.tags[0] === name) }))
    .filter((subject) => subject.routes.length > 0);
}

/** An answer, or the common one that it refers to. */
export function answerOf({ components }: Description, answer: Answer): Answer {
  return answer.$ref === undefined ? answer : (components.responses[lastOf(answer.$ref)] ?? {});
}

/** An object and the name of its schema, if it has one. */
export type Shape = { name: string | null; schema: Schema; fields: Field[] };
export type Field = { name: string; schema: Schema; required: boolean };

/** The objects that a schema is made of: itself, those of a list, or one for each of its forms. Empty for texts, numbers and the like. */
export function shapesOf(document: Description, schema: Schema): Shape[] {
  const [name, found] = followed(document, schema);
  const fields = fieldsOf(document, found);
  if (fields.length > 0) return [{ name, schema: found, fields }];
  const { items, oneOf = [], contentSchema, additionalProperties } = found;
  const inside = [items, contentSchema, additionalProperties, ...oneOf].filter((form) => typeof form === "object");
  return inside.flatMap((form) => shapesOf(document, form));
}

function fieldsOf(document: Description, { properties = {}, required = [], allOf = [] }: Schema): Field[] {
  const inherited = allOf.flatMap((part) => fieldsOf(document, followed(document, part)[1]));
  const own = Object.entries(properties).map(([name, schema]) => ({ name, schema, required: required.includes(name) }));
  // What is said last of a field counts.
  return [...new Map([...inherited, ...own].map((field) => [field.name, field])).values()];
}

/** The schema that a reference leads to, and its name. */
function followed(document: Description, schema: Schema): [string | null, Schema] {
  if (schema.$ref === undefined) return [null, schema];
  const name = lastOf(schema.$ref);
  return [name, document.components.schemas[name] ?? {}];
}

function lastOf(reference: string): string {
  return reference.slice(reference.lastIndexOf("/") + 1);
}

/** What kind of value it is: `string`, `list of Message`, `integer or null`. */
export function kindOf(document: Description, schema: Schema): string {
  const [name, { type, items, oneOf, allOf, properties, additionalProperties, contentSchema }] = followed(document, schema);
  if (name !== null && (oneOf ?? allOf ?? properties) !== undefined) return name;
  if (oneOf !== undefined) return oneOf.map((form) => kindOf(document, form)).join(" or ");
  if (contentSchema !== undefined) return `${kindOf(document, contentSchema)} as text`;
  const kinds = (typeof type === "string" ? [type] : (type ?? ["any value"])).map((kind) => {
    if (kind === "array" && items !== undefined) return `list of ${kindOf(document, items)}`;
    if (kind === "object" && typeof additionalProperties === "object") return `object of ${kindOf(document, additionalProperties)}`;
    return kind;
  });
  return kinds.join(" or ");
}

/** What a schema says about itself; where it is used, more may be said. */
export function aboutOf(document: Description, schema: Schema): string {
  return schema.description ?? followed(document, schema)[1].description ?? "";
}

/** Its limits in words, as Markdown. */
export function limitsOf(document: Description, schema: Schema): string[] {
  const forms = schema.oneOf?.filter(({ type }) => type !== "null") ?? [];
  const [, found] = followed(document, forms.length === 1 ? forms[0]! : schema);
  const { format, pattern, minimum, maximum, minLength, maxLength, maxItems } = found;
  const limits = [range(minimum, maximum), range(minLength, maxLength, "character"), range(undefined, maxItems, "item")];
  // How wide a number is matters to those who made it.
  if (format !== undefined && !/^(u?int\d+|double|float)$/.test(format)) limits.push(format);
  if (pattern !== undefined) limits.push(`fits \`${pattern}\``);
  if (found.enum !== undefined) limits.push(`one of ${found.enum.map((value) => `\`${String(value)}\``).join(", ")}`);
  if (found.default !== undefined && found.default !== null) limits.push(`otherwise \`${JSON.stringify(found.default)}\``);
  return limits.filter((limit) => limit !== "");
}

function range(least: number | undefined, most: number | undefined, unit = ""): string {
  if (least === undefined && most === undefined) return "";
  const numbers = most === undefined ? `at least ${least}` : least === undefined ? `at most ${most}` : `${least} to ${most}`;
  return unit === "" ? numbers : `${numbers} ${unit}${(most ?? least) === 1 ? "" : "s"}`;
}

/** An example of a body, indented; null if there is none. */
export function exampleOf(document: Description, { schema = {}, example }: Content[string]): string | null {
  const found = example ?? schema.example ?? followed(document, schema)[1].example;
  return found === undefined ? null : JSON.stringify(found, null, 2);
}

/** A text in Markdown, of which our descriptions use paragraphs, lists, code and bold words. */
export type Block = { as: "paragraph"; pieces: Piece[] } | { as: "list"; items: Piece[][] };
export type Piece = { as: "text" | "code" | "strong"; text: string };

export function blocksOf(text: string): Block[] {
  return text
    .split(/\n{2,}/)
    .filter((block) => block !== "")
    .map((block) =>
      block.startsWith("- ")
        ? { as: "list", items: block.slice(2).split(/\n- /).map(piecesOf) }
        : { as: "paragraph", pieces: piecesOf(block) },
    );
}

export function piecesOf(text: string): Piece[] {
  // Every second piece is one that the pattern fits.
  return text.split(/(`[^`]+`|\*\*[^*]+\*\*)/).map((piece, index) => {
    if (index % 2 === 0) return { as: "text", text: piece };
    return piece.startsWith("`") ? { as: "code", text: piece.slice(1, -1) } : { as: "strong", text: piece.slice(2, -2) };
  });
}
