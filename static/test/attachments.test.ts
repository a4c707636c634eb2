/** Files that are attached: uploaded in parts that go on where a connection broke, and sent with the message. */
import { answers, asked, refusal, silent, until } from "./tab.ts";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { afterEach, beforeEach, test } from "node:test";
import type { Description } from "../src/description.ts";
import { fitting } from "../src/pictures.ts";
import { attach, attachedTo, detach, forgetAttached, MAX_FILES, moveAttached } from "../src/state/attachments.ts";
import { readingInWords, sizeInWords } from "../src/views/attachments.tsx";

const F = "00000000-0000-7000-8000-00000000000f";
const stored = { id: F, name: "a.txt", type: "text/plain", size: 5, state: "ready", created_at: "", expires_at: null };

/** Makes the server take a file, and returns how many bytes it has. */
function takes(size: number): { received: () => number; fail: (times: number) => void; leave: (times: number) => void } {
  let received = 0;
  let failures = 0;
  let away = 0;
  answers.set("POST /api/files", () => Response.json({ ...stored, size, state: "arriving" }, { status: 201 }));
  answers.set(`HEAD /api/files/${F}`, () => new Response(null, { headers: { "Upload-Offset": String(received) } }));
  answers.set(`GET /api/files/${F}`, () => Response.json({ ...stored, size }));
  answers.set(`DELETE /api/files/${F}`, () => new Response(null, { status: 204 }));
  answers.set(`PATCH /api/files/${F}`, ({ headers }) => {
    if (away-- > 0) return refusal(503, "unavailable", "Away.");
    if (Number(headers.get("Upload-Offset")) !== received) return refusal(409, "upload_offset", "Elsewhere.");
    received = Math.min(size, received + 1_048_576);
    if (failures-- > 0) throw new TypeError("fetch failed");
    return new Response(null, { status: 204 });
  });
  const leave = (times: number) => void (away = times);
  return { received: () => received, fail: (times) => void (failures = times), leave };
}

beforeEach(() => {
  asked.length = 0;
  forgetAttached();
});
afterEach(() => answers.clear());

const only = () => attachedTo("d")[0];

test("a file is uploaded as soon as it is chosen, with its name", async () => {
  const server = takes(5);
  assert.equal(attach("d", [new File(["hello"], "ä.txt", { type: "text/plain" })]), true);
  assert.deepEqual([only()?.name, only()?.file], ["ä.txt", null]);
  await until(() => only()?.file?.id === F, "the file");
  assert.equal(server.received(), 5);
  const [begun, part] = asked;
  assert.equal(begun?.headers.get("Upload-Length"), "5");
  assert.equal(begun.headers.get("Upload-Metadata"), "filename w6QudHh0");
  assert.equal(part?.headers.get("Content-Type"), "application/offset+octet-stream");
});

test("an upload whose answer was lost goes on where the server is", async () => {
  const server = takes(2_500_000);
  server.fail(1);
  attach("d", [new File([new Uint8Array(2_500_000)], "a.bin")]);
  await until(() => only()?.file !== null && only()?.file !== undefined, "the file");
  assert.equal(server.received(), 2_500_000);
  const parts = asked.filter(({ method }) => method === "PATCH").map(({ headers }) => headers.get("Upload-Offset"));
  assert.deepEqual(parts, ["0", "1048576", "2097152"]);
});

test("a server that is away is given time", async () => {
  const server = takes(5);
  server.leave(1);
  attach("d", [new File(["hello"], "a.txt")]);
  await until(() => asked.some(({ method }) => method === "PATCH"), "the first try");
  const before = performance.now();
  await until(() => asked.some(({ method }) => method === "HEAD"), "the question how much is there");
  assert.ok(performance.now() - before > 150);
  await until(() => only()?.file?.id === F, "the file");
});

test("what the server refuses is said at the file, and can be removed", async () => {
  answers.set("POST /api/files", () => refusal(413, "file_quota", "There is no room for this file."));
  attach("d", [new File(["hello"], "a.txt")]);
  await until(() => only()?.problem !== null, "the refusal");
  assert.equal(only()?.problem, "There is no room for this file.");
  detach("d", only()?.key ?? 0);
  assert.deepEqual(attachedTo("d"), []);
});

