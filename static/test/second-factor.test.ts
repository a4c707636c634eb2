/** The second step of a log-in. */
import { answers, asked, settled } from "./tab.ts";
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";
import { account, ApiError } from "../src/api.ts";
import { answerChallenge, confirmSetup, enterWithCodes, logIn, session, signUp, step } from "../src/state/session.ts";
import type { User } from "../src/types.ts";

const ada: User = { id: "ada", email: "ada@example.org", name: "Ada", role: "user", created_at: "" };

const challenging = (code: string) => () => Response.json({ status: 401, code, detail: "No.", challenge: "c1" }, { status: 401 });
const expired = () => Response.json({ status: 401, code: "challenge_expired", detail: "It took too long." }, { status: 401 });

afterEach(async () => {
  await settled();
  answers.clear();
  asked.length = 0;
  session.value = { at: "out", reason: null };
  step.value = null;
});

test("a log-in with a second factor goes on with a code, which is sent once", async () => {
  session.value = { at: "out", reason: null };
  answers.set("POST /auth/login", challenging("second_factor_required"));
  await logIn("ada@example.org", "secret");
  assert.deepEqual([step.value, session.value.at], [{ at: "code", challenge: "c1" }, "out"]);
  answers.set("POST /auth/login/second-factor", () =>
    Response.json({ status: 401, code: "invalid_code", detail: "This code is wrong." }, { status: 401 }),
  );
  await assert.rejects(answerChallenge("c1", "000000"), /This code is wrong/);
  assert.deepEqual(step.value, { at: "code", challenge: "c1" });
  answers.set("POST /auth/login/second-factor", () => new Response("", { status: 503 }));
  asked.length = 0;
  await assert.rejects(answerChallenge("c1", "123456"));
  assert.equal(asked.length, 1, "the code may have been used");
  answers.set("POST /auth/login/second-factor", () => Response.json({ user: ada }));
  await answerChallenge("c1", "123456");
  assert.deepEqual(asked.at(-1)?.body, { challenge: "c1", code: "123456" });
  assert.deepEqual([step.value, session.value], [null, { at: "in", user: ada }]);
});

test("whoever must set one up sees the recovery codes before anything else", async () => {
  answers.set("POST /auth/signup", challenging("second_factor_setup_required"));
  await signUp("ada@example.org", "secret", "");
  assert.deepEqual(step.value, { at: "setup", challenge: "c1" });
  answers.set("POST /auth/login/second-factor/confirm", () => Response.json({ user: ada, recovery_codes: ["one"] }));
  await confirmSetup("c1", "s", "123456");
  assert.deepEqual(asked.at(-1)?.body, { challenge: "c1", setup: "s", code: "123456" });
  assert.deepEqual([step.value, session.value.at], [{ at: "codes", codes: ["one"], user: ada }, "out"]);
  enterWithCodes(ada);
  assert.deepEqual([step.value, session.value], [null, { at: "in", user: ada }]);
});

test("whoever takes too long begins again and is told why", async () => {
  for (const act of [() => answerChallenge("c1", "1"), () => confirmSetup("c1", "s", "1")]) {
    step.value = { at: "code", challenge: "c1" };
    answers.set("POST /auth/login/second-factor", expired);
    answers.set("POST /auth/login/second-factor/confirm", expired);
    await assert.rejects(act(), ApiError);
    assert.deepEqual([step.value, session.value], [null, { at: "out", reason: "It took too long." }]);
  }
});

test("a change of the second factor is sent once, with the proof", async () => {
  for (const [path, act] of [
    ["setup", () => account.beginSetup({ password: "p" })],
    ["remove", () => account.removeSecondFactor({ password: "p" })],
    ["recovery-codes", () => account.renewRecoveryCodes({ password: "p" })],
  ] as const) {
    answers.set(`POST /auth/second-factor/${path}`, () => new Response("", { status: 503 }));
    asked.length = 0;
    await assert.rejects(act());
    assert.deepEqual(
      asked.map(({ body }) => body),
      [{ password: "p" }],
    );
  }
});
