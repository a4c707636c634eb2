// OpenAI's SDK for JavaScript against `/v1`: see models.test.mjs. Prints as JSON what it received.
import OpenAI from "openai";

const [baseURL] = process.argv.slice(2);
const apiKey = process.env.MODELS_KEY;
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const messages = [{ role: "user", content: "hello" }];
const model = "gpt-test";

async function text(stream) {
  let said = "";
  for await (const chunk of stream) said += chunk.choices[0].delta.content ?? "";
  return said;
}

async function error(call) {
  try {
    await call();
  } catch (error) {
    return [error.constructor.name, error.code];
  }
}

const answer = await client.chat.completions.create({ model, messages });
const models = [];
for await (const one of client.models.list()) models.push(one.id);
console.log(
  JSON.stringify({
    answer: answer.choices[0].message.content,
    stream: await text(await client.chat.completions.create({ model, messages, stream: true })),
    response: (await client.responses.create({ model, input: "hello" })).output_text,
    models,
    unknown: await error(() => client.chat.completions.create({ model: "nobody-has", messages })),
    wrong_key: await error(() => new OpenAI({ baseURL, apiKey: `ea_${"0".repeat(64)}` }).models.list()),
  }),
);
