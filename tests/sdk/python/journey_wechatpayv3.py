"""Is the simulated WeChat Pay one to a client of API v3 that others wrote, and does the gateway believe signatures?

`journey_wechatpayv3.py READY_FILE`, beside a running `tollgate demo` or `tollgate sim`. A client of `wechatpayv3` knows
the public key of WeChat Pay, or its certificates only: whatever can be done in either way is done in both.
"""

import base64
import gzip
import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from types import SimpleNamespace

import wechatpayv3.core
import wechatpayv3.utils
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from wechatpayv3 import WeChatPay, WeChatPayType

import checks
import wechat
from checks import call, check, check_of_the_gateway, raised, run

NATIVE, JSAPI, MINI, H5 = WeChatPayType.NATIVE, WeChatPayType.JSAPI, WeChatPayType.MINIPROG, WeChatPayType.H5
NUMBERS, REFUNDS = wechat.numbers("v3"), wechat.numbers("v3-refund")


class Core(wechatpayv3.core.Core):
    """The library's own, which knows no other address than WeChat Pay's."""

    _gate_way = property(lambda self: wechat.HOST, lambda self, address: None)


wechatpayv3.core.Core = Core
# The library goes by the time at WeChat Pay, which this journey moves.
wechatpayv3.utils.time = SimpleNamespace(time=wechat.now)
wechatpayv3.core.datetime = SimpleNamespace(now=lambda zone: datetime.fromtimestamp(wechat.now(), zone))


class Way:
    """A merchant with a client of this library: one that knows the public key, or one that knows certificates only."""

    def __init__(self, by_certificates):
        self.merchant = wechat.merchant()
        self.by_certificates = by_certificates
        # What its orders came to, and as less than nothing its refunds.
        self.sums = []
        if by_certificates:
            # As long as there are none, such a client cannot be made at all.
            raised(Exception, self.client)
            self.keys(certificates="rotate", public_key_percent=0)
        self.library = self.client()
        self.told = wechat.Told(self.judge)

    def client(self, **other):
        ours = self.merchant
        known = {"public_key": ours.platform_public_key_pem, "public_key_id": ours.platform_key_id}
        settings = {
            "wechatpay_type": NATIVE,
            "mchid": ours.mchid,
            "private_key": ours.merchant_private_key_pem,
            "cert_serial_no": ours.merchant_serial,
            "appid": ours.appid,
            "apiv3_key": ours.api_v3_key,
        }
        return WeChatPay(**settings | ({} if self.by_certificates else known) | other)

    def keys(self, **change):
        return call(wechat.SIM + "/wechat/keys", {"mchid": self.merchant.mchid, **change})

    def judge(self, headers, body):
        try:
            notice = self.library.callback(headers, body)
        except Exception:
            notice = None
        return (notice, 204, b"") if notice else (None, 401, b'{"code": "FAIL", "message": "no"}')

    def asks(self, out_trade_no, total=100, pay_type=NATIVE, **more):
        return self.library.pay(
            description="余额充值 & <more>",
            out_trade_no=out_trade_no,
            amount={"total": total, "currency": "CNY"},
            notify_url=self.told.url,
            pay_type=pay_type,
            **more,
        )

    def makes(self, total=100, pay_type=NATIVE, **more):
        number = next(NUMBERS)
        return number, answered(self.asks(number, total, pay_type, **more))

    def is_paid(self, number, total=100):
        self.sums.append(total)
        return wechat.is_paid(number)

    def pays(self, total=100):
        number, _ = self.makes(total)
        return number, self.is_paid(number, total)


BY_KEY, BY_CERTIFICATES = Way(by_certificates=False), Way(by_certificates=True)
WAYS = [BY_KEY, BY_CERTIFICATES]


def answered(answer, status=200):
    code, said = answer
    assert code == status, f"{code}: {said}"
    return json.loads(said) if said else None


def refused(answer, status, code):
    said = answered(answer, status)
    assert said["code"] == code and said["message"], said


