// Does OpenAI's own Node SDK notice any difference?
import assert from "node:assert/strict";
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";
import { apiKey, base, collected, counted, fault, gateway, newKey, rejected, run, version } from "./checks.mjs";

const messages = [{ role: "user", content: "你好，SDK" }];
const weather = [{ role: "user", content: "What is the weather in Beijing?" }];
const parameters = {
  type: "object",
  properties: { city: { type: "string" } },
  required: ["city"],
  additionalProperties: false,
};
const tools = [{ type: "function", function: { name: "get_weather", parameters } }];
const flatTools = [{ type: "function", name: "get_weather", parameters, strict: false }];
// Everything that answers chats: one for each way in which a provider may differ.
const chatty = gateway
  ? ["sim-fast", "sim-smart", "sim-claude", "sim-gemini", "sim-azure", "sim-stream-only", "sim-local"]
  : ["sim-fast", "sim-smart"];

/** A client as its documentation shows it, which counts what it really sends. */
function client(options) {
  const sent = counted();
  const openai = new OpenAI({ baseURL: base, apiKey, fetch: sent.fetch, ...options });
  return Object.assign(openai, { sent });
}

const ask = (openai, more = {}) => openai.chat.completions.create({ model: "sim-fast", messages, ...more });
const textOf = (chunks) => chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");

const checks = {
  async "a whole answer of every kind of provider"() {
    for (const model of chatty) {
      const answer = await ask(client(), { model });
      assert.match(answer.choices[0].message.content, /你好，SDK/, model);
      assert.equal(answer.choices[0].finish_reason, "stop", model);
      assert.ok(answer.usage.total_tokens > 0, model);
      assert.match(answer._request_id, /^req_/);
    }
  },

  async "a stream says the same"() {
    for (const model of chatty) {
      const whole = (await ask(client(), { model })).choices[0].message.content;
      const chunks = await collected(await ask(client(), { model, stream: true }));
      assert.equal(textOf(chunks), whole, model);
    }
  },

  async "a stream with usage"() {
    const chunks = await collected(await ask(client(), { stream: true, stream_options: { include_usage: true } }));
    const { choices, usage } = chunks.at(-1);
    assert.deepEqual(choices, []);
    assert.ok(usage.completion_tokens > 0);
    if (gateway) assert.ok(Number(usage.cost) > 0);
  },

  async "the stream helper"() {
    for (const model of chatty) {
      const stream = client().chat.completions.stream({ model, messages });
      let text = "";
      stream.on("content", (delta) => {
        text += delta;
      });
      const final = await stream.finalChatCompletion();
      assert.ok(text.length > 0, model);
      assert.equal(final.choices[0].message.content, text, model);
    }
  },

  async "a stream that is left early"() {
    const stream = await ask(client(), { model: "sim-slow", stream: true });
    for await (const chunk of stream) {
      assert.ok(chunk.id);
      break; // and the SDK hangs up
    }
    assert.ok((await ask(client())).id);
  },

  async "tools, there and back"() {
    for (const model of chatty) {
      const asked = { model, messages: weather, tools };
      const made = await client().chat.completions.create(asked);
      assert.equal(made.choices[0].finish_reason, "tool_calls", model);
      const streamed = await client().chat.completions.stream(asked).finalChatCompletion();
      for (const { message } of [made.choices[0], streamed.choices[0]]) {
        const [call] = message.tool_calls;
        assert.equal(call.function.name, "get_weather", model);
        assert.ok(JSON.parse(call.function.arguments).city, model);
        const result = { role: "tool", tool_call_id: call.id, content: "sunny" };
        const final = await client().chat.completions.create({ ...asked, messages: [...weather, message, result] });
        assert.equal(final.choices[0].finish_reason, "stop", model);
      }
    }
  },

  async "tools that the SDK runs itself"() {
    const run = client().chat.completions.runTools({
      model: "sim-fast",
      messages: weather,
      tools: [{ type: "function", function: { name: "get_weather", parameters, parse: JSON.parse, function: ({ city }) => `${city}: sunny` } }],
    });
    assert.ok(await run.finalContent());
  },

  async "a schema becomes an object"() {
    const City = z.object({ city: z.string(), people: z.int() });
    for (const model of chatty) {
      const format = zodResponseFormat(City, "city");
      const answer = await client().chat.completions.parse({ model, messages, response_format: format });
      assert.equal(typeof answer.choices[0].message.parsed.people, "number", model);
    }
  },

  async "a response, whole and as a stream"() {
    for (const model of chatty) {
      const whole = await client().responses.create({ model, input: "你好，SDK" });
      assert.equal(whole.status, "completed", model);
      assert.match(whole.output_text, /你好，SDK/, model);
      const stream = client().responses.stream({ model, input: "你好，SDK" });
      const events = await collected(stream);
      assert.equal(events[0].type, "response.created", model);
      assert.equal(events.at(-1).type, "response.completed", model);
      assert.equal((await stream.finalResponse()).output_text, whole.output_text, model);
    }
  },

  async "a response that calls tools"() {
    for (const model of chatty) {
      const asked = { model, tools: flatTools };
      const made = await client().responses.create({ ...asked, input: weather });
      const calls = made.output.filter((item) => item.type === "function_call");
      assert.ok(JSON.parse(calls[0].arguments).city, model);
      const results = calls.map(({ call_id }) => ({ type: "function_call_output", call_id, output: "sunny" }));
      const final = await client().responses.create({ ...asked, input: [...weather, ...made.output, ...results] });
      assert.ok(final.output_text, model);
    }
  },

  async "vectors"() {
    const input = ["一", "two"];
    const packed = await client().embeddings.create({ model: "sim-embed", input }); // asks for base64 in silence
    const plain = await client().embeddings.create({ model: "sim-embed", input, encoding_format: "float" });
    for (const [index, { embedding }] of packed.data.entries()) {
      assert.equal(embedding.length, 1536);
      assert.ok(embedding.every((part, at) => Math.abs(part - plain.data[index].embedding[at]) < 1e-6));
    }
  },

  async "an old completion"() {
    for (const model of gateway ? ["sim-instruct", "sim-fast"] : ["sim-instruct"]) {
      const asked = { model, prompt: "Say 你好", max_tokens: 64 };
      const whole = await client().completions.create(asked);
      const chunks = await collected(await client().completions.create({ ...asked, stream: true }));
      assert.equal(chunks.map(({ choices }) => choices[0]?.text ?? "").join(""), whole.choices[0].text, model);
    }
  },

  async "models"() {
    const listed = (await collected(client().models.list())).map((model) => model.id);
    for (const model of [...chatty, "sim-embed", "sim-instruct"]) assert.ok(listed.includes(model), model);
    assert.equal((await client().models.retrieve("sim-fast")).id, "sim-fast");
  },

  async "a wrong key"() {
    const wrong = client({ apiKey: "sk-tg-demo-wrong" });
    const error = await rejected(OpenAI.AuthenticationError, () => ask(wrong));
    assert.equal(error.code, "invalid_api_key");
    assert.match(error.requestID, /^req_/);
  },

  async "a bad parameter"() {
    const error = await rejected(OpenAI.BadRequestError, () => ask(client(), { max_tokens: 0 }));
    assert.deepEqual([error.type, error.param], ["invalid_request_error", "max_tokens"]);
  },
};

