/** The page that shows the description of the API, with the description as it is. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import {
  answerOf,
  blocksOf,
  type Description,
  exampleOf,
  kindOf,
  limitsOf,
  type Operation,
  type Schema,
  shapesOf,
  subjects,
} from "../src/description.ts";

const document = JSON.parse(readFileSync(new URL("../public/openapi.json", import.meta.url), "utf8")) as Description;
const routes = subjects(document, "").flatMap((subject) => subject.routes);
const operation = (id: string): Operation => routes.find((route) => route.operation.operationId === id)!.operation;

test("every route belongs to a subject, and words find some of them", () => {
  const all = Object.values(document.paths).flatMap((methods) => Object.values(methods));
  assert.equal(routes.length, all.length);
  const found = subjects(document, " POST /messages ").flatMap((subject) => subject.routes);
  assert.ok(found.some((route) => route.operation.operationId === "sendMessage"));
  assert.ok(found.every((route) => route.method === "post" && route.path.includes("/messages")));
  assert.deepEqual(subjects(document, "no such route"), []);
});

test("whatever a route takes and answers can be unfolded, down to its last field, and everything is of a kind", () => {
  const seen = new Set<string>();
  const unfold = (schema: Schema) => {
    assert.ok(!/undefined|^$/.test(kindOf(document, schema)), JSON.stringify(schema));
    for (const { name, fields } of shapesOf(document, schema)) {
      if (name !== null && seen.has(name)) continue;
      if (name !== null) seen.add(name);
      for (const field of fields) unfold(field.schema);
    }
  };
  for (const { operation: { parameters = [], requestBody, responses } } of routes) {
    for (const parameter of parameters) unfold(parameter.schema);
    const answers = Object.values(responses).map((answer) => answerOf(document, answer));
    for (const answer of answers) assert.ok(answer.description, JSON.stringify(answer));
    for (const { content = {} } of [requestBody ?? {}, ...answers])
      for (const { schema = {} } of Object.values(content)) unfold(schema);
  }
  for (const name of ["NewMessage", "Conversation", "RunEvent"]) assert.ok(seen.has(name), name);
});

test("the fields of a schema are its own and those that it has from others", () => {
  const conversation = operation("getConversation").responses["200"]!.content!["application/json"]!.schema!;
  assert.equal(kindOf(document, conversation), "Conversation");
  const names = shapesOf(document, conversation)[0]!.fields.map((field) => field.name);
  for (const name of ["id", "title", "settings"]) assert.ok(names.includes(name), name);
});

test("kinds and limits are said in words", () => {
  const said = (schema: Schema) => [kindOf(document, schema), ...limitsOf(document, schema)].join(", ");
  assert.equal(said({ type: ["string", "null"], maxLength: 200 }), "string or null, at most 200 characters");
  assert.equal(said({ type: "string", minLength: 1 }), "string, at least 1 character");
  assert.equal(said({ type: "integer", format: "int32", minimum: 1, maximum: 100, default: 50 }), "integer, 1 to 100, otherwise `50`");
  assert.equal(said({ type: "array", items: { $ref: "#/components/schemas/Message" } }), "list of Message");
  assert.equal(said({ $ref: "#/components/schemas/Id" }), "string, uuid");
  assert.equal(said({ oneOf: [{ $ref: "#/components/schemas/Effect" }, { type: "null" }] }), "string or null, one of `allow`, `ask`, `deny`");
  assert.equal(said({ type: "object", additionalProperties: { type: "string" } }), "object of string");
});

test("an example is that of the body, or that of its schema", () => {
  const [, body] = Object.entries(operation("sendMessage").requestBody!.content)[0]!;
  assert.deepEqual(Object.keys(JSON.parse(exampleOf(document, body)!) as object), ["content"]);
  assert.equal(exampleOf(document, { schema: { type: "string" } }), null);
  assert.equal(exampleOf(document, { schema: { type: "string" }, example: "a" }), '"a"');
});

test("descriptions are paragraphs and lists, with code and bold words", () => {
  assert.deepEqual(blocksOf("**Needs** `a`\nand ` b.\n\n- `x`: one.\n- Two."), [
    {
      as: "paragraph",
      pieces: [
        { as: "text", text: "" },
        { as: "strong", text: "Needs" },
        { as: "text", text: " " },
        { as: "code", text: "a" },
        { as: "text", text: "\nand ` b." },
      ],
    },
    {
      as: "list",
      items: [
        [
          { as: "text", text: "" },
          { as: "code", text: "x" },
          { as: "text", text: ": one." },
        ],
        [{ as: "text", text: "Two." }],
      ],
    },
  ]);
});