@check
def native_is_made_paid_told_and_queried_by_both_numbers():
    for way in WAYS:
        number, said = way.makes(888, attach="附加 data")
        assert said["code_url"].startswith("weixin://wxpay/bizpayurl?pr="), said
        assert answered(way.library.query(out_trade_no=number))["trade_state"] == "NOTPAY"
        transaction = way.is_paid(number, 888)
        by_both = [way.library.query(out_trade_no=number), way.library.query(transaction_id=transaction)]
        first, second = map(answered, by_both)
        assert first == second and first["trade_state"] == "SUCCESS" and first["amount"]["total"] == 888, first
        assert wechat.delivered(number, 1)[0]["taken"]
        notice = way.told.heard[-1]
        assert notice["event_type"] == "TRANSACTION.SUCCESS" and notice["resource"] == first, notice


@check
def jsapi_and_mini_programs_are_called_up_with_what_the_library_signs():
    for way in WAYS:
        ours = way.merchant
        for pay_type, appid in [(JSAPI, ours.appid), (MINI, ours.mini_program_appid)]:
            number, said = way.makes(250, pay_type, appid=appid, payer={"openid": wechat.OPENID})
            stamp, nonce, package = str(int(wechat.now())), "a nonce of this page", f"prepay_id={said['prepay_id']}"
            page = {"appId": appid, "timeStamp": stamp, "nonceStr": nonce, "package": package, "signType": "RSA"}
            page["paySign"] = way.library.sign([appid, stamp, nonce, package])
            assert wechat.is_called_up(page) == number
            way.sums.append(250)
            found = answered(way.library.query(out_trade_no=number))
            assert (found["trade_type"], found["payer"]) == ("JSAPI", {"openid": wechat.OPENID}), found


@check
def h5_is_made_with_a_scene():
    for way in WAYS:
        scene = {"payer_client_ip": "203.0.113.7", "device_id": "till 7", "h5_info": {"type": "Wap"}}
        number, said = way.makes(300, H5, scene_info=scene, time_expire="2099-01-01T00:00:00+08:00")
        assert "prepay_id=" in said["h5_url"], said
        way.is_paid(number, 300)
        assert answered(way.library.query(out_trade_no=number))["trade_type"] == "MWEB"


@check
def closing_is_answered_by_nothing_and_that_is_signed():
    for way in WAYS:
        number, _ = way.makes()
        assert answered(way.library.close(number), 204) is None
        assert answered(way.library.close(number), 204) is None
        assert answered(way.library.query(out_trade_no=number))["trade_state"] == "CLOSED"
        refused(way.asks(number), 400, "ORDER_CLOSED")


@check
def refunds_are_accepted_told_and_queried():
    for way in WAYS:
        number, transaction = way.pays(1000)
        refund = next(REFUNDS)
        asked = {
            "out_refund_no": refund,
            "amount": {"refund": 300, "total": 1000, "currency": "CNY"},
            "reason": "退款",
            "notify_url": way.told.url,
        }
        said = answered(way.library.refund(transaction_id=transaction, **asked))
        way.sums.append(-300)
        assert said["status"] == "PROCESSING" and said["amount"]["refund"] == 300, said
        again = answered(way.library.refund(transaction_id=transaction, **asked))
        assert again["refund_id"] == said["refund_id"], again
        wechat.delivered(number, 2)
        told = way.told.heard[-1]
        assert told["event_type"] == "REFUND.SUCCESS", told
        assert told["resource"]["refund_status"] == "SUCCESS" and told["resource"]["refund_id"] == said["refund_id"]
        found = answered(way.library.query_refund(refund))
        assert found["status"] == "SUCCESS" and found["success_time"] == told["resource"]["success_time"], found
        assert answered(way.library.query(out_trade_no=number))["trade_state"] == "REFUND"


