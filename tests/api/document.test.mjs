// The description of the API: whether it is one that other people's programs can read, and whether the page's types are made of it.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const STATIC = fileURLToPath(new URL("../../static", import.meta.url));
const DOCUMENT = join(STATIC, "public/openapi.json");
const TYPES = join(STATIC, "src/openapi.ts");

function run(program, ...args) {
  const path = join(import.meta.dirname, "node_modules/.bin", program);
  // Nobody is asked whether there is a newer release.
  const env = { ...process.env, REDOCLY_SUPPRESS_UPDATE_NOTICE: "true" };
  const { status, stdout, stderr } = spawnSync(path, args, { cwd: import.meta.dirname, encoding: "utf8", env });
  assert.equal(status, 0, `${stdout}${stderr}`);
}

test("redocly finds nothing in the description", () => {
  run("redocly", "lint", DOCUMENT);
});

test("the page's types are those of the description; `npm run types` in tests/api makes them anew", () => {
  run("openapi-typescript", DOCUMENT, "--check", "--output", TYPES);
});
