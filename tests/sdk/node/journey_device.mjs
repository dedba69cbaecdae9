// Does the script of top-up pages give a browser a name that a top-up takes, and that stays?
import assert from "node:assert/strict";
import vm from "node:vm";
import { apiKey, base, counted, ready, run } from "./checks.mjs";

const answer = await fetch(`${ready.public_url}/portal/device.js`);
assert.equal(answer.status, 200);
assert.match(answer.headers.get("content-type"), /^text\/javascript/);
const script = await answer.text();

/** A page in a browser that keeps `kept`, or keeps nothing. */
function page(kept, places = []) {
  const refuse = () => {
    throw new Error("storage is closed");
  };
  const localStorage = kept
    ? { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value) }
    : { getItem: refuse, setItem: refuse };
  const window = { localStorage, crypto: globalThis.crypto };
  const document = { readyState: "complete", querySelectorAll: () => places };
  vm.runInNewContext(script, { window, document });
  return window.tollgateDevice;
}

const checks = {
  "a name of 32 characters stays with the browser"() {
    const kept = new Map();
    const name = page(kept).id();
    assert.match(name, /^[0-9a-f]{32}$/);
    assert.equal(page(kept).id(), name);
    assert.notEqual(page(new Map()).id(), name);
  },
  "what is no name is replaced"() {
    const kept = new Map([["tollgate_device_id", "<script>"]]);
    assert.match(page(kept).id(), /^[0-9a-f]{32}$/);
  },
  "without storage it lasts as long as the page"() {
    const device = page(undefined);
    assert.match(device.id(), /^[0-9a-f]{32}$/);
    assert.equal(device.id(), device.id());
  },
  "places on the page are filled"() {
    const [input, text] = [{ value: "" }, { textContent: "" }];
    const name = page(new Map(), [input, text]).id();
    assert.deepEqual([input.value, text.textContent], [name, name]);
  },
  async "a top-up takes it"() {
    const answer = await fetch(`${base}/topups`, {
      method: "POST",
      headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
      body: JSON.stringify({ amount: "1.00", device_id: page(new Map()).id() }),
    });
    const order = await answer.json();
    assert.equal(answer.status, 201, JSON.stringify(order));
    assert.match(order.code_url, /^weixin:/);
  },
  async "and whoever topped up calls"() {
    const answer = await counted().fetch(`${base}/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
      body: JSON.stringify({ model: "sim-fast", messages: [{ role: "user", content: "hello" }] }),
    });
    assert.equal(answer.status, 200, await answer.text());
  },
};

await run("device.js", "of the portal", checks);
