"""Is the simulated WeChat Pay one to a client of API v2 that others wrote, and does the gateway believe signatures?

`journey_wechatpy.py READY_FILE`, beside a running `tollgate demo --wechat-api v2` or `tollgate sim --tls-listen`.
`wechatpy` signs orders with MD5 or with HMAC-SHA256, and everything else but the fund-flow bill with MD5. By itself it
does not look at the signatures on answers, so that is done here, with its own means.
"""

import base64
import hashlib
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from urllib.error import HTTPError

import wechatpy
import xmltodict
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from wechatpy.exceptions import InvalidSignatureException
from wechatpy.pay import WeChatPay, WeChatPayException
from wechatpy.pay.utils import calculate_signature, calculate_signature_hmac, dict_to_xml

import checks
import wechat
from checks import check, check_of_the_gateway, raised, run

MD5, HMAC = "MD5", "HMAC-SHA256"
NUMBERS, REFUNDS = wechat.numbers("v2"), wechat.numbers("v2-refund")
OURS = wechat.merchant()
# What the orders came to, and as less than nothing the refunds.
SUMS = []
TAKEN = b"<xml><return_code><![CDATA[SUCCESS]]></return_code><return_msg><![CDATA[OK]]></return_msg></xml>"
NOT_TAKEN = TAKEN.replace(b"SUCCESS", b"FAIL").replace(b"OK", b"no")


class Client(WeChatPay):
    API_BASE_URL = wechat.HOST + "/wechat/"


def client(**other):
    settings = {"appid": OURS.appid, "api_key": OURS.api_v2_key, "mch_id": OURS.mchid}
    return Client(**settings | other)


def kept(pem):
    with tempfile.NamedTemporaryFile("w", suffix=".pem", delete=False) as file:
        file.write(pem)
    return file.name


CERTIFICATE = {"mch_cert": kept(OURS.merchant_certificate_pem), "mch_key": kept(OURS.merchant_private_key_pem)}
PAY, WITHOUT_CERTIFICATE = client(**CERTIFICATE), client()
BY_HMAC = set()


def judge(_headers, body):
    """What the library says of a notification; which signature an order was made with, the merchant knows."""
    try:
        fields = xmltodict.parse(body)["xml"]
        if "req_info" in fields:
            notice = PAY.parse_refund_notify_result(body)
        elif fields["out_trade_no"] in BY_HMAC:
            assert fields.pop("sign") == calculate_signature_hmac(fields, OURS.api_v2_key)
            notice = fields
        else:
            notice = PAY.parse_payment_result(body)
    except Exception as error:
        return error, 200, NOT_TAKEN
    return notice, 200, TAKEN


TOLD = wechat.Told(judge)


def genuine(answer, sign_type=MD5):
    """An answer whose signature is the one that is expected."""
    fields = dict(answer)
    sign = fields.pop("sign")
    by = calculate_signature if sign_type == MD5 else calculate_signature_hmac
    assert sign == by(fields, OURS.api_v2_key), answer
    return answer


def refused(function, code=None, message=None):
    error = raised(WeChatPayException, function)
    assert error.errcode == code and (message is None or message in error.return_msg), error
    if code:
        genuine(xmltodict.parse(error.response.text)["xml"])
    return error


def makes(total=100, trade_type="NATIVE", number=None, sign_type=MD5, library=PAY, **more):
    number = number or next(NUMBERS)
    more = {"product_id": "top-up"} | more if trade_type == "NATIVE" else more
    if sign_type == HMAC:
        BY_HMAC.add(number)
        more["sign_type"] = HMAC
    at = wechat.beijing()
    answer = library.order.create(
        trade_type,
        "余额充值 & <more>",
        total,
        TOLD.url,
        client_ip="203.0.113.7",
        out_trade_no=number,
        # Unless told, the library goes by the clock of this machine, which is not the one that is moved.
        time_start=at,
        time_expire=at + timedelta(hours=2),
        **more,
    )
    assert genuine(answer, sign_type)["trade_type"] == trade_type, answer
    return number, answer


def is_paid(number, total=100):
    SUMS.append(total)
    return wechat.is_paid(number)


def pays(total=100, **more):
    number, _ = makes(total, **more)
    return number, is_paid(number, total)


