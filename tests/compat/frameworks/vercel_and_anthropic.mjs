// node vercel_and_anthropic.mjs URL KEY: the AI SDK's default OpenAI and Anthropic providers, and Anthropic's own SDK.
import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const [url, apiKey] = process.argv.slice(2);
const openai = createOpenAI({ baseURL: `${url}/v1`, apiKey });
const anthropic = createAnthropic({ baseURL: `${url}/v1`, apiKey });
const prompt = "What is 17 * 23?";

for (const model of [openai("auto"), openai.chat("auto"), anthropic("auto")]) {
  const asked = [];
  const forecast = tool({
    description: "The weather ahead in a city.",
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => (asked.push(city), "clear"),
  });
  assert.match((await generateText({ model, prompt, maxRetries: 0 })).text, /17 \* 23/);
  let text = "";
  for await (const piece of streamText({ model, prompt, maxRetries: 0 }).textStream) text += piece;
  assert.match(text, /17 \* 23/);
  const weather = { model, prompt: "What will the weather be in Lisbon?", maxRetries: 0 };
  const done = await generateText({ ...weather, tools: { forecast }, stopWhen: stepCountIs(3) });
  assert.ok(done.text && done.steps.length === 2 && asked.length === 1, `${model.provider}: ${done.steps.length}`);
}

const client = new Anthropic({ baseURL: url, apiKey, maxRetries: 0 });
const asked = { model: "auto", max_tokens: 500, messages: [{ role: "user", content: prompt }] };
const message = await client.messages.create(asked);
assert.match(message.content[0].text, /17 \* 23/);
assert.equal(message.arbiter.task, "math");
const streamed = await client.messages.stream(asked).finalMessage();
assert.match(streamed.content[0].text, /17 \* 23/);
assert.equal(streamed.stop_reason, "end_turn");
await assert.rejects(client.messages.create({ ...asked, max_tokens: 0 }), Anthropic.BadRequestError);
const stranger = new Anthropic({ baseURL: url, apiKey: "arb_wrong", maxRetries: 0 });
await assert.rejects(stranger.messages.create(asked), Anthropic.AuthenticationError);
