// node vercel_npm.mjs BASE_URL KEY: the AI SDK's default OpenAI and Anthropic providers as anybody would use them; prints what they saw.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { APICallError, generateText, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const [url, apiKey] = process.argv.slice(2);
const baseURL = `${url}/v1`;
const prompt = "What is 17 * 23?";

// One model gives the answers whose form matters: their form depends on the sandbox's seed alone.
const pinning = async (address, options) => {
  const body = { ...JSON.parse(options.body), arbiter_pin: "gpt-4o" };
  return fetch(address, { ...options, body: JSON.stringify(body) });
};

async function seenBy(make, thinking) {
  const model = make({ baseURL, apiKey, fetch: pinning })("auto");
  const asked = { model, prompt, maxRetries: 0, maxOutputTokens: 4000 };
  const cities = [];
  const forecast = tool({
    description: "The weather ahead in a city.",
    inputSchema: z.object({ city: z.string() }),
    execute: async ({ city }) => (cities.push(city), "clear"),
  });
  const plain = await generateText(asked);
  const stream = streamText(asked);
  let streamed = "";
  for await (const piece of stream.textStream) streamed += piece;
  const weather = { ...asked, prompt: "What will the weather be in Lisbon?", ...thinking };
  const worked = await generateText({ ...weather, tools: { forecast }, stopWhen: stepCountIs(3) });
  const person = z.object({ name: z.string(), age: z.number() });
  const structured = await generateText({ ...asked, prompt: "Describe a person.", output: Output.object({ schema: person }) });
  let failure = [];
  try {
    await generateText({ ...asked, model: make({ baseURL, apiKey: "arb_wrong" })("auto") });
  } catch (error) {
    failure = [APICallError.isInstance(error), error.statusCode, error.isRetryable];
  }
  return {
    plain: { text: plain.text, finish: plain.finishReason, tokens: plain.usage.totalTokens },
    streamed: { text: streamed, finish: await stream.finishReason },
    tools: { text: worked.text, steps: worked.steps.length, cities, thought: worked.steps[0].reasoningText ?? "" },
    structured: structured.output,
    failure,
  };
}

const openai = { reasoningEffort: "low", store: false, include: ["reasoning.encrypted_content"], forceReasoning: true, reasoningSummary: "auto" };
console.log(
  JSON.stringify({
    openai: await seenBy(createOpenAI, { providerOptions: { openai } }),
    anthropic: await seenBy(createAnthropic, { providerOptions: { anthropic: { thinking: { type: "enabled", budgetTokens: 2000 } } } }),
  }),
);