test("a file that is removed is deleted at the server, and files move with a new chat", async () => {
  takes(5);
  attach("d", [new File(["hello"], "a.txt")]);
  await until(() => only()?.file?.id === F, "the file");
  moveAttached("d", "e");
  assert.equal(attachedTo("e").length, 1);
  detach("e", attachedTo("e")[0]?.key ?? 0);
  await until(() => asked.some(({ method }) => method === "DELETE"), "the deletion");
  assert.deepEqual([attachedTo("d"), attachedTo("e")], [[], []]);
});

test("an upload that is given up, or fails, is deleted at the server", async () => {
  const deleted = () => asked.some(({ method, path }) => method === "DELETE" && path === `/api/files/${F}`);
  takes(5);
  answers.set(`PATCH /api/files/${F}`, silent);
  attach("d", [new File(["hello"], "a.txt")]);
  await until(() => asked.some(({ method }) => method === "PATCH"), "the first part");
  assert.equal(deleted(), false);
  detach("d", only()?.key ?? 0);
  await until(deleted, "the deletion");
  asked.length = 0;
  answers.set(`PATCH /api/files/${F}`, () => refusal(422, "invalid", "No."));
  attach("d", [new File(["hello"], "a.txt")]);
  await until(() => only()?.problem === "No.", "the refusal");
  await until(deleted, "the deletion");
});

test("a message has no more files than the server takes", () => {
  answers.set("POST /api/files", () => refusal(413, "too_large", "Too long."));
  const files = Array.from({ length: MAX_FILES + 1 }, (_, number) => new File(["x"], `${number}`));
  assert.equal(attach("d", files), false);
  assert.equal(attachedTo("d").length, MAX_FILES);
  const described = readFileSync(new URL("../public/openapi.json", import.meta.url), "utf8");
  assert.equal((JSON.parse(described) as Description).components.schemas["NewMessage"]?.properties?.["files"]?.maxItems, MAX_FILES);
});

test("a picture is scaled to what models look at, and keeps its proportions", () => {
  assert.deepEqual(fitting(4_000, 3_000), { width: 1_568, height: 1_176 });
  assert.deepEqual(fitting(3, 9_000), { width: 1, height: 1_568 });
  assert.deepEqual(fitting(640, 480), { width: 640, height: 480 });
});

test("a size is said as people say it", () => {
  assert.deepEqual([1, 999, 1_450, 250_000, 16_777_216].map(sizeInWords), ["1 bytes", "999 bytes", "1.5 kB", "250 kB", "16.8 MB"]);
});

test("a document is followed until it is read, and of one that cannot be read is said why", async () => {
  takes(5);
  const states = ["queued", "reading", "failed"];
  const reading = (state: string) => ({ state, code: null, detail: state === "failed" ? "It has a password." : null, notes: [], parts: 0, bytes: 0 });
  answers.set(`GET /api/files/${F}`, () => Response.json({ ...stored, type: "application/pdf", reading: reading(states.shift() ?? "failed") }));
  attach("d", [new File(["hello"], "a.pdf")]);
  await until(() => only()?.reading?.state === "queued", "its turn");
  assert.equal(readingInWords(only()?.reading), "Reading…");
  await until(() => only()?.reading?.state === "failed", "the end");
  assert.equal(readingInWords(only()?.reading), "Cannot be read: It has a password.");
  assert.equal(only()?.problem, null, "it can be sent");
});

test("of a scanned document is said that it has no text", () => {
  const read = { state: "read", code: null, detail: null, parts: 2, notes: ["scanned", "no_text"], bytes: 0 };
  assert.equal(readingInWords(read), "Scanned: no text in it");
  assert.equal(readingInWords({ ...read, bytes: 9 }), "Some pages are scanned, and not read");
  assert.equal(readingInWords({ ...read, notes: [], bytes: 9 }), "");
  assert.equal(readingInWords(null), "");
});
