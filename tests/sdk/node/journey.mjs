// Does OpenAI's own Node SDK notice any difference? `journey.mjs READY_FILE`, beside a running `tollgate demo`.
//
// One line for each thing that was checked, and at the end how many passed and failed; exits with 1 if one failed.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import process from "node:process";
import OpenAI from "openai";

const ready = JSON.parse(readFileSync(process.argv[2], "utf8"));
const messages = [{ role: "user", content: "你好，SDK" }];
const version = JSON.parse(readFileSync(new URL("./node_modules/openai/package.json", import.meta.url), "utf8")).version;

/** A client as its documentation shows it, which counts what it really sends. */
function client({ apiKey = ready.api_key, ...options } = {}) {
  const sent = { requests: 0 };
  const counting = (url, init) => {
    sent.requests += 1;
    return fetch(url, init);
  };
  const openai = new OpenAI({ baseURL: `${ready.public_url}/v1`, apiKey, fetch: counting, ...options });
  return Object.assign(openai, { sent });
}

/** Works a control that no SDK knows. */
async function post(url, body, token) {
  const headers = { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) };
  const answer = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
  assert.ok(answer.ok, `${url}: ${answer.status}`);
  return answer.json();
}

/** The error of this class, and no other, with which a call fails. */
async function rejected(kind, call) {
  try {
    await call();
  } catch (error) {
    assert.equal(error.constructor, kind, `${error.constructor.name} instead of ${kind.name}: ${error}`);
    return error;
  }
  return assert.fail(`no ${kind.name}`);
}

const ask = (openai, more = {}) => openai.chat.completions.create({ model: "sim-fast", messages, ...more });

async function collected(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const tools = [{ type: "function", function: { name: "get_weather", parameters } }];

const checks = {
  async "a whole answer"() {
    const answer = await ask(client());
    assert.match(answer.choices[0].message.content, /你好，SDK/);
    assert.equal(answer.choices[0].finish_reason, "stop");
    assert.ok(answer.usage.total_tokens > 0);
    assert.match(answer._request_id, /^req_/);
  },

  async "its headers"() {
    const { data, response, request_id } = await ask(client()).withResponse();
    assert.match(request_id, /^req_/);
    assert.ok(Number(response.headers.get("x-tollgate-cost-cny")) > 0);
    assert.equal(data.model, "sim-fast");
  },

  async "a stream says the same"() {
    const whole = (await ask(client())).choices[0].message.content;
    const chunks = await collected(await ask(client(), { stream: true }));
    assert.equal(chunks.map((chunk) => chunk.choices[0].delta.content ?? "").join(""), whole);
    assert.equal(chunks.at(-1).choices[0].finish_reason, "stop");
  },

  async "a stream with usage"() {
    const chunks = await collected(await ask(client(), { stream: true, stream_options: { include_usage: true } }));
    const { choices, usage } = chunks.at(-1);
    assert.deepEqual(choices, []);
    assert.ok(usage.completion_tokens > 0 && Number(usage.cost) > 0);
  },

  async "the stream helper"() {
    const stream = client().chat.completions.stream({ model: "sim-smart", messages });
    let text = "";
    stream.on("content", (delta) => {
      text += delta;
    });
    const final = await stream.finalChatCompletion();
    assert.ok(text.length > 0);
    assert.equal(final.choices[0].message.content, text);
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
    const question = [{ role: "user", content: "What is the weather in Beijing?" }];
    const asked = { model: "sim-smart", messages: question, tools };
    const made = await client().chat.completions.create(asked);
    assert.equal(made.choices[0].finish_reason, "tool_calls");
    const streamed = await client().chat.completions.stream(asked).finalChatCompletion();
    for (const { message } of [made.choices[0], streamed.choices[0]]) {
      const [call] = message.tool_calls;
      assert.equal(call.function.name, "get_weather");
      assert.ok(JSON.parse(call.function.arguments).city);
      const result = { role: "tool", tool_call_id: call.id, content: "sunny" };
      const final = await client().chat.completions.create({ ...asked, messages: [...question, message, result] });
      assert.equal(final.choices[0].finish_reason, "stop");
    }
  },

  async "a schema becomes an object"() {
    const schema = { type: "object", properties: { colour: { enum: ["red", "green"] } }, required: ["colour"] };
    const format = { type: "json_schema", json_schema: { name: "colour", schema } };
    const answer = await ask(client(), { response_format: format });
    assert.deepEqual(JSON.parse(answer.choices[0].message.content), { colour: "red" });
  },

  async "models"() {
    const listed = (await collected(client().models.list())).map((model) => model.id).sort();
    assert.deepEqual(listed, ["sim-fast", "sim-flaky", "sim-luxury", "sim-slow", "sim-smart"]);
    assert.equal((await client().models.retrieve("sim-fast")).id, "sim-fast");
  },

  async "a wrong key"() {
    const wrong = client({ apiKey: "sk-tg-demo-wrong" });
    const error = await rejected(OpenAI.AuthenticationError, () => ask(wrong));
    assert.equal(error.code, "invalid_api_key");
    assert.match(error.requestID, /^req_/);
  },

  async "an unknown model"() {
    const error = await rejected(OpenAI.NotFoundError, () => ask(client(), { model: "sim-fsat" }));
    assert.deepEqual([error.code, error.param], ["model_not_found", "model"]);
    assert.match(error.message, /sim-fast/);
  },

  async "a bad parameter"() {
    const error = await rejected(OpenAI.BadRequestError, () => ask(client(), { max_tokens: 0 }));
    assert.deepEqual([error.type, error.param], ["invalid_request_error", "max_tokens"]);
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
    const wish = { account: ready.account, name: "node", requests_per_minute: 1 };
    const { key } = await post(`${ready.admin_url}/admin/v1/keys`, wish, ready.admin_token);
    const quick = client({ apiKey: key, maxRetries: 0 });
    await ask(quick);
    const error = await rejected(OpenAI.RateLimitError, () => ask(quick));
    assert.equal(error.code, "rate_limit_exceeded");
    const wait = Number(error.headers.get("retry-after"));
    assert.ok(wait >= 1 && wait <= 60, `retry-after: ${wait}`);
  },

  async "a broken stream is an error"() {
    await post(`${ready.sim_url}/_sim/v1/faults`, { scope: "*", model: "sim-fast", fault: "cut_after", chunks: 5 });
    let seen = 0;
    const error = await rejected(OpenAI.APIError, async () => {
      for await (const chunk of await ask(client(), { stream: true })) seen += chunk.choices.length;
    });
    assert.ok(seen > 0);
    assert.match(String(error), /cut short/);
  },

  async "a provider that fails is not noticed"() {
    await post(`${ready.sim_url}/_sim/v1/faults`, { scope: "*", model: "sim-fast", fault: "status", status: 500 });
    const openai = client();
    assert.ok((await ask(openai)).choices[0].message.content);
    assert.equal(openai.sent.requests, 1);
  },
};

let failed = 0;
for (const [name, check] of Object.entries(checks)) {
  try {
    await check();
    console.log(`ok      node: ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  node: ${name}\n${error.stack}`);
  }
}
console.log(`${Object.keys(checks).length - failed} passed, ${failed} failed (openai ${version})`);
process.exit(failed ? 1 : 0);
