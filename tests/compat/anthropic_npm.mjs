// node anthropic_npm.mjs BASE_URL KEY: uses the official client as anybody would and prints what it saw as JSON.
import Anthropic from "@anthropic-ai/sdk";

const [baseURL, apiKey] = process.argv.slice(2);
const client = new Anthropic({ baseURL, apiKey, maxRetries: 0 });
const messages = [{ role: "user", content: "What is 17 * 23?" }];
const weather = [{ role: "user", content: "What will the weather be in Lisbon?" }];
const told = { model: "auto", max_tokens: 4000, messages };
// Where the form of an answer matters, one model gives it: its answers depend on the sandbox's seed alone.
const pinned = { ...told, arbiter_pin: "gpt-4o" };
const properties = { city: { type: "string" } };
const tools = [{ name: "forecast", input_schema: { type: "object", properties, required: ["city"] } }];
const schema = {
  type: "object",
  properties: { name: { type: "string" }, age: { type: "integer" } },
  required: ["name", "age"],
  additionalProperties: false,
};

async function streamed(fields) {
  const kinds = [];
  const stream = client.messages.stream({ ...pinned, ...fields });
  for await (const event of stream) if (event.type !== "content_block_delta") kinds.push(event.type);
  return { kinds, message: await stream.finalMessage() };
}

async function tool() {
  const asked = { ...pinned, messages: weather, tools, thinking: { type: "enabled", budget_tokens: 2000 } };
  const { message: first } = await streamed(asked);
  const call = first.content.find((block) => block.type === "tool_use");
  const result = { type: "tool_result", tool_use_id: call.id, content: "clear" };
  const history = [...weather, { role: "assistant", content: first.content }, { role: "user", content: [result] }];
  const second = await client.messages.create({ ...asked, messages: history });
  return { first, second };
}

async function structured() {
  const format = { type: "json_schema", schema };
  const answer = await client.messages.parse({ ...pinned, messages: [{ role: "user", content: "Describe a person." }], output_config: { format } });
  return JSON.parse(answer.content[0].text);
}

async function failure(work) {
  try {
    await work();
  } catch (error) {
    return [error.constructor.name, error.status, error.error?.error?.type, Boolean(error.requestID)];
  }
  return ["none"];
}

const create = (fields, by = client) => () => by.messages.create({ ...told, ...fields });
const models = [];
for await (const one of client.models.list({ limit: 4 })) models.push(one.id);

console.log(
  JSON.stringify({
    plain: await create({ arbiter_pin: "gpt-4o" })(),
    streamed: await streamed({}),
    thinking: await client.messages.create({ ...pinned, thinking: { type: "enabled", budget_tokens: 2000 } }),
    thinkingStreamed: await streamed({ thinking: { type: "enabled", budget_tokens: 2000 } }),
    tool: await tool(),
    structured: await structured(),
    counted: (await client.messages.countTokens({ model: "auto", messages })).input_tokens,
    models,
    errors: {
      "wrong key": await failure(create({}, new Anthropic({ baseURL, apiKey: "arb_wrong", maxRetries: 0 }))),
      "max_tokens": await failure(create({ max_tokens: 0 })),
      "too long": await failure(create({ messages: [{ role: "user", content: "word ".repeat(1_500_000) }] })),
      "too large": await failure(create({ messages: [{ role: "user", content: "x".repeat(10_500_000) }] })),
      "no such model": await failure(() => client.models.retrieve("no-such-model")),
    },
  }),
);
