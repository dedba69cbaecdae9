// Is the simulated WeChat Pay one to a client of both APIs that others wrote, and does the gateway hear what it signs?
//
// `journey_wechatpay.mjs READY_FILE`, beside a running `tollgate demo` or `tollgate sim --tls-listen`. What WeChat Pay
// says is judged with the means of `wechatpay-axios-plugin`, and what the gateway is told is made with them.
import assert from "node:assert/strict";
import { X509Certificate, createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";
import { dirname, join } from "node:path";
import process from "node:process";
import { gunzipSync } from "node:zlib";
import wechatpay from "wechatpay-axios-plugin";
import { TOP_UP, apiKey, base, call, counted, gateway, ready, run, until, version } from "./checks.mjs";

const { Aes, Formatter, Hash, Rsa, Transformer, Wechatpay } = wechatpay;
const SIM = `${ready.sim_url}/_sim/v1`;
const HOST = ready.tls_url ?? ready.sim_url;
const CA = ready.ca && readFileSync(ready.ca);
const OPENID = `o${"Payer_of-a_Journey".padEnd(27, "x")}`;
const TAKEN = Transformer.toXml({ return_code: "SUCCESS", return_msg: "OK" });
const NOT_TAKEN = Transformer.toXml({ return_code: "FAIL", return_msg: "no" });

const keyOf = (pem) => Rsa.from(pem, pem.includes("PRIVATE") ? Rsa.KEY_TYPE_PRIVATE : Rsa.KEY_TYPE_PUBLIC);
const order = (number) => call(`${SIM}/orders/${number}`);
const fault = (name, more) => call(`${SIM}/faults`, { body: { scope: "wechat", fault: name, ...more } });
const fen = (yuan) => Math.round(Number(yuan) * 100);

let last = 0;
const next = (kind) => `${kind}-${process.pid}-${(last += 1)}`;

// The library goes by the time at WeChat Pay, which this journey moves.
let ahead = 0;
Formatter.timestamp = () => Math.floor((Date.now() + ahead) / 1000);
async function advance(seconds) {
  await call(`${SIM}/clock`, { body: { advance_ms: Math.round(seconds * 1000) } });
  ahead = (await call(`${SIM}/clock`)).now_micros / 1000 - Date.now();
}
await advance(0);
const beijing = () => new Date(Date.now() + ahead + 8 * 3_600_000);
const today = () => beijing().toISOString().slice(0, 10);
const secondsToMidnight = () => (86_400_000 - (beijing().getTime() % 86_400_000)) / 1000;
// A day that ended in the middle of a journey would split its bill.
if (secondsToMidnight() < 900) await advance(secondsToMidnight() + 1);

const ours = await call(`${SIM}/wechat/merchants`, { body: {} });
const keys = (change) => call(`${SIM}/wechat/keys`, { body: { mchid: ours.mchid, ...change } });
// What was paid and, as less than nothing, what was paid back, fen.
const sums = [];

function client({ certs, merchant = ours, headers, secret = merchant.api_v2_key, ...more } = {}) {
  return new Wechatpay({
    mchid: merchant.mchid,
    serial: merchant.merchant_serial,
    privateKey: merchant.merchant_private_key_pem,
    certs: certs ?? { [merchant.platform_key_id]: merchant.platform_public_key_pem },
    secret,
    merchant: { cert: merchant.merchant_certificate_pem, key: merchant.merchant_private_key_pem, ca: CA },
    baseURL: `${HOST}/wechat/`,
    // Who verifies with the public key says so with every request.
    headers: headers ?? { "Wechatpay-Serial": merchant.platform_key_id },
    httpsAgent: new https.Agent({ ca: CA }),
    proxy: false,
    ...more,
  });
}

/** What the library takes out of `GET /v3/certificates`, as it is got before any certificate is known. */
async function certificates() {
  const answer = await client({ headers: {} }).v3.certificates.get({ transformResponse: [(data) => data] });
  const listed = JSON.parse(answer.data).data.map(({ serial_no, encrypt_certificate: sealed }) => {
    const pem = Aes.AesGcm.decrypt(sealed.ciphertext, ours.api_v3_key, sealed.nonce, sealed.associated_data);
    assert.equal(new X509Certificate(pem).serialNumber, serial_no);
    return [serial_no, pem];
  });
  const certs = Object.fromEntries(listed);
  const { headers } = answer;
  const said = Formatter.response(headers["wechatpay-timestamp"], headers["wechatpay-nonce"], answer.data);
  assert.ok(Rsa.verify(said, headers["wechatpay-signature"], keyOf(certs[headers["wechatpay-serial"]])));
  return certs;
}

const noCertificates = await client({ headers: {} }).v3.certificates.get().catch((error) => error.response);
assert.equal(noCertificates.status, 404);
await keys({ certificates: "rotate", public_key_percent: 50 });
const byKey = client();
const byCertificate = client({ certs: await certificates(), headers: {} });
const ways = [byKey, byCertificate];

/** Who signs a notification is left to chance: the merchant knows both. */
const known = { [ours.platform_key_id]: ours.platform_public_key_pem, ...(await certificates()) };
const refusing = [];

/** A notification of API v3, if it is genuine. */
function heardByV3(headers, body) {
  const { "wechatpay-timestamp": stamp, "wechatpay-nonce": nonce, "wechatpay-serial": serial } = headers;
  const key = keyOf(known[serial]);
  assert.ok(Rsa.verify(Formatter.response(stamp, nonce, body), headers["wechatpay-signature"], key), "signature");
  const { resource } = JSON.parse(body);
  return JSON.parse(
    Aes.AesGcm.decrypt(resource.ciphertext, ours.api_v3_key, resource.nonce, resource.associated_data),
  );
}

/** A notification of API v2, if it is genuine. */
function heardByV2(body) {
  assert.ok(!body.includes("<!DOCTYPE"));
  const { sign, ...fields } = Transformer.toObject(body);
  if (fields.req_info) {
    return Transformer.toObject(Aes.AesEcb.decrypt(fields.req_info, Hash.md5(ours.api_v2_key)));
  }
  // This merchant pins the type of signature by how its orders are numbered.
  const type = fields.out_trade_no.startsWith("hmac") ? Hash.ALGO_HMAC_SHA256 : Hash.ALGO_MD5;
  assert.ok(Hash.equals(Hash.sign(type, fields, ours.api_v2_key), sign), "signature");
  return fields;
}

const heard = [];
const told = http.createServer(async (request, response) => {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  const body = Buffer.concat(pieces).toString();
  const v2 = request.url === "/v2";
  try {
    heard.push(v2 ? heardByV2(body) : heardByV3(request.headers, body));
    response.writeHead(v2 ? 200 : 204).end(v2 ? TAKEN : undefined);
  } catch (error) {
    refusing.push(error);
    response.writeHead(v2 ? 200 : 401).end(v2 ? NOT_TAKEN : JSON.stringify({ code: "FAIL" }));
  }
});
await new Promise((listening) => told.listen(0, "127.0.0.1", listening));
const url = `http://127.0.0.1:${told.address().port}`;

const delivered = (number, count) =>
  until(`${number} is told ${count} times`, async () => {
    const { deliveries } = await order(number);
    return deliveries.length >= count && deliveries;
  });

/** Somebody pays, and the news of it has gone out: nothing of it comes between what is looked at later. */
async function isPaid(number, total) {
  sums.push(total);
  const { transaction_id } = await call(`${SIM}/orders/${number}/pay`, { body: {} });
  await delivered(number, 1);
  return transaction_id;
}

/** A page inside WeChat calls up the cashier, and its payer pays. */
async function isCalledUp(page, number, total) {
  sums.push(total);
  assert.equal((await call(`${SIM}/wechat/callup`, { body: page })).out_trade_no, number);
  await delivered(number, 1);
}

/** The error with which a call is refused, by status and code. */
async function refused(promise, status, code) {
  const error = await promise.then(() => assert.fail("was not refused"), (error) => error);
  assert.equal(error.response?.status, status, error.stack);
  assert.equal(error.response.data.code ?? error.response.data.err_code ?? error.response.data.return_msg, code);
}

const v3Order = (total, more) => ({
  appid: ours.appid,
  mchid: ours.mchid,
  description: "余额充值 & <more>",
  out_trade_no: next("v3"),
  notify_url: `${url}/v3`,
  amount: { total, currency: "CNY" },
  ...more,
});
const v2Common = (type) => ({ appid: ours.appid, mch_id: ours.mchid, ...(type && { sign_type: type }) });
const v2Order = (type, total, more) => ({
  ...v2Common(type),
  body: "余额充值 & <more>",
  out_trade_no: next(type === Hash.ALGO_HMAC_SHA256 ? "hmac" : "md5"),
  total_fee: total,
  spbill_create_ip: "203.0.113.7",
  notify_url: `${url}/v2`,
  trade_type: "NATIVE",
  product_id: "top-up",
  ...more,
});
const types = [Hash.ALGO_MD5, Hash.ALGO_HMAC_SHA256];

const checks = {
  async "API v3: native is made, paid, told and queried by both numbers"() {
    for (const { v3 } of ways) {
      const asked = v3Order(888, { attach: "附加 data" });
      const number = { out_trade_no: asked.out_trade_no, params: { mchid: ours.mchid } };
      const { data: made } = await v3.pay.transactions.native.post(asked);
      assert.match(made.code_url, /^weixin:\/\/wxpay\/bizpayurl\?pr=/);
      const transaction_id = await isPaid(asked.out_trade_no, 888);
      const byOne = await v3.pay.transactions.outTradeNo._out_trade_no_.get(number);
      const byOther = await v3.pay.transactions.id._transaction_id_.get({ ...number, transaction_id });
      assert.deepEqual(byOne.data, byOther.data);
      assert.equal(byOne.data.trade_state, "SUCCESS");
      assert.ok((await delivered(asked.out_trade_no, 1))[0].taken);
      assert.deepEqual(heard.at(-1), byOne.data);
    }
  },
  async "API v3: JSAPI and mini programs are called up with what the library signs"() {
    for (const { v3 } of ways) {
      for (const appid of [ours.appid, ours.mini_program_appid]) {
        const asked = v3Order(250, { appid, payer: { openid: OPENID } });
        const { data: made } = await v3.pay.transactions.jsapi.post(asked);
        const page = { appId: appid, timeStamp: `${Formatter.timestamp()}`, nonceStr: Formatter.nonce() };
        page.package = `prepay_id=${made.prepay_id}`;
        const said = Formatter.joinedByLineFeed(page.appId, page.timeStamp, page.nonceStr, page.package);
        const paySign = Rsa.sign(said, keyOf(ours.merchant_private_key_pem));
        await isCalledUp({ ...page, signType: "RSA", paySign }, asked.out_trade_no, 250);
      }
    }
  },
  async "API v3: H5 is made with a scene"() {
    for (const { v3 } of ways) {
      const scene_info = { payer_client_ip: "203.0.113.7", h5_info: { type: "Wap" } };
      const asked = v3Order(300, { scene_info });
      assert.match((await v3.pay.transactions.h5.post(asked)).data.h5_url, /prepay_id=/);
      await isPaid(asked.out_trade_no, 300);
    }
  },
  async "API v3: closing is answered by nothing, and that is signed"() {
    for (const { v3 } of ways) {
      const asked = v3Order(100);
      await v3.pay.transactions.native.post(asked);
      const closing = v3.pay.transactions.outTradeNo._out_trade_no_.close;
      const closed = await closing.post({ mchid: ours.mchid }, { out_trade_no: asked.out_trade_no });
      assert.deepEqual([closed.status, closed.data], [204, ""]);
      await refused(v3.pay.transactions.native.post(asked), 400, "ORDER_CLOSED");
    }
  },
  async "API v3: refunds are accepted, told and queried"() {
    for (const { v3 } of ways) {
      const paid = v3Order(1000);
      const { out_trade_no } = paid;
      await v3.pay.transactions.native.post(paid);
      await isPaid(out_trade_no, 1000);
      const amount = { refund: 300, total: 1000, currency: "CNY" };
      const asked = { out_trade_no, out_refund_no: next("refund"), amount, notify_url: `${url}/v3` };
      const { data: said } = await v3.refund.domestic.refunds.post(asked);
      sums.push(-300);
      assert.equal(said.status, "PROCESSING");
      await delivered(out_trade_no, 2);
      assert.deepEqual([heard.at(-1).refund_status, heard.at(-1).refund_id], ["SUCCESS", said.refund_id]);
      const found = await v3.refund.domestic.refunds._out_refund_no_.get({ out_refund_no: asked.out_refund_no });
      assert.equal(found.data.status, "SUCCESS");
    }
  },
  async "API v3: what is wrong is said with its code"() {
    const params = { mchid: ours.mchid };
    for (const { v3 } of ways) {
      const { native, outTradeNo } = v3.pay.transactions;
      await refused(outTradeNo._out_trade_no_.get({ params, out_trade_no: "nobody-knows-it" }), 404, "ORDER_NOT_EXIST");
      await refused(native.post(v3Order(0)), 400, "PARAM_ERROR");
      await refused(native.post({ ...v3Order(1), nobody: "knows it" }), 400, "PARAM_ERROR");
      const asked = v3Order(100);
      await native.post(asked);
      await refused(native.post({ ...asked, amount: { total: 101 } }), 400, "INVALID_REQUEST");
      await isPaid(asked.out_trade_no, 100);
      await refused(native.post(asked), 400, "ORDERPAID");
      const amount = { refund: 101, total: 100, currency: "CNY" };
      const refund = { out_trade_no: asked.out_trade_no, out_refund_no: next("refund"), amount };
      await refused(v3.refund.domestic.refunds.post(refund), 400, "INVALID_REQUEST");
    }
    const stranger = await call(`${SIM}/wechat/merchants`, { body: {} });
    const merchant = { ...ours, merchant_private_key_pem: stranger.merchant_private_key_pem };
    const query = client({ merchant }).v3.pay.transactions.outTradeNo._out_trade_no_;
    await refused(query.get({ params, out_trade_no: "nobody-knows-it" }), 401, "SIGN_ERROR");
  },
  async "API v3: an answer with a wrong signature is not taken"() {
    for (const { v3 } of ways) {
      const asked = v3Order(100);
      for (const wrong of ["bad_signature", "signature_probe"]) {
        await fault(wrong, { op: "create", mchid: ours.mchid });
        const error = await v3.pay.transactions.native.post(asked).catch((error) => error);
        assert.equal(error.code, "EV3_RES_HEADER_SIGNATURE_DIGEST", error.stack);
      }
      await v3.pay.transactions.native.post(asked);
    }
  },
  async "API v3: certificates change while a client runs"() {
    const before = (await keys({ certificates: "issue" })).in_use;
    const certs = await certificates();
    assert.equal(Object.keys(certs).length, 2);
    const both = client({ certs, headers: {} });
    await both.v3.pay.transactions.native.post(v3Order(100));
    assert.notEqual((await keys({ certificates: "use_newest", public_key_percent: 0 })).in_use, before);
    Object.assign(known, certs);
    const asked = v3Order(100);
    await both.v3.pay.transactions.native.post(asked);
    const error = await byCertificate.v3.pay.transactions.native.post(asked).catch((error) => error);
    assert.equal(error.code, "EV3_RES_HEADER_PLATFORM_SERIAL");
    await isPaid(asked.out_trade_no, 100);
    assert.ok((await delivered(asked.out_trade_no, 1))[0].taken);
  },
  async "API v2: native is made, paid, told and queried, with either signature"() {
    for (const type of types) {
      const asked = v2Order(type, 888, { attach: "附加 ' & <data>" });
      const { data: made } = await byKey.v2.pay.unifiedorder.post(asked);
      assert.match(made.code_url, /^weixin:\/\/wxpay\/bizpayurl\?pr=/);
      assert.equal(made.sign.length, type === Hash.ALGO_MD5 ? 32 : 64);
      const transaction_id = await isPaid(asked.out_trade_no, 888);
      for (const number of [{ out_trade_no: asked.out_trade_no }, { transaction_id }]) {
        const { data: found } = await byKey.v2.pay.orderquery.post({ ...v2Common(type), ...number });
        assert.deepEqual([found.trade_state, found.total_fee, found.attach], ["SUCCESS", "888", asked.attach]);
      }
      assert.ok((await delivered(asked.out_trade_no, 1))[0].taken);
      assert.deepEqual([heard.at(-1).transaction_id, heard.at(-1).attach], [transaction_id, asked.attach]);
    }
  },
  async "API v2: JSAPI is called up with what the library signs, with either signature"() {
    for (const signType of types) {
      const asked = v2Order(signType, 250, { trade_type: "JSAPI", openid: OPENID });
      const { data: made } = await byKey.v2.pay.unifiedorder.post(asked);
      const page = { appId: ours.appid, timeStamp: `${Formatter.timestamp()}`, nonceStr: Formatter.nonce() };
      Object.assign(page, { package: `prepay_id=${made.prepay_id}`, signType });
      const paySign = Hash.sign(signType, page, ours.api_v2_key);
      await isCalledUp({ ...page, paySign }, asked.out_trade_no, 250);
    }
  },
  async "API v2: H5 is made with a scene"() {
    for (const type of types) {
      const h5_info = { type: "Wap", wap_url: "https://example.test", wap_name: "充值" };
      const scene_info = JSON.stringify({ h5_info });
      const asked = v2Order(type, 300, { trade_type: "MWEB", scene_info });
      assert.match((await byKey.v2.pay.unifiedorder.post(asked)).data.mweb_url, /prepay_id=/);
      await isPaid(asked.out_trade_no, 300);
    }
  },
  async "API v2: an order is closed when it is five minutes old"() {
    const asked = types.map((type) => v2Order(type, 100));
    for (const one of asked) await byKey.v2.pay.unifiedorder.post(one);
    const closing = ({ sign_type, out_trade_no }) =>
      byKey.v2.pay.closeorder.post({ ...v2Common(sign_type), out_trade_no });
    for (const one of asked) await refused(closing(one), 200, "TRADE_STATE_ERROR");
    await advance(300);
    for (const one of asked) assert.equal((await closing(one)).data.result_msg, "OK");
    for (const one of asked) await refused(closing(one), 200, "ORDERCLOSED");
  },
  async "API v2: refunds want the certificate, and are accepted, told and queried"() {
    for (const type of types) {
      const paid = v2Order(type, 1000);
      await byKey.v2.pay.unifiedorder.post(paid);
      await isPaid(paid.out_trade_no, 1000);
      const asked = { ...v2Common(type), out_trade_no: paid.out_trade_no, out_refund_no: next("refund") };
      Object.assign(asked, { total_fee: 1000, refund_fee: 300, notify_url: `${url}/v2` });
      if (ready.tls_url) {
        const page = { transformResponse: [(data) => data] };
        const error = await byKey.v2.secapi.pay.refund.post(asked, page).catch((error) => error);
        assert.equal(error.response?.status, 400, error.stack);
        assert.match(error.response.data, /No required SSL certificate was sent/);
      }
      const { data: said } = await byKey.v2.secapi.pay.refund.post(asked, { security: true });
      sums.push(-300);
      assert.equal(said.refund_fee, "300");
      await delivered(paid.out_trade_no, 2);
      assert.deepEqual([heard.at(-1).refund_status, heard.at(-1).refund_id], ["SUCCESS", said.refund_id]);
      const { data: found } = await byKey.v2.pay.refundquery.post({ ...v2Common(type), refund_id: said.refund_id });
      assert.equal(found.refund_status_0, "SUCCESS");
      const again = { ...asked, out_refund_no: next("refund"), refund_fee: 701 };
      await refused(byKey.v2.secapi.pay.refund.post(again, { security: true }), 200, "ERROR");
    }
  },
  async "API v2: what is wrong is said with its code"() {
    const { orderquery, unifiedorder } = byKey.v2.pay;
    for (const type of types) {
      await refused(orderquery.post({ ...v2Common(type), out_trade_no: "nobody-knows-it" }), 200, "ORDERNOTEXIST");
      await refused(unifiedorder.post(v2Order(type, 0)), 200, "PARAM_ERROR");
    }
    const stranger = client({ secret: "0".repeat(32) });
    const query = { ...v2Common(), out_trade_no: "nobody-knows-it" };
    await refused(stranger.v2.pay.orderquery.post(query), 200, "签名错误，请检查后再试");
    await fault("bad_signature", { op: "create", api: "v2", mchid: ours.mchid });
    const error = await unifiedorder.post(v2Order(types[1], 1)).catch((error) => error);
    assert.equal(error.code, "EV2_RES_SIGNATURE_NOT_EQUAL");
  },
  async "API v2: the sandbox has a key of its own"() {
    const asked = { mch_id: ours.mchid };
    const { data: answer } = await byKey.v2.xdc.apiv2getsignkey.sign.getsignkey.post(asked);
    const sandbox = client({ secret: answer.sandbox_signkey });
    const query = { ...v2Common(), out_trade_no: "nobody-knows-it" };
    await refused(sandbox.v2.xdc.apiv2sandbox.pay.orderquery.post(query), 200, "ORDERNOTEXIST");
    await refused(byKey.v2.xdc.apiv2sandbox.pay.orderquery.post(query), 200, "签名错误，请检查后再试");
  },
  async "a notification that is not as it must be is not taken, and the next one is"() {
    await keys({ public_key_percent: 50 });
    const byV3 = byKey.v3.pay.transactions.native;
    const byV2 = byKey.v2.pay.unifiedorder;
    for (const [wrong, api, asked] of [
      ["bad_signature", byV3, v3Order(100)],
      ["signature_probe", byV3, v3Order(100)],
      ["bad_signature", byV2, v2Order(types[0], 100)],
      ["bad_signature", byV2, v2Order(types[1], 100)],
      ["wrong_sign_type", byV2, v2Order(types[1], 100)],
      ["doctype", byV2, v2Order(types[1], 100)],
    ]) {
      await api.post(asked);
      const number = asked.out_trade_no;
      const before = refusing.length;
      await fault(wrong, { notice: "payment", mchid: ours.mchid });
      const transaction = await isPaid(number, 100);
      const [first] = await delivered(number, 1);
      assert.deepEqual([first.fault, first.taken, refusing.length], [wrong, false, before + 1]);
      await advance(15);
      assert.ok((await delivered(number, 2))[1].taken);
      assert.equal(heard.at(-1).transaction_id, transaction);
    }
  },
};

const ofTheGateway = {
  async "the gateway credits once what the library signs as WeChat Pay, and nothing that was altered"() {
    const far = JSON.parse(readFileSync(join(dirname(ready.config), "far-side", "wechat.json"), "utf8"));
    await fault("drop_notification", { all: true, notice: "payment", mchid: far.mchid });
    const made = await call(`${base}/topups`, { token: apiKey, body: { amount: "7.31" } });
    const notify = (await order(made.out_trade_no)).notify_url;
    const notification = (transaction_id, { key = far.platform_private_key_pem, ...other } = {}) => {
      const content = {
        mchid: far.mchid,
        appid: far.appid,
        out_trade_no: made.out_trade_no,
        transaction_id,
        trade_type: "NATIVE",
        trade_state: "SUCCESS",
        trade_state_desc: "支付成功",
        bank_type: "OTHERS",
        success_time: `${beijing().toISOString().slice(0, 19)}+08:00`,
        payer: { openid: OPENID },
        amount: { total: 731, payer_total: 731, currency: "CNY", payer_currency: "CNY" },
        ...other,
      };
      const [original_type, nonce] = ["transaction", Formatter.nonce(12)];
      const body = JSON.stringify({
        id: `EV-${next("node")}`,
        create_time: content.success_time,
        resource_type: "encrypt-resource",
        event_type: "TRANSACTION.SUCCESS",
        summary: "支付成功",
        resource: {
          original_type,
          algorithm: "AEAD_AES_256_GCM",
          ciphertext: Aes.AesGcm.encrypt(JSON.stringify(content), far.api_v3_key, nonce, original_type),
          associated_data: original_type,
          nonce,
        },
      });
      const [stamp, once] = [`${Formatter.timestamp()}`, Formatter.nonce()];
      const headers = {
        "content-type": "application/json",
        "wechatpay-timestamp": stamp,
        "wechatpay-nonce": once,
        "wechatpay-signature": Rsa.sign(Formatter.response(stamp, once, body), keyOf(key)),
        "wechatpay-serial": far.platform_key_id,
      };
      return { body, headers };
    };
    const says = async ({ body, headers }) => (await fetch(notify, { method: "POST", body, headers })).status;
    const status = async () => (await call(`${base}/topups/${made.id}`, { token: apiKey })).status;
    const early = notification("4200000000000000000000000001");
    const altered = [
      { ...early, body: early.body.replace("支付成功", "支付了") },
      { ...early, headers: { ...early.headers, "wechatpay-nonce": "another" } },
      notification("4200000000000000000000000001", { key: far.merchant_private_key_pem }),
    ];
    for (const one of altered) assert.equal(await says(one), 401);
    assert.equal(await status(), "pending");
    const { transaction_id } = await call(`${SIM}/orders/${made.out_trade_no}/pay`, { body: {} });
    const right = notification(transaction_id);
    const several = await Promise.all([right, right, right, notification(transaction_id)].map(says));
    assert.deepEqual(several, [200, 200, 200, 200]);
    assert.equal(await status(), "paid");
    const answer = await counted().fetch(`${base}/chat/completions`, {
      method: "POST",
      headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
      body: JSON.stringify({ model: "sim-fast", messages: [{ role: "user", content: "hello" }] }),
    });
    assert.equal(answer.status, 200, await answer.text());
    const { data } = await call(`${base}/credits`, { token: apiKey });
    assert.equal(fen(data.total_credits), fen(TOP_UP) + 731);
  },
};

/** The rows of a bill and its totals, each by the names of its columns. */
function bill(file) {
  const [head, ...rest] = file.toString().replace(/^\ufeff/, "").trimEnd().split("\r\n");
  const named = (names, line) => {
    const values = line.slice(1).split(",`");
    assert.equal(values.length, names.split(",").length, line);
    return Object.fromEntries(names.split(",").map((name, place) => [name, values[place]]));
  };
  const [totalHead, totals] = rest.slice(-2);
  return [rest.slice(0, -2).map((line) => named(head, line)), named(totalHead, totals)];
}

const sum = (rows, name) => rows.reduce((all, row) => all + fen(row[name]), 0);

const bills = {
  async "bills of both APIs are downloaded and sum to what was paid"() {
    const day = today();
    await advance(secondsToMidnight() + 10 * 3600 + 5);
    const paid = sums.filter((one) => one > 0).reduce((all, one) => all + one, 0);
    const back = -sums.filter((one) => one < 0).reduce((all, one) => all + one, 0);
    const files = [];
    for (const kind of ["tradebill", "fundflowbill"]) {
      const { data: link } = await byKey.v3.bill[kind].get({ params: { bill_date: day, tar_type: "GZIP" } });
      const token = new URL(link.download_url).searchParams.get("token");
      const got = await byKey.v3.billdownload.file.get({ params: { token }, responseType: "arraybuffer" });
      const file = gunzipSync(got.data);
      assert.equal(createHash("sha1").update(file).digest("hex"), link.hash_value);
      files.push(file);
    }
    const raw = { responseType: "arraybuffer", transformResponse: [(data) => data] };
    const bill_date = day.replaceAll("-", "");
    const asked = { ...v2Common(Hash.ALGO_HMAC_SHA256), bill_date };
    files.push((await byKey.v2.pay.downloadbill.post({ ...asked, bill_type: "ALL" }, raw)).data);
    const certified = { ...raw, security: true };
    const flow = await byKey.v2.pay.downloadfundflow.post({ ...asked, account_type: "Basic" }, certified);
    assert.equal(flow.headers.digest, `SHA=${createHash("sha1").update(flow.data).digest("hex")}`);
    files.push(flow.data);
    for (const file of files) {
      const [rows, totals] = bill(file);
      if ("总交易单数" in totals) {
        assert.deepEqual([sum(rows, "订单金额"), sum(rows, "申请退款金额")], [paid, back]);
        assert.deepEqual([fen(totals["订单总金额"]), fen(totals["申请退款总金额"])], [paid, back]);
        assert.equal(rows.length, sums.length);
      } else {
        const of = (name, value) => sum(rows.filter((row) => row[name] === value), "收支金额(元)");
        assert.deepEqual([of("业务类型", "交易"), of("业务类型", "退款")], [paid, back]);
        for (const side of ["收入", "支出"]) assert.equal(of("收支类型", side), fen(totals[`${side}金额`]));
      }
    }
    await refused(byKey.v3.bill.tradebill.get({ params: { bill_date: "2001-01-01" } }), 400, "PARAM_ERROR");
    const long_ago = { ...asked, bill_date: "20010101", bill_type: "ALL" };
    await refused(byKey.v2.pay.downloadbill.post(long_ago), 200, "data format error");
  },
};

const all = { ...checks, ...(gateway ? ofTheGateway : {}), ...bills };
await run("wechatpay-axios-plugin", version("wechatpay-axios-plugin"), all);