@check
def what_is_wrong_is_said_with_its_code():
    for way in WAYS:
        library = way.library
        number, _ = way.pays()
        another, _ = way.makes()
        too_much = {"refund": 101, "total": 100, "currency": "CNY"}
        other_total = {"refund": 1, "total": 101, "currency": "CNY"}
        refused(library.query(out_trade_no="nobody-knows-it"), 404, "ORDER_NOT_EXIST")
        refused(library.close("nobody-knows-it"), 404, "ORDER_NOT_EXIST")
        refused(library.close(number), 400, "ORDERPAID")
        refused(way.asks(number), 400, "ORDERPAID")
        refused(way.asks(another, 101), 400, "INVALID_REQUEST")
        refused(way.asks(next(NUMBERS), 0), 400, "PARAM_ERROR")
        refused(way.asks(next(NUMBERS), attach="four bytes 😀"), 400, "PARAM_ERROR")
        refused(way.asks(next(NUMBERS), settle_info={"nobody": "knows it"}), 400, "PARAM_ERROR")
        refused(way.asks(next(NUMBERS), appid="wx0000000000000000"), 400, "APPID_MCHID_NOT_MATCH")
        refused(library.refund(next(REFUNDS), too_much, out_trade_no=number), 400, "INVALID_REQUEST")
        refused(library.refund(next(REFUNDS), other_total, out_trade_no=number), 400, "INVALID_REQUEST")
        refused(library.query_refund("nobody-knows-it"), 404, "RESOURCE_NOT_EXISTS")
        refused(library.trade_bill(str(wechat.beijing().date())), 400, "STATEMENT_CREATING")
        refused(library.trade_bill("2001-01-01"), 400, "PARAM_ERROR")


@check
def whoever_signs_with_another_key_is_nobody():
    stranger = BY_CERTIFICATES.merchant
    for other in [{"private_key": stranger.merchant_private_key_pem}, {"cert_serial_no": stranger.merchant_serial}]:
        refused(BY_KEY.client(**other).query(out_trade_no="any"), 401, "SIGN_ERROR")


@check
def an_answer_with_a_wrong_signature_is_not_taken():
    for way in WAYS:
        number, _ = way.makes()
        for wrong in ["bad_signature", "signature_probe"]:
            wechat.fault(wrong, op="query", mchid=way.merchant.mchid)
            error = raised(Exception, lambda: way.library.query(out_trade_no=number))
            assert "verify the signature" in str(error), error
        answered(way.library.query(out_trade_no=number))


@check
def a_notification_with_a_wrong_signature_is_not_taken_and_the_next_one_is():
    for way in WAYS:
        for wrong in ["bad_signature", "signature_probe"]:
            wechat.fault(wrong, notice="payment", mchid=way.merchant.mchid)
            number, transaction = way.pays()
            [first] = wechat.delivered(number, 1)
            assert (first["fault"], first["status"], first["taken"]) == (wrong, 401, False), first
            wechat.advance(15)
            assert wechat.delivered(number, 2)[1]["taken"]
            refused_one, taken = way.told.heard[-2:]
            assert refused_one is None and taken["resource"]["transaction_id"] == transaction, way.told.heard[-2:]


@check
def certificates_change_while_a_client_runs():
    way = BY_CERTIFICATES
    before, after = way.keys()["in_use"], way.keys(certificates="rotate")["in_use"]
    assert before != after
    number, _ = way.makes()
    way.keys(certificates="retire")
    way.is_paid(number)
    assert wechat.delivered(number, 1)[0]["taken"]
    listed = answered(way.library._core.request("/v3/certificates"))["data"]
    assert [one["serial_no"] for one in listed] == [after], listed


@check
def a_client_with_the_public_key_hears_certificates_too():
    # As it is while a merchant changes over from one to the other.
    BY_KEY.keys(certificates="rotate", public_key_percent=0)
    number, _ = BY_KEY.pays()
    assert wechat.delivered(number, 1)[0]["taken"]


GATEWAYS = wechat.of_the_gateway() if checks.GATEWAY else None


