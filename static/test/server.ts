/** A real server on a real connection, which handles one request after the other with scripted responses. */
import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { after, before, beforeEach } from "node:test";

export type Answer = (response: ServerResponse, request: IncomingMessage) => void;

let answers: Answer[] = [];
let asked: IncomingMessage[] = [];

/** Starts the server for the tests of a file. Their requests go there. */
export function startServer(): void {
  const server = createServer((request, response) => {
    asked.push(request);
    const next = answers.shift();
    if (next === undefined) response.writeHead(500).end();
    else request.resume().on("end", () => next(response, request));
  });
  before(async () => {
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    assert.ok(typeof address === "object" && address !== null);
    const send = globalThis.fetch;
    globalThis.fetch = (path, init) => {
      assert.ok(typeof path === "string");
      return send(`http://127.0.0.1:${address.port}${path}`, init);
    };
  });
  beforeEach(() => ((answers = []), (asked = [])));
  after(() => (server.closeAllConnections(), server.close()));
}

/** Sets the next responses. */
export function answer(...next: Answer[]): void {
  answers = next;
}

/** The requests of this test. */
export function requests(): IncomingMessage[] {
  return asked;
}

export const json =
  (status: number, body: unknown, headers: Record<string, string> = {}): Answer =>
  (response) =>
    response.writeHead(status, { "Content-Type": "application/json", ...headers }).end(JSON.stringify(body));

export const html =
  (status: number, headers: Record<string, string> = {}): Answer =>
  (response) =>
    response.writeHead(status, { "Content-Type": "text/html", ...headers }).end("<h1>Bad Gateway</h1>");

export const empty =
  (status: number): Answer =>
  (response) =>
    response.writeHead(status).end();

export const breaks: Answer = (response) => void response.socket?.destroy();

export const event = (id: number | null, type: string, content: string) =>
  `${id === null ? "" : `id: ${id}\n`}event: ${type}\ndata: ${JSON.stringify({ type, content, metadata: {} })}\n\n`;

/** A stream of events. `end` decides what happens to the connection afterwards; by default it stays open. */
export const stream =
  (text: string, end: (response: ServerResponse) => void = () => undefined): Answer =>
  (response) => {
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    response.flushHeaders();
    if (text === "") end(response);
    else response.write(text, () => end(response));
  };
