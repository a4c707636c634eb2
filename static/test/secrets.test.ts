import assert from "node:assert/strict";
import { test } from "node:test";
import { faultOf, removed, secretsOf, standing, withSecret } from "../src/secrets.ts";
import type { Secret } from "../src/types.ts";

const secret = (server: string, name: string, more: Partial<Secret> = {}): Secret => ({
  server,
  name,
  title: `The ${name}`,
  description: "",
  visible: false,
  optional: false,
  is_set: false,
  ...more,
});

test("a secret is its server's, and changing one leaves those of the same name alone", () => {
  const items = [secret("mail", "password"), secret("web", "password"), secret("mail", "address")];
  assert.deepEqual(
    secretsOf(items, "mail").map(({ name }) => name),
    ["password", "address"],
  );
  const changed = withSecret(items, secret("web", "password", { is_set: true }));
  assert.deepEqual(
    changed.map(({ is_set }) => is_set),
    [false, true, false],
  );
});

test("what was removed has no value any more", () => {
  const address = secret("mail", "address", { visible: true, is_set: true, value: "https://mail.example" });
  assert.deepEqual(removed(address), secret("mail", "address", { visible: true }));
});

test("what cannot be saved is told in words", () => {
  assert.equal(faultOf(" "), null);
  assert.equal(faultOf("x".repeat(4096)), null);
  assert.match(faultOf("") ?? "", /Enter something/);
  assert.match(faultOf("ä".repeat(2049)) ?? "", /too long/);
});

test("a server says what is missing", () => {
  const [unset, set] = [secret("mail", "a"), secret("mail", "b", { is_set: true })];
  assert.equal(standing([unset]), "Not entered yet.");
  assert.equal(standing([unset, set]), "1 of 2 not entered yet.");
  const optional = secret("mail", "c", { optional: true });
  assert.equal(standing([set, optional]), "All required secrets are entered.");
  assert.equal(standing([optional]), "These are optional.");
});