@check
def native_is_made_paid_told_and_queried_by_both_numbers():
    for sign_type in [MD5, HMAC]:
        number, said = makes(888, sign_type=sign_type, attach="附加 ]] & <data>", device_info="till 7")
        assert said["code_url"].startswith("weixin://wxpay/bizpayurl?pr="), said
        assert genuine(PAY.order.query(out_trade_no=number))["trade_state"] == "NOTPAY"
        transaction = is_paid(number, 888)
        for found in [PAY.order.query(out_trade_no=number), PAY.order.query(transaction_id=transaction)]:
            assert (genuine(found)["trade_state"], found["total_fee"]) == ("SUCCESS", "888"), found
            assert (found["out_trade_no"], found["transaction_id"]) == (number, transaction), found
        assert wechat.delivered(number, 1)[0]["taken"]
        notice = TOLD.heard[-1]
        assert (notice["transaction_id"], int(notice["total_fee"])) == (transaction, 888), notice
        assert notice["attach"] == "附加 ]] & <data>", notice


@check
def jsapi_is_called_up_with_what_the_library_signs():
    number, said = makes(250, "JSAPI", user_id=wechat.OPENID)
    page = PAY.jsapi.get_jsapi_params(said["prepay_id"], timestamp=str(int(wechat.now())))
    assert wechat.is_called_up(page) == number
    SUMS.append(250)
    assert genuine(PAY.order.query(out_trade_no=number))["openid"] == wechat.OPENID
    # The page has to sign as the order was signed, and the library signs pages with MD5 only.
    _, said = makes(250, "JSAPI", user_id=wechat.OPENID, sign_type=HMAC)
    page = PAY.jsapi.get_jsapi_params(said["prepay_id"], timestamp=str(int(wechat.now())))
    error = raised(HTTPError, lambda: wechat.is_called_up(page))
    assert "signType" in error.read().decode(), error


@check
def h5_is_made_with_a_scene():
    scene = {"h5_info": {"type": "Wap", "wap_url": "https://example.test", "wap_name": "充值"}}
    for sign_type in [MD5, HMAC]:
        number, said = makes(300, "MWEB", scene_info=scene, sign_type=sign_type)
        assert "prepay_id=" in said["mweb_url"], said
        is_paid(number, 300)
        assert genuine(PAY.order.query(out_trade_no=number))["trade_type"] == "MWEB"


@check
def an_order_is_closed_when_it_is_five_minutes_old():
    number, _ = makes()
    refused(lambda: PAY.order.close(number), "TRADE_STATE_ERROR")
    wechat.advance(300)
    assert genuine(PAY.order.close(number))["result_msg"] == "OK"
    refused(lambda: PAY.order.close(number), "ORDERCLOSED")
    refused(lambda: makes(number=number), "ORDERCLOSED")
    assert genuine(PAY.order.query(out_trade_no=number))["trade_state"] == "CLOSED"


@check
def refunds_are_accepted_told_and_queried():
    for sign_type in [MD5, HMAC]:
        number, transaction = pays(1000, sign_type=sign_type)
        refund = next(REFUNDS)

        def asks(library=PAY, number=number, refund=refund):
            more = {"refund_desc": "退款", "notify_url": TOLD.url}
            return library.refund.apply(1000, 300, refund, out_trade_no=number, **more)

        if "tls_url" in checks.READY:
            error = raised(WeChatPayException, lambda: asks(WITHOUT_CERTIFICATE))
            assert "No required SSL certificate was sent" in error.response.text, error.response.text
        said = genuine(asks())
        SUMS.append(-300)
        assert (said["transaction_id"], said["refund_fee"]) == (transaction, "300"), said
        assert genuine(asks())["refund_id"] == said["refund_id"]
        wechat.delivered(number, 2)
        told = TOLD.heard[-1]
        assert (told["refund_status"], told["refund_fee"]) == ("SUCCESS", 300), told
        assert told["refund_id"] == said["refund_id"], told
        for one in [{"out_refund_no": refund}, {"refund_id": said["refund_id"]}, {"out_trade_no": number}]:
            found = genuine(PAY.refund.query(**one))
            assert (found["refund_status_0"], found["refund_fee_0"]) == ("SUCCESS", "300"), found
        assert genuine(PAY.order.query(out_trade_no=number))["trade_state"] == "REFUND"


@check
def what_is_wrong_is_said_with_its_code():
    number, _ = pays()
    another, _ = makes()

    def refund(total, amount):
        return PAY.refund.apply(total, amount, next(REFUNDS), out_trade_no=number)

    refused(lambda: PAY.order.query(out_trade_no="nobody-knows-it"), "ORDERNOTEXIST")
    refused(lambda: PAY.order.close("nobody-knows-it"), "ORDERNOTEXIST")
    refused(lambda: PAY.order.close(number), "ORDERPAID")
    refused(lambda: makes(number=number), "ORDERPAID")
    refused(lambda: makes(101, number=another), "INVALID_REQUEST")
    refused(lambda: makes("0"), "PARAM_ERROR")
    refused(lambda: makes(trade_type="JSAPI"), "LACK_PARAMS")
    refused(lambda: client(appid="wx0000000000000000").order.query(out_trade_no=number), "APPID_MCHID_NOT_MATCH")
    refused(lambda: refund(100, 101), "ERROR")
    refused(lambda: refund(101, 1), "REFUND_FEE_MISMATCH")
    refused(lambda: PAY.refund.query(out_refund_no="nobody-knows-it"), "REFUNDNOTEXIST")
    refused(lambda: PAY.tools.download_bill(wechat.beijing()), message="Bill Creating")


