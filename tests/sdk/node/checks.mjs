// What do all Node journeys share? The far end they talk to, and the books at the end.
//
// A journey is `journey_x.mjs READY_FILE`, beside a running `tollgate demo`. It prints a line for each check, and at the
// end how many passed and failed; it exits with 1 if one failed. A READY_FILE without `admin_url` names a simulated
// provider instead; then the checks that are about the gateway itself are left out.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import process from "node:process";

export const ready = JSON.parse(readFileSync(process.argv[2], "utf8"));
export const gateway = "admin_url" in ready;
export const base = `${ready.public_url}/v1`;
// Enough for a journey, in which an open call holds what it might cost at most; too little for `sim-luxury`.
export const TOP_UP = "1.50";

const answered = [];

/** A `fetch` that counts what an SDK really sends, and notes under which id each request was answered. */
export function counted() {
  const sent = { requests: 0 };
  sent.fetch = async (url, init) => {
    sent.requests += 1;
    const answer = await fetch(url, init);
    answered.push(answer.headers.get("x-request-id"));
    return answer;
  };
  return sent;
}

export const version = (name) =>
  JSON.parse(readFileSync(new URL(`./node_modules/${name}/package.json`, import.meta.url), "utf8")).version;

/** Works a control, or asks a question, that no SDK knows. */
export async function call(url, { body, token, method = body ? "POST" : "GET" } = {}) {
  const headers = { "content-type": "application/json", ...(token && { authorization: `Bearer ${token}` }) };
  const answer = await fetch(url, { method, headers, body: body && JSON.stringify(body) });
  assert.ok(answer.ok, `${url}: ${answer.status}`);
  return answer.json();
}

/** Lets something go wrong the next time this model is asked. */
export const fault = (model, name, more = {}) =>
  call(`${ready.sim_url}/_sim/v1/faults`, { body: { scope: "*", model, fault: name, ...more } });

const admin = (path, body) => call(`${ready.admin_url}/admin/v1${path}`, { body, token: ready.admin_token });

const account = gateway ? (await admin("/accounts", { name: process.argv[1], livemode: "demo" })).id : undefined;

/** A key of this journey's account with limits of its own. */
export const newKey = async (name, limits) => (await admin("/keys", { account, name, ...limits })).key;

export const apiKey = gateway ? await newKey("journey") : ready.api_key;

/** The error of this class, and no other, with which a call fails. */
export async function rejected(kind, function_) {
  try {
    await function_();
  } catch (error) {
    assert.equal(error.constructor, kind, `${error.constructor.name} instead of ${kind.name}: ${error}`);
    return error;
  }
  return assert.fail(`no ${kind.name}`);
}

export async function collected(stream) {
  const items = [];
  for await (const item of stream) items.push(item);
  return items;
}

// Amounts are decimals with nine places: sums are made in the last of them.
const nano = (text) => {
  const [whole, part = ""] = text.replace("-", "").split(".");
  const amount = BigInt(whole + part.padEnd(9, "0"));
  return text.startsWith("-") ? -amount : amount;
};

/** Asks again until it is so, within bounds. */
export async function until(what, there) {
  const end = Date.now() + 20_000;
  for (;;) {
    const found = await there();
    if (found) return found;
    assert.ok(Date.now() < end, `${what} does not come true`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function topUp(amount) {
  const order = await call(`${base}/topups`, { body: { amount }, token: apiKey });
  await call(`${ready.sim_url}/_sim/v1/orders/${order.out_trade_no}/pay`, { body: {} });
  const status = async () => (await call(`${base}/topups/${order.id}`, { token: apiKey })).status;
  await until("the top-up is credited", async () => (await status()) === "paid");
}

async function cost(request) {
  const headers = { authorization: `Bearer ${apiKey}` };
  const answer = await fetch(`${base}/generation?id=${request}`, { headers });
  // Refused before it could cost anything.
  return answer.ok ? nano((await answer.json()).data.cost_cny) : 0n;
}

async function theBooks() {
  const books = () => admin("/ledger/trial-balance");
  await until("every hold is settled", async () => (await books()).open_holds === 0);
  const { balanced, findings } = await books();
  assert.ok(balanced, JSON.stringify(findings));
  const costs = await Promise.all([...new Set(answered.filter(Boolean))].map(cost));
  const spent = nano((await call(`${base}/credits`, { token: apiKey })).spent);
  assert.ok(spent > 0n);
  assert.equal(costs.reduce((sum, amount) => sum + amount, 0n), spent);
}

/** Runs all checks, the books last. `ofTheGateway` are those that only the gateway can pass. */
export async function run(name, versions, checks, ofTheGateway = {}) {
  // Tokens as fast as they can be sent: what is slow here is only `sim-slow`.
  await call(`${ready.sim_url}/_sim/v1/settings`, { body: { first_token_ms: 0, gap_ms: 0 } });
  if (gateway) await topUp(TOP_UP);
  const all = Object.entries(gateway ? { ...checks, ...ofTheGateway } : checks);
  if (gateway) all.push(["the receipts sum to what was spent", theBooks]);
  let failed = 0;
  for (const [sentence, check] of all) {
    try {
      await check();
      console.log(`ok      ${name}: ${sentence}`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED  ${name}: ${sentence}\n${error.stack}`);
    }
  }
  console.log(`${all.length - failed} passed, ${failed} failed (${versions})`);
  process.exit(failed ? 1 : 0);
}
