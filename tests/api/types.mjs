// The page's types of the API: of the routes that `static/src` sends requests to, and of the schemas that it names. The page reads what is answered when
// all is well, and problems by their common form. Run by itself, it writes them.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import openapiTS, { astToString, COMMENT_HEADER } from "openapi-typescript";

const STATIC = fileURLToPath(new URL("../../static", import.meta.url));
export const DOCUMENT = join(STATIC, "public/openapi.json");
export const TYPES = join(STATIC, "src/openapi.ts");

/** The text of the page's types. */
export async function typesOfPage() {
  const { openapi, info, paths: all, components } = JSON.parse(readFileSync(DOCUMENT, "utf8"));
  const files = readdirSync(join(STATIC, "src"), { recursive: true }).filter((name) => /\.tsx?$/.test(name));
  const source = files.map((name) => join(STATIC, "src", name)).filter((file) => file !== TYPES);
  const text = source.map((file) => readFileSync(file, "utf8")).join("\n");
  const paths = {};
  for (const [, method = "get", path] of text.matchAll(/\b(?:send\(\s*"(\w+)",\s*|address\()"([^"]+)"/g)) {
    const operation = all[path]?.[method];
    // The compiler says that there is no such route.
    if (operation === undefined) continue;
    const { operationId, summary, parameters, requestBody, responses } = operation;
    const good = Object.entries(responses).filter(([status]) => status < 400);
    const answers = good.map(([status, { description, content }]) => [status, { description, content }]);
    paths[path] ??= {};
    paths[path][method] = { operationId, summary, parameters, requestBody, responses: Object.fromEntries(answers) };
  }
  const schemas = {};
  const add = (name) => {
    if (name in schemas || !(name in components.schemas)) return;
    schemas[name] = components.schemas[name];
    follow(schemas[name]);
  };
  const follow = (value) => {
    for (const [, name] of JSON.stringify(value).matchAll(/"#\/components\/schemas\/(\w+)"/g)) add(name);
  };
  follow(paths);
  for (const [, name] of text.matchAll(/\bSchemas\["(\w+)"\]/g)) add(name);
  const types = await openapiTS({ openapi, info, paths, components: { schemas } }, { alphabetize: true, silent: true });
  return COMMENT_HEADER + astToString(types);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(TYPES, await typesOfPage());