def notification(order, **other):
    """What WeChat Pay would say of an order that was paid."""
    transaction = {
        "mchid": GATEWAYS.mchid,
        "appid": GATEWAYS.appid,
        "out_trade_no": order["out_trade_no"],
        "transaction_id": order["transaction_id"] or "4200000000000000000000000001",
        "trade_type": "NATIVE",
        "trade_state": "SUCCESS",
        "trade_state_desc": "支付成功",
        "bank_type": "OTHERS",
        "success_time": wechat.beijing().isoformat("T", "seconds"),
        "payer": {"openid": wechat.OPENID},
        "amount": {"total": order["fen"], "payer_total": order["fen"], "currency": "CNY", "payer_currency": "CNY"},
    }
    return sealed("TRANSACTION.SUCCESS", "transaction", transaction, **other)


def refund_notification(refund, status="SUCCESS", **other):
    """What WeChat Pay would say of a refund that has ended."""
    amount = {"total": refund["total"], "refund": refund["refund"]}
    content = {
        "mchid": GATEWAYS.mchid,
        "transaction_id": refund["transaction_id"],
        "out_trade_no": refund["out_trade_no"],
        "refund_id": refund["refund_id"],
        "out_refund_no": refund["out_refund_no"],
        "refund_status": status,
        "success_time": wechat.beijing().isoformat("T", "seconds"),
        "user_received_account": "支付用户零钱",
        "amount": {**amount, "payer_total": refund["total"], "payer_refund": refund["refund"]},
    }
    return sealed(f"REFUND.{status}", "refund", content, **other)


def sealed(event_type, about, content, signed_with=None, at=0, **other):
    """A notification as WeChat Pay writes one, made with nothing of ours."""
    once = "0123456789ab"
    sealing = AESGCM(GATEWAYS.api_v3_key.encode())
    ciphertext = sealing.encrypt(once.encode(), json.dumps({**content, **other}).encode(), about.encode())
    envelope = {
        "id": f"EV-{next(NUMBERS)}",
        "create_time": wechat.beijing().isoformat("T", "seconds"),
        "resource_type": "encrypt-resource",
        "event_type": event_type,
        "summary": "支付成功",
        "resource": {
            "original_type": about,
            "algorithm": "AEAD_AES_256_GCM",
            "ciphertext": base64.b64encode(ciphertext).decode(),
            "associated_data": about,
            "nonce": once,
        },
    }
    body = json.dumps(envelope, ensure_ascii=False).encode()
    stamp, nonce = str(int(wechat.now()) + at), "a nonce of this journey"
    key = load_pem_private_key((signed_with or GATEWAYS.platform_private_key_pem).encode(), None)
    signature = key.sign(f"{stamp}\n{nonce}\n".encode() + body + b"\n", PKCS1v15(), SHA256())
    return body, {
        "content-type": "application/json",
        "wechatpay-timestamp": stamp,
        "wechatpay-nonce": nonce,
        "wechatpay-signature": base64.b64encode(signature).decode(),
        "wechatpay-serial": GATEWAYS.platform_key_id,
        "wechatpay-signature-type": "WECHATPAY2-SHA256-RSA2048",
    }


def told_of(order, *notifications):
    """What the gateway answers to each, asked for the same order at once."""
    with ThreadPoolExecutor(5) as several:
        return [told.result() for told in [several.submit(wechat.posted, order["url"], *it) for it in notifications]]