@check
def whoever_signs_with_another_key_is_nobody():
    stranger = client(api_key=wechat.merchant().api_v2_key)
    refused(lambda: stranger.order.query(out_trade_no="any"), message="签名错误")
    refused(lambda: makes(library=stranger), message="签名错误")


@check
def an_answer_with_a_wrong_signature_is_told_by_it():
    number, _ = makes()
    wechat.fault("bad_signature", op="query", mchid=OURS.mchid)
    assert not PAY.check_signature(PAY.order.query(out_trade_no=number))
    assert PAY.check_signature(PAY.order.query(out_trade_no=number))


@check
def a_notification_that_is_not_as_it_must_be_is_not_taken_and_the_next_one_is():
    wrongs = [("bad_signature", MD5), ("bad_signature", HMAC), ("wrong_sign_type", MD5), ("doctype", MD5)]
    for wrong, sign_type in wrongs:
        wechat.fault(wrong, notice="payment", mchid=OURS.mchid)
        number, transaction = pays(sign_type=sign_type)
        [first] = wechat.delivered(number, 1)
        assert first["fault"] == wrong and not first["taken"], first
        wechat.advance(15)
        assert wechat.delivered(number, 2)[1]["taken"]
        refused_one, taken = TOLD.heard[-2:]
        assert isinstance(refused_one, Exception) and taken["transaction_id"] == transaction, TOLD.heard[-2:]
    with_md5 = TOLD.heard[-1]
    raised(InvalidSignatureException, lambda: PAY.parse_payment_result(dict_to_xml({**with_md5, "total_fee": 1})))


@check
def a_refund_that_another_key_has_sealed_cannot_be_read_and_the_next_one_can():
    wechat.fault("bad_signature", notice="refund", mchid=OURS.mchid)
    number, _ = pays()
    said = PAY.refund.apply(100, 1, next(REFUNDS), out_trade_no=number, notify_url=TOLD.url)
    SUMS.append(-1)
    assert not wechat.delivered(number, 2)[1]["taken"]
    wechat.advance(15)
    assert wechat.delivered(number, 3)[2]["taken"]
    unread, read = TOLD.heard[-2:]
    assert isinstance(unread, Exception) and read["refund_id"] == said["refund_id"], TOLD.heard[-2:]


GATEWAYS = wechat.of_the_gateway() if checks.GATEWAY else None


def notification(order, sign_by=calculate_signature_hmac, key=None, **other):
    """What WeChat Pay would say of an order that was paid, written and signed by the library."""
    fields = {
        "return_code": "SUCCESS",
        "result_code": "SUCCESS",
        "appid": GATEWAYS.appid,
        "mch_id": GATEWAYS.mchid,
        "nonce_str": "a nonce of this journey",
        "openid": wechat.OPENID,
        "is_subscribe": "N",
        "trade_type": "NATIVE",
        "bank_type": "OTHERS",
        "total_fee": order["fen"],
        "fee_type": "CNY",
        "cash_fee": order["fen"],
        "transaction_id": order["transaction_id"] or "4200000000000000000000000001",
        "out_trade_no": order["out_trade_no"],
        "time_end": wechat.beijing().strftime("%Y%m%d%H%M%S"),
        **other,
    }
    return dict_to_xml(fields, sign_by(fields, key or GATEWAYS.api_v2_key)).encode()


def told_of(order, *bodies):
    """What the gateway answers to each, all at once: whether it took it."""
    with ThreadPoolExecutor(5) as several:
        sent = [several.submit(wechat.posted, order["url"], body, {"content-type": "text/xml"}) for body in bodies]
        answers = [one.result() for one in sent]
    # Where it is not even XML that is refused, the status says so.
    return [status == 200 and xmltodict.parse(reply)["xml"]["return_code"] == "SUCCESS" for status, reply in answers]


