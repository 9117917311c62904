// node openai_npm.mjs BASE_URL KEY: uses the official client as anybody would and prints what it saw as JSON.
import OpenAI from "openai";

const [baseURL, apiKey] = process.argv.slice(2);
const client = new OpenAI({ baseURL, apiKey, maxRetries: 0 });
const model = "auto";
// Where the form of an answer matters, one model gives it: its answers depend on the sandbox's seed alone.
const pinned = { model, arbiter_pin: "gpt-4o" };
const messages = [{ role: "user", content: "What is 17 * 23?" }];
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const schema = {
  type: "object",
  properties: { name: { type: "string" }, age: { type: "integer" } },
  required: ["name", "age"],
  additionalProperties: false,
};

async function streamed() {
  const seen = { text: "" };
  const stream = await client.chat.completions.create({ model, messages, stream: true, stream_options: { include_usage: true } });
  for await (const chunk of stream) {
    seen.text += chunk.choices[0]?.delta?.content ?? "";
    seen.model = chunk.model;
    seen.arbiter = chunk.arbiter ?? seen.arbiter;
    seen.usage = chunk.usage?.total_tokens ?? seen.usage;
  }
  return seen;
}

async function tool() {
  const answer = await client.chat.completions.create({
    ...pinned,
    messages: [{ role: "user", content: "What will the weather be in Lisbon?" }],
    tools: [{ type: "function", function: { name: "forecast", parameters } }],
  });
  const call = answer.choices[0].message.tool_calls[0].function;
  return { name: call.name, arguments: JSON.parse(call.arguments) };
}

async function structured() {
  const answer = await client.chat.completions.create({
    ...pinned,
    messages: [{ role: "user", content: "Describe a person." }],
    response_format: { type: "json_schema", json_schema: { name: "person", schema, strict: true } },
  });
  return JSON.parse(answer.choices[0].message.content);
}

const tools = [{ type: "function", name: "forecast", parameters, strict: false }];
const respond = (fields, by = client) => by.responses.create({ model, input: "What is 17 * 23?", ...fields });

async function responded() {
  const seen = { kinds: [], numbers: [] };
  for await (const event of await respond({ stream: true })) {
    seen.kinds.push(event.type);
    seen.numbers.push(event.sequence_number);
    seen.last = event.response;
  }
  return seen;
}

async function respondedTool() {
  const input = [{ role: "user", content: "What will the weather be in Lisbon?" }];
  const first = await respond({ ...pinned, input, tools });
  const [call] = first.output;
  const result = { type: "function_call_output", call_id: call.call_id, output: "clear" };
  const second = await respond({ input: [...input, ...first.output, result], tools });
  return { name: call.name, arguments: JSON.parse(call.arguments), text: second.output_text };
}

async function respondedStructured() {
  const format = { type: "json_schema", name: "person", schema, strict: true };
  const answer = await client.responses.parse({ ...pinned, input: "Describe a person.", text: { format } });
  return answer.output_parsed;
}

async function failure(work) {
  try {
    await work();
  } catch (error) {
    return [error.constructor.name, error.status, error.code];
  }
  return ["none"];
}

const chat = (fields, by = client) => () => by.chat.completions.create({ model, messages, ...fields });
const models = [];
for await (const one of client.models.list()) models.push(one.id);

console.log(
  JSON.stringify({
    plain: await chat({})(),
    streamed: await streamed(),
    helper: await client.chat.completions.stream({ model, messages }).finalContent(),
    tool: await tool(),
    structured: await structured(),
    responses: {
      plain: await respond({}),
      streamed: await responded(),
      tool: await respondedTool(),
      structured: await respondedStructured(),
      errors: {
        "wrong key": await failure(() => respond({}, client.withOptions({ apiKey: "arb_wrong" }))),
        input: await failure(() => respond({ input: [] })),
        stored: await failure(() => respond({ previous_response_id: "resp_1" })),
        fetched: await failure(() => client.responses.retrieve("resp_1")),
      },
    },
    models,
    errors: {
      "wrong key": await failure(chat({}, client.withOptions({ apiKey: "arb_wrong" }))),
      messages: await failure(chat({ messages: "hello" })),
      "too long": await failure(chat({ messages: [{ role: "user", content: "word ".repeat(1_500_000) }] })),
      "no such model": await failure(() => client.models.retrieve("no-such-model")),
    },
  }),
);