@check_of_the_gateway
def the_gateway_refuses_what_was_altered_and_credits_the_rest_once():
    order = wechat.topped_up(731)
    body, headers = notification(order)
    signature = headers["wechatpay-signature"]
    flipped = ("B" if signature[0] == "A" else "A") + signature[1:]
    wrong = [
        (body.replace("支付".encode(), "支 付".encode()), headers),
        (body + b"\n", headers),
        (body, {**headers, "wechatpay-signature": flipped}),
        (body, {**headers, "wechatpay-signature": "WECHATPAY/SIGNTEST/" + signature}),
        (body, {**headers, "wechatpay-nonce": "another nonce"}),
        (body, {**headers, "wechatpay-serial": "PUB_KEY_ID_0000000000000000000000000000000"}),
        (body, {name: value for name, value in headers.items() if name != "wechatpay-signature"}),
        notification(order, signed_with=GATEWAYS.merchant_private_key_pem),
        notification(order, at=-400),
        notification(order, at=400),
        notification({**order, "out_trade_no": "01NOBODYKNOWSIT"}),
    ]
    for status, reply in told_of(order, *wrong):
        assert 400 <= status < 500 and json.loads(reply)["code"] == "FAIL", (status, reply)
    assert wechat.topup(order)["status"] == "pending", wechat.topup(order)
    order["transaction_id"] = wechat.is_paid(order["out_trade_no"])
    same = notification(order)
    # Several senders at once tell the same, and later it is signed anew.
    told = told_of(order, *[same] * 5) + told_of(order, notification(order))
    assert [status for status, _ in told] == [200] * 6, told
    assert wechat.topup(order)["status"] == "paid", wechat.topup(order)


@check_of_the_gateway
def the_gateway_puts_aside_what_does_not_fit_its_order():
    order = wechat.topped_up(100, credited=False)
    for other in [
        {"amount": {"total": 100_000, "currency": "CNY"}},
        {"amount": {"total": 100, "currency": "USD"}},
        {"mchid": "1900000001"},
        {"appid": BY_KEY.merchant.appid},
    ]:
        [(status, reply)] = told_of(order, notification(order, **other))
        assert status >= 400 and json.loads(reply)["code"] == "FAIL", (status, reply)
    assert wechat.topup(order)["status"] == "review", wechat.topup(order)


@check_of_the_gateway
def the_gateway_ends_a_refund_by_what_is_signed_only():
    order = wechat.topped_up(200)
    order["transaction_id"] = wechat.is_paid(order["out_trade_no"])
    assert told_of(order, notification(order)) [0][0] == 200
    refund = wechat.refunded(order, 50)
    body, headers = refund_notification(refund)
    wrong = [
        (body.replace("支付".encode(), "退款".encode()), headers),
        refund_notification(refund, signed_with=GATEWAYS.merchant_private_key_pem),
        refund_notification(refund, status="CLOSED", at=-400),
        refund_notification(refund, mchid="1900000001"),
        refund_notification(refund, amount={"total": refund["total"], "refund": 1}),
        refund_notification({**refund, "out_refund_no": "01NOBODYKNOWSIT"}),
    ]
    for status, reply in told_of(refund, *wrong):
        assert 400 <= status < 500 and json.loads(reply)["code"] == "FAIL", (status, reply)
    assert wechat.refund(refund) == "processing"
    wechat.ends(refund)
    same = refund_notification(refund)
    told = told_of(refund, *[same] * 5) + told_of(refund, refund_notification(refund))
    assert [status for status, _ in told] == [200] * 6, told
    assert wechat.refund(refund) == "success", wechat.refund(refund)


@check
def bills_are_downloaded_and_sum_to_what_was_paid():
    day = str(wechat.at_ten_the_next_morning().date())
    for way in WAYS:
        paid = sum(amount for amount in way.sums if amount > 0)
        back = -sum(amount for amount in way.sums if amount < 0)
        for asked in [way.library.trade_bill(day), way.library.fundflow_bill(day)]:
            link = answered(asked)
            code, file = way.library.download_bill(link["download_url"])
            assert code == 200, file
            file = gzip.decompress(file)
            assert (link["hash_type"], link["hash_value"]) == ("SHA1", hashlib.sha1(file).hexdigest()), link
            wechat.the_bill_says(file, len(way.sums), paid, back)
        refused(way.library.download_bill("/v3/billdownload/file?token=none"), 404, "RESOURCE_NOT_EXISTS")


check_of_the_gateway(wechat.what_was_paid_is_what_was_credited)
run("wechatpayv3", wechatpayv3.__version__)