@check_of_the_gateway
def the_gateway_refuses_what_was_altered_and_credits_the_rest_once():
    order = wechat.topped_up(731)
    right = notification(order)
    wrong = [
        right.replace(b"731", b"73100"),
        right.replace(b"<xml>", b'<!DOCTYPE xml [<!ENTITY x "y">]><xml>'),
        right.replace(b"</xml>", b"<total_fee>731</total_fee></xml>"),
        right.replace(b"</xml>", b"<coupon_fee>1</coupon_fee></xml>"),
        right[: right.index(b"<sign>")] + b"</xml>",
        notification(order, key=GATEWAYS.api_v3_key),
        # The order was made with the other one.
        notification(order, sign_by=calculate_signature),
        notification({**order, "out_trade_no": "01NOBODYKNOWSIT"}),
    ]
    assert told_of(order, *wrong) == [False] * len(wrong)
    assert wechat.topup(order)["status"] == "pending", wechat.topup(order)
    order["transaction_id"] = wechat.is_paid(order["out_trade_no"])
    same = notification(order)
    # Several senders at once tell the same, and later it is signed anew.
    assert told_of(order, *[same] * 5) + told_of(order, notification(order, nonce_str="another")) == [True] * 6
    assert wechat.topup(order)["status"] == "paid", wechat.topup(order)


@check_of_the_gateway
def the_gateway_puts_aside_what_does_not_fit_its_order():
    order = wechat.topped_up(100, credited=False)
    others = [{"total_fee": 100_000}, {"fee_type": "USD"}, {"mch_id": "1900000001"}, {"appid": OURS.appid}]
    for other in others:
        assert told_of(order, notification(order, **other)) == [False], other
    assert wechat.topup(order)["status"] == "review", wechat.topup(order)


def refund_notification(refund, status="SUCCESS", key=None, **other):
    """What WeChat Pay would say of a refund that has ended, which nobody signs: sealed with nothing of ours."""
    inside = {
        "transaction_id": refund["transaction_id"],
        "out_trade_no": refund["out_trade_no"],
        "refund_id": refund["refund_id"],
        "out_refund_no": refund["out_refund_no"],
        "total_fee": refund["total"],
        "settlement_total_fee": refund["total"],
        "refund_fee": refund["refund"],
        "settlement_refund_fee": refund["refund"],
        "refund_status": status,
        "success_time": wechat.beijing().strftime("%Y-%m-%d %H:%M:%S"),
        "refund_recv_accout": "支付用户零钱",
        "refund_account": "REFUND_SOURCE_RECHARGE_FUNDS",
        "refund_request_source": "API",
        **other,
    }
    plain = dict_to_xml(inside).replace("xml>", "root>").encode()
    plain += bytes([16 - len(plain) % 16]) * (16 - len(plain) % 16)
    sealing = hashlib.md5((key or GATEWAYS.api_v2_key).encode()).hexdigest().encode()
    encryptor = Cipher(AES(sealing), ECB()).encryptor()
    envelope = {
        "return_code": "SUCCESS",
        "appid": GATEWAYS.appid,
        "mch_id": GATEWAYS.mchid,
        "nonce_str": "a nonce of this journey",
        "req_info": base64.b64encode(encryptor.update(plain) + encryptor.finalize()).decode(),
    }
    return dict_to_xml(envelope).encode()


@check_of_the_gateway
def the_gateway_ends_a_refund_by_what_wechat_pay_answers_only():
    order = wechat.topped_up(200)
    order["transaction_id"] = wechat.is_paid(order["out_trade_no"])
    assert told_of(order, notification(order)) == [True]
    refund = wechat.refunded(order, 50)
    assert told_of(refund, refund_notification(refund, key=GATEWAYS.api_v3_key)) == [False]
    # Whoever has the key can write what they like: that a refund which is under way was never made, say.
    for status in ["REFUNDCLOSE", "SUCCESS", "CHANGE"]:
        told_of(refund, refund_notification(refund, status, refund_fee=1))
        assert wechat.refund(refund) == "processing", (status, wechat.refund(refund))
    wechat.ends(refund)
    # What it says does not count even now.
    told = told_of(refund, *[refund_notification(refund, "REFUNDCLOSE")] * 3)
    assert told == [True] * 3, told
    assert wechat.refund(refund) == "success", wechat.refund(refund)


@check
def bills_are_downloaded_and_sum_to_what_was_paid():
    day = wechat.at_ten_the_next_morning()
    paid, back = sum(it for it in SUMS if it > 0), -sum(it for it in SUMS if it < 0)
    if "tls_url" in checks.READY:
        error = raised(WeChatPayException, lambda: WITHOUT_CERTIFICATE.tools.download_fundflow(day))
        assert "No required SSL certificate was sent" in error.response.text, error.response.text
    for file in [PAY.tools.download_bill(day), PAY.tools.download_fundflow(day)]:
        wechat.the_bill_says(file.encode(), len(SUMS), paid, back)
    refused(lambda: PAY.tools.download_bill("20010101"), message="data format error")


check_of_the_gateway(wechat.what_was_paid_is_what_was_credited)
try:
    run("wechatpy", wechatpy.__version__)
finally:
    for file in CERTIFICATE.values():
        os.remove(file)
