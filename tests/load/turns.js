// People who ask something and read the answer to its end: every answer arrives whole, and in time.
import { check } from "k6";
import { Rate, Trend } from "k6/metrics";
import { request, everybody, isOnce } from "./app.js";

const whole = new Rate("answers_whole");
const took = new Trend("turn_duration", true);

/** The model to ask: by default the scripted one of `cargo dev up`, 20 words in half a second. */
const MODEL = __ENV.EA_MODEL ?? "scripted-chunks=20-delay=25-ttft=50";

export const options = {
  scenarios: { turns: everybody },
  thresholds: {
    // No answer is lost, and no request fails.
    answers_whole: ["rate==1"],
    checks: ["rate==1"],
    http_req_failed: ["rate==0"],
    // What the app adds to the half second of the model, at 20 people on two cores. A real model takes its own time.
    ...(isOnce ? {} : { turn_duration: ["p(95)<3000"] }),
  },
};

export default function () {
  const began = Date.now();
  const made = request("POST", "/api/conversations", { body: { model: MODEL }, name: "conversation", status: 201 });
  const path = `/api/conversations/${made.json("id")}`;
  const sent = request("POST", `${path}/messages`, { body: { content: "hello" }, name: "message", status: 201 });
  const events = request("GET", sent.json("run.events_url"), { name: "events", status: 200, type: "text/event-stream" });
  took.add(Date.now() - began);
  const streamed = text(events.body);
  const stored = request("GET", `${path}/messages`, { name: "messages", status: 200 }).json("items.#.content");
  whole.add(events.body.includes("event: complete") && streamed.length > 0 && stored.includes(streamed));
  check(request("DELETE", path, { name: "delete", status: 204 }), { "nothing is left": ({ body }) => !body });
}

/** The text of all tokens of an event stream. */
function text(stream) {
  const data = stream.split("\n").filter((line) => line.startsWith('data: {"type":"token"'));
  return data.map((line) => JSON.parse(line.slice("data: ".length)).content).join("");
}
