// The description of the API: whether it is one that other people's programs can read, and whether the page's types are made of it.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { DOCUMENT, TYPES, typesOfPage } from "./types.mjs";

test("redocly finds nothing in the description", () => {
  const redocly = join(import.meta.dirname, "node_modules/.bin/redocly");
  // Nobody is asked whether there is a newer release.
  const env = { ...process.env, REDOCLY_SUPPRESS_UPDATE_NOTICE: "true" };
  const { status, stdout, stderr } = spawnSync(redocly, ["lint", DOCUMENT], { cwd: import.meta.dirname, encoding: "utf8", env });
  assert.equal(status, 0, `${stdout}${stderr}`);
});

test("the page's types are those of the description; `npm run types` in tests/api makes them anew", async () => {
  const isCurrent = readFileSync(TYPES, "utf8") === (await typesOfPage());
  assert.ok(isCurrent, "static/src/openapi.ts is not what the description says");
});
