// Does Vercel's AI SDK notice any difference? It has HTTP and streams of its own, and validates every chunk.
import assert from "node:assert/strict";
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embed, embedMany, generateObject, generateText, stepCountIs, streamObject, streamText, tool } from "ai";
import { z } from "zod";
import { apiKey, base, collected, counted, fault, gateway, ready, run, version } from "./checks.mjs";

const { fetch } = counted();
const openai = createOpenAI({ baseURL: base, apiKey, fetch });
const compatible = createOpenAICompatible({ name: "tollgate", baseURL: base, apiKey, fetch, includeUsage: true, supportsStructuredOutputs: true });
const anthropic = createAnthropic({ baseURL: base, apiKey, fetch });

const chatty = gateway
  ? ["sim-fast", "sim-smart", "sim-claude", "sim-gemini", "sim-azure", "sim-stream-only", "sim-local"]
  : ["sim-fast", "sim-smart"];
const speaksMessages = !gateway && ready.public_url.endsWith("/anthropic");
// Four ways to ask the same.
const ways = speaksMessages
  ? { anthropic: () => anthropic("sim-claude") }
  : {
      responses: openai,
      chat: openai.chat,
      compatible: (model) => compatible(model),
      ...(gateway && { messages: (model) => anthropic(model) }),
    };
const every = Object.entries(ways).flatMap(([way, model]) =>
  (speaksMessages ? ["sim-claude"] : chatty).map((name) => [`${name} by ${way}`, model(name)]),
);
const quiet = { maxRetries: 0, maxOutputTokens: 1000 };
// Warnings are about what these made-up models might not support.
globalThis.AI_SDK_LOG_WARNINGS = false;

const checks = {
  async "a text"() {
    for (const [what, model] of every) {
      const { text, usage, finishReason } = await generateText({ ...quiet, model, prompt: "你好，SDK" });
      assert.match(text, /你好，SDK/, what);
      assert.equal(finishReason, "stop", what);
      assert.ok(usage.inputTokens > 0 && usage.outputTokens > 0, what);
    }
  },

  async "a stream says the same"() {
    for (const [what, model] of every) {
      const whole = await generateText({ ...quiet, model, prompt: "你好，SDK" });
      const stream = streamText({ ...quiet, model, prompt: "你好，SDK", onError() {} });
      assert.equal((await collected(stream.textStream)).join(""), whole.text, what);
      assert.equal(await stream.finishReason, "stop", what);
      assert.equal((await stream.usage).outputTokens, whole.usage.outputTokens, what);
    }
  },

  async "tools, there and back"() {
    const inputSchema = z.object({ city: z.string() });
    for (const [what, model] of every) {
      const cities = [];
      const tools = {
        get_weather: tool({
          description: "the weather",
          inputSchema,
          execute({ city }) {
            cities.push(city);
            return "sunny";
          },
        }),
      };
      // No response is kept here to which a later one could refer.
      const providerOptions = gateway ? { openai: { store: false } } : {};
      const asked = { ...quiet, model, tools, providerOptions, stopWhen: stepCountIs(3), prompt: "What is the weather in Beijing?" };
      const { text, steps } = await generateText(asked);
      assert.ok(text && steps.length === 2, `${what}: ${steps.length} steps`);
      const stream = streamText({ ...asked, onError() {} });
      assert.ok((await collected(stream.textStream)).join(""), what);
      assert.equal(cities.length, 2, what);
    }
  },

  async "an object"() {
    const schema = z.object({ city: z.string(), people: z.int() });
    for (const [what, model] of every) {
      const { object } = await generateObject({ ...quiet, model, schema, prompt: "a city as json" });
      assert.equal(typeof object.people, "number", what);
      const stream = streamObject({ ...quiet, model, schema, prompt: "a city as json", onError() {} });
      await collected(stream.partialObjectStream);
      assert.equal(typeof (await stream.object).city, "string", what);
    }
  },

  async "vectors"() {
    if (speaksMessages) return;
    for (const model of [openai.embedding("sim-embed"), compatible.textEmbeddingModel("sim-embed")]) {
      const { embedding } = await embed({ model, value: "一" });
      const { embeddings } = await embedMany({ model, values: ["一", "two"] });
      assert.equal(embedding.length, 1536);
      assert.deepEqual(embeddings[0], embedding);
    }
  },

  async "an error in mid-stream is told"() {
    for (const [what, model] of every) {
      if (gateway && !/^sim-(fast|claude) /.test(what)) continue;
      await fault(model.modelId, "error_in_200", { after: 6 });
      const errors = [];
      const stream = streamText({ ...quiet, model, prompt: "你好", onError: ({ error }) => errors.push(error) });
      await collected(stream.fullStream);
      assert.equal(errors.length, 1, what);
    }
  },

  async "a wrong key is told"() {
    const wrong = createOpenAI({ baseURL: base, apiKey: "sk-wrong" });
    const theirs = createAnthropic({ baseURL: base, apiKey: "sk-wrong" });
    const models = speaksMessages ? [theirs("sim-claude")] : [wrong("sim-fast"), wrong.chat("sim-fast")];
    if (gateway) models.push(theirs("sim-fast"));
    for (const model of models) {
      await assert.rejects(generateText({ ...quiet, model, prompt: "hi" }), { statusCode: 401, isRetryable: false });
    }
  },
};

const ofTheGateway = {
  async "out of money is told and not tried again"() {
    const sent = counted();
    const provider = createOpenAI({ baseURL: base, apiKey, fetch: sent.fetch });
    for (const model of [provider("sim-luxury"), provider.chat("sim-luxury")]) {
      await assert.rejects(generateText({ model, prompt: "hi" }), { statusCode: 402, isRetryable: false });
    }
    assert.equal(sent.requests, 2);
  },
};

const versions = ["ai", "@ai-sdk/openai", "@ai-sdk/openai-compatible", "@ai-sdk/anthropic"];
const named = versions.map((name) => `${name} ${version(name)}`).join(", ");
await run("vercel", named, checks, ofTheGateway);