const ofTheGateway = {
  async "its headers"() {
    const { data, response, request_id } = await ask(client()).withResponse();
    assert.match(request_id, /^req_/);
    assert.ok(Number(response.headers.get("x-tollgate-cost-cny")) > 0);
    assert.equal(data.model, "sim-fast");
  },

  async "an unknown model"() {
    const error = await rejected(OpenAI.NotFoundError, () => ask(client(), { model: "sim-fsat" }));
    assert.deepEqual([error.code, error.param], ["model_not_found", "model"]);
    assert.match(error.message, /sim-fast/);
  },

  async "out of money is asked once"() {
    const broke = client();
    for (const stream of [false, true]) {
      const error = await rejected(OpenAI.APIError, () => ask(broke, { model: "sim-luxury", stream }));
      assert.deepEqual([error.status, error.code], [402, "insufficient_quota"]);
      assert.match(error.error.topup_url, /^http/);
      assert.ok(Number(error.error.shortfall) > 0);
    }
    assert.equal(broke.sent.requests, 2);
  },

  async "too fast"() {
    const quick = client({ apiKey: await newKey("node", { requests_per_minute: 1 }), maxRetries: 0 });
    await ask(quick);
    const error = await rejected(OpenAI.RateLimitError, () => ask(quick));
    assert.equal(error.code, "rate_limit_exceeded");
    const wait = Number(error.headers.get("retry-after"));
    assert.ok(wait >= 1 && wait <= 60, `retry-after: ${wait}`);
  },

  async "a broken stream is an error"() {
    await fault("sim-fast", "cut_after", { chunks: 5 });
    let seen = 0;
    const error = await rejected(OpenAI.APIError, async () => {
      for await (const chunk of await ask(client(), { stream: true })) seen += chunk.choices.length;
    });
    assert.ok(seen > 0);
    assert.match(String(error), /cut short/);
  },

  async "a provider that fails is not noticed"() {
    await fault("sim-fast", "status", { status: 500 });
    const openai = client();
    assert.ok((await ask(openai)).choices[0].message.content);
    assert.equal(openai.sent.requests, 1);
  },
};

await run("openai for node", `openai ${version("openai")}`, checks, ofTheGateway);
