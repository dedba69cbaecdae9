//! API v2, laid against its recordings.

use std::{
    collections::BTreeSet,
    sync::{Arc, LazyLock},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Request, Response};
use payments::channel::{
    Accepted, ChannelError, NewOrder, NewRefund, Notice, Prepaid, RefundReport, RefundState, Trade,
    TradeState, VerifyError, Way,
    wechat::{
        BillRows, FundAccount,
        v2::{
            ApiV2Key, Channel, Fields, HintError, NoticeRefused, RefundHint, SUCCESS_REPLY, SignType, Signed,
            Terms, Transports, XmlError, call_up, failure, refund_hint, sign, verify, xml,
        },
    },
};
use proptest::prelude::*;
use serde_json::Value;
use units::{Fen, Timestamp};

use super::{
    APPID, FarSide, MCHID, NOW, Stopped,
    mutations::{changed, changes},
    name, text, vectors,
};

const API_V2_KEY: &str = "test0v2key0for0vectors0only00001";
const HOST: &str = "https://api.mch.weixin.qq.com";

// ---- what the tests stand on ----

fn key(text: &str) -> ApiV2Key {
    ApiV2Key::new(text.to_owned()).unwrap()
}

fn fields(value: &Value) -> Fields {
    value.as_object().unwrap().iter().map(|(name, value)| (name.as_str(), text(value))).collect()
}

fn sign_type(value: &Value) -> SignType {
    SignType::from_name(text(value)).unwrap()
}

fn terms(sign_type: SignType) -> Terms {
    Terms { appid: APPID.to_owned(), sign_type }
}

fn channel(far_side: &Arc<FarSide>, base_url: &str) -> Channel {
    let transports = Transports { plain: far_side.clone(), with_certificate: Some(far_side.clone()) };
    Channel::new(base_url, MCHID.to_owned(), key(API_V2_KEY), transports, Arc::new(Stopped(NOW)))
}

fn answering(body: &str) -> Arc<FarSide> {
    FarSide::new(Response::new(Bytes::from(body.to_owned())))
}

/// An answer of the far side's own making, signed.
fn signed_answer(sign_type: SignType, more: &[(&str, &str)]) -> String {
    let mut answer = Fields::from_iter([
        ("return_code", "SUCCESS"),
        ("result_code", "SUCCESS"),
        ("appid", APPID),
        ("mch_id", MCHID),
        ("nonce_str", "n"),
    ]);
    more.iter().for_each(|(name, value)| answer.set(*name, *value));
    answer.set("sign", sign(sign_type, &answer, &key(API_V2_KEY)));
    xml::write(&answer, "xml").unwrap()
}

/// The one request that came, and its elements, after checking who signed it.
fn asked(far_side: &FarSide) -> (Request<Bytes>, Fields) {
    let request = far_side.asked();
    let fields = xml::read(request.body(), "xml").unwrap();
    let sign_type = fields.get("sign_type").map_or(SignType::Md5, |name| SignType::from_name(name).unwrap());
    assert!(verify(sign_type, &fields, &key(API_V2_KEY), fields.get("sign").unwrap()), "{fields:?}");
    assert_eq!((fields.get("mch_id"), fields.get("nonce_str").unwrap().len()), (Some(MCHID), 32));
    (request, fields)
}

fn order(way: Way) -> NewOrder {
    NewOrder {
        description: "充值 88 元 & 更多".to_owned(),
        way,
        client_ip: Some("203.0.113.7".to_owned()),
        ..super::order("https://pay.example.test:8443/wechat/v2/notify")
    }
}

fn in_app() -> Way {
    Way::InApp { openid: "oTESTuMuAJO_M2pxb1Q9zNjWeS6o".to_owned() }
}

fn refund() -> NewRefund {
    super::refund("https://pay.example.test/wechat/v2/refund")
}

// ---- one test per file ----

#[test]
fn messages_are_signed_as_recorded() {
    for vector in vectors("v2_sign.json") {
        let (inputs, expected) = (&vector["inputs"], &vector["expected"]);
        let (params, key_text) = (fields(&inputs["params"]), text(&inputs["key"]));
        let sign_type = sign_type(&inputs["sign_type"]);
        let signed = sign(sign_type, &params, &key(key_text));
        assert_eq!(signed, text(&expected["sign"]), "{}", name(&vector));

        let believed =
            |sign_type, key_text, signature: &str| verify(sign_type, &params, &key(key_text), signature);
        assert!(believed(sign_type, key_text, &signed), "{}", name(&vector));
        assert!(!believed(sign_type, key_text, &signed[1..]), "{}: cut short", name(&vector));
        assert!(!believed(sign_type, key_text, &signed.to_lowercase()), "{}: lower case", name(&vector));
        assert!(
            !believed(sign_type, "another0key0of0thirty0two0chars0", &signed),
            "{}: another key",
            name(&vector)
        );
        for other in [SignType::Md5, SignType::HmacSha256].into_iter().filter(|other| *other != sign_type) {
            assert!(!believed(other, key_text, &signed), "{}: as {other}", name(&vector));
        }
    }
}

#[test]
fn pages_call_up_the_payment_as_recorded() {
    for vector in vectors("v2_paysign.json") {
        let (inputs, expected) = (&vector["inputs"], &vector["expected"]);
        let params = fields(&inputs["params"]);
        let (sign_type, key) = (sign_type(&inputs["sign_type"]), key(text(&inputs["key"])));
        let signed = sign(sign_type, &params, &key);
        if name(&vector) == "app_md5" {
            assert_eq!(signed, text(&expected["sign"]), "{}", name(&vector));
            continue;
        }
        assert_eq!(signed, text(&expected["paySign"]), "{}", name(&vector));
        let said = |name| params.get(name).unwrap();
        let prepay_id = said("package").strip_prefix("prepay_id=").unwrap();
        let terms = Terms { appid: said("appId").to_owned(), sign_type };
        let timestamp = said("timeStamp").parse().unwrap();
        let call = call_up(&terms, prepay_id, timestamp, said("nonceStr").to_owned(), &key);
        assert_eq!(call.pay_sign, text(&expected["paySign"]), "{}", name(&vector));
        let called = [&*call.timestamp, &call.nonce, &call.package, call.sign_type];
        assert_eq!(called, ["timeStamp", "nonceStr", "package", "signType"].map(said), "{}", name(&vector));
    }
}

#[test]
fn refund_notices_are_opened_as_recorded() {
    let channel = channel(&answering(""), HOST);
    for vector in vectors("v2_refund_req_info.json") {
        let (inputs, expected) = (&vector["inputs"], &vector["expected"]);
        assert_eq!(inputs["api_key"], API_V2_KEY);
        let seen = channel.read_refund_notice(text(&inputs["body"]).as_bytes());
        let plaintext = || refund_hint::decrypt(&key(API_V2_KEY), text(&inputs["req_info"])).unwrap();
        match text(&expected["result"]) {
            "ok" => {
                assert_eq!(plaintext(), text(&expected["plaintext"]).as_bytes(), "{}", name(&vector));
                let inner = xml::read(&plaintext(), "root").unwrap();
                for (element, value) in expected["fields"].as_object().unwrap() {
                    assert_eq!(inner.get(element), value.as_str(), "{}: {element}", name(&vector));
                }
                let said = |name| inner.get(name).unwrap().to_owned();
                let hint = RefundHint {
                    out_refund_no: said("out_refund_no"),
                    refund_id: said("refund_id"),
                    transaction_id: said("transaction_id"),
                    out_trade_no: said("out_trade_no"),
                };
                assert_eq!(seen, Ok(hint), "{}", name(&vector));
            }
            // That it decrypts is the point: nothing but the number of a refund is ever taken from it.
            "decrypts_but_untrusted" => {
                assert_eq!(plaintext(), text(&expected["plaintext"]).as_bytes(), "{}", name(&vector));
                assert!(matches!(seen, Err(NoticeRefused::Malformed(_))), "{}: {seen:?}", name(&vector));
            }
            _ => {
                let refused = seen.expect_err(name(&vector));
                let as_recorded = match (text(&expected["error"]), &refused) {
                    ("bad_base64", NoticeRefused::Hint(HintError::Base64))
                    | ("bad_length", NoticeRefused::Hint(HintError::Length))
                    | ("bad_padding" | "bad_padding_or_not_xml", NoticeRefused::Hint(HintError::Padding))
                    | ("bad_padding_or_not_xml", NoticeRefused::Xml(XmlError::Malformed(_)))
                    | ("doctype_forbidden", NoticeRefused::Xml(XmlError::Doctype))
                    | ("return_code_fail", NoticeRefused::ReturnCode) => true,
                    ("missing_field", NoticeRefused::Malformed(what)) => {
                        *what == format!("{} is missing", text(&expected["field"]))
                    }
                    _ => false,
                };
                assert!(as_recorded, "{}: expected {expected}, seen {refused:?}", name(&vector));
            }
        }
    }
}

/// Whether a notice is refused, which values it hands on and what is replied. What becomes of the order is decided
/// elsewhere, from these values: here they are compared with the recorded order, to see that a difference shows.
#[test]
fn notices_are_read_and_answered_as_recorded() {
    let channel = channel(&answering(""), HOST);
    for vector in vectors("v2_notify.json") {
        let (inputs, expected) = (&vector["inputs"], &vector["expected"]);
        assert_eq!(inputs["api_key"], API_V2_KEY);
        let body = match inputs["body_base64"].as_str() {
            Some(base64) => STANDARD.decode(base64).unwrap(),
            None => text(&inputs["body"]).as_bytes().to_vec(),
        };
        let (reason, told) = match channel.read_notice(&body) {
            Err(refused) => (refusal(&refused), Some(refused.told())),
            Ok(signed) => laid_against_order(&signed, &inputs["local_order"]),
        };
        assert_eq!(reason, text(&expected["reason"]), "{}", name(&vector));
        let reply = told.map_or(SUCCESS_REPLY.to_owned(), failure);
        assert_eq!(reply, text(&expected["reply_body"]), "{}", name(&vector));
        assert_eq!(expected["reply_status"], 200);

        let said = expected["fields"].as_object().into_iter().flatten();
        for (element, value) in said {
            let read = xml::read(&body, "xml").unwrap();
            assert_eq!(read.get(element), value.as_str(), "{}: {element}", name(&vector));
        }
    }
}

fn refusal(refused: &NoticeRefused) -> &'static str {
    match refused {
        NoticeRefused::Xml(XmlError::Doctype) => "doctype_forbidden",
        NoticeRefused::Xml(XmlError::Duplicate(_)) => "duplicate_element",
        NoticeRefused::Xml(XmlError::Malformed(_)) => "bad_xml",
        NoticeRefused::BadSignature => "sign_mismatch",
        other @ (NoticeRefused::MissingSign
        | NoticeRefused::WrongSignType
        | NoticeRefused::ReturnCode
        | NoticeRefused::BadAmount) => other.reason(),
        other => panic!("{other:?}"),
    }
}

/// The recorded reason, and what the sender is told unless it is success.
fn laid_against_order(signed: &Signed, order: &Value) -> (&'static str, Option<&'static str>) {
    let Notice::Paid { event_id, trade } = &signed.notice else { panic!("{signed:?}") };
    let same = |seen: &str, member: &str| order[member] == seen;
    if order["sign_type"] != signed.sign_type.as_str() {
        let refused = NoticeRefused::WrongSignType;
        return (refused.reason(), Some(refused.told()));
    }
    if trade.state != TradeState::Success {
        return ("result_code_fail", None);
    }
    let transaction = trade.transaction_id.as_deref().unwrap();
    assert_eq!(*event_id, format!("v2:{}:{transaction}", trade.mchid));
    if !same(&trade.out_trade_no, "out_trade_no") {
        ("unknown_order", Some("order not found"))
    } else if !same(&trade.mchid, "mch_id") {
        ("mch_id_mismatch", Some("mch_id mismatch"))
    } else if !same(&trade.appid, "appid") {
        ("appid_mismatch", Some("appid mismatch"))
    } else if trade.total.map(Fen::get) != order["total_fee"].as_i64() {
        ("amount_mismatch", Some("amount mismatch"))
    } else if !same(trade.currency.as_deref().unwrap_or("CNY"), "fee_type") {
        ("currency_mismatch", Some("currency mismatch"))
    } else if order["transaction_id"].as_str().is_some_and(|known| known != transaction) {
        ("transaction_id_conflict", Some("transaction conflict"))
    } else if order["state"] == "paid" {
        ("already_processed", None)
    } else if order["state"] == "closed" {
        ("order_closed_locally", None)
    } else {
        assert_eq!(trade.success_time, Some(NOW), "16:53:20 in Beijing");
        assert_eq!(trade.payer.as_deref(), Some("oTESTuMuAJO_M2pxb1Q9zNjWeS6o"));
        ("ok", None)
    }
}

#[tokio::test]
async fn answers_are_sorted_as_recorded() {
    for vector in vectors("v2_answers.json") {
        let (inputs, expected) = (&vector["inputs"], &vector["expected"]);
        assert_eq!(inputs["api_key"], API_V2_KEY);
        let far_side = FarSide::recorded(&vector);
        let channel = channel(&far_side, HOST);
        let terms = terms(sign_type(&inputs["sign_type"]));
        let number = "T20251009000000000001";
        let seen = match text(&inputs["path"]) {
            "/pay/unifiedorder" => {
                let way = match name(&vector) {
                    "unifiedorder_jsapi_hmac" => in_app(),
                    "unifiedorder_mweb" => Way::H5,
                    _ => Way::Native,
                };
                sorted(channel.create(terms.sign_type, &order(way)).await, |Accepted { prepaid, .. }| {
                    let (member, value) = match prepaid {
                        Prepaid::Code(code_url) => ("code_url", code_url),
                        Prepaid::Session(prepay_id) => ("prepay_id", prepay_id),
                        Prepaid::Page(mweb_url) => ("mweb_url", mweb_url),
                    };
                    assert!(text(&inputs["body"]).contains(&value), "{}", name(&vector));
                    assert!(expected[member].as_str().is_none_or(|e| e == value), "{}", name(&vector));
                    "created"
                })
            }
            "/pay/orderquery" => {
                sorted(channel.query(&terms, number).await, |trade| paid_or_not(&trade, expected))
            }
            "/pay/closeorder" => sorted(channel.close(&terms, number).await, |()| "closed"),
            "/secapi/pay/refund" => sorted(channel.refund(&terms, &refund()).await, |report| {
                let amounts = (report.refund.map(Fen::get), report.total.map(Fen::get));
                assert_eq!((amounts, report.state), ((Some(300), Some(8800)), RefundState::Processing));
                "refund_processing"
            }),
            "/pay/refundquery" => {
                let listed = expected["refunds"].as_array().cloned().unwrap_or_default();
                for refund in &listed[1.min(listed.len())..] {
                    let far_side = FarSide::recorded(&vector);
                    let channel = super::v2::channel(&far_side, HOST);
                    let report = channel.query_refund(&terms, text(&refund["out_refund_no"])).await.unwrap();
                    assert!(is_as_recorded(&report, refund), "{}: {report:?}", name(&vector));
                }
                sorted(channel.query_refund(&terms, "R20251009000000000001").await, |report| {
                    assert!(is_as_recorded(&report, &listed[0]), "{}: {report:?}", name(&vector));
                    assert_eq!(report.success_time, Some(Timestamp::from_secs(1_760_000_400)), "17:00:00");
                    "refunds"
                })
            }
            "/pay/downloadbill" => {
                let day = jiff::civil::date(2025, 10, 8);
                sorted(channel.trade_bill(&terms, day, BillRows::All).await, |_| "bill")
            }
            "/xdc/apiv2getsignkey/sign/getsignkey" => sorted(channel.sandbox_key().await, |sandbox| {
                let message = Fields::from_iter([("a", "b")]);
                let as_recorded = sign(SignType::Md5, &message, &key(text(&expected["sandbox_signkey"])));
                assert!(verify(SignType::Md5, &message, &sandbox, &as_recorded), "another key");
                "sandbox_key"
            }),
            other => panic!("{}: {other}", name(&vector)),
        };
        let in_our_words = match text(&expected["outcome"]) {
            "reject_sign_mismatch" => "Unverified: signature",
            "reject_mch_id_mismatch" => "Malformed",
            "quarantine_amount_mismatch" => "other amount",
            "unknown_order" | "unknown_refund" | "no_bill" => "NotFound",
            "already_paid" => "AlreadyPaid",
            "closed" if name(&vector) == "unifiedorder_ORDERCLOSED" => "AlreadyClosed",
            "top_up_then_same_number" => "NotEnough",
            "refund_elsewhere" | "parameters_differ" => "Refused",
            "retry_same_number" | "query_then_same_number" | "retry_same_parameters" | "number_used" => {
                "Unclear"
            }
            "retry_slower" | "retry_after_60s" => "Busy",
            "configuration" => "Misconfigured",
            as_it_is => as_it_is,
        };
        assert_eq!(seen, in_our_words, "{}", name(&vector));

        let (request, fields) = asked(&far_side);
        assert_eq!(request.method(), "POST");
        assert_eq!(
            request.uri().path_and_query().unwrap().as_str(),
            text(&inputs["path"]),
            "{}",
            name(&vector)
        );
        if name(&vector) != "getsignkey_ok" {
            let sent = (fields.get("appid"), fields.get("sign_type"));
            assert_eq!(sent, (Some(APPID), inputs["sign_type"].as_str()), "{}", name(&vector));
        }
    }
}

fn paid_or_not(trade: &Trade, expected: &Value) -> &'static str {
    if let Some(total) = expected["total_fee"].as_i64() {
        assert_eq!(trade.total.map(Fen::get), Some(total));
        assert_eq!(trade.success_time, Some(Timestamp::from_secs(1_759_999_998)), "16:53:18 in Beijing");
    }
    match trade.state {
        _ if trade.state.was_paid() && trade.total != Fen::new(8800).ok() => "other amount",
        _ if trade.state.was_paid() => "paid",
        TradeState::NotPay | TradeState::UserPaying | TradeState::PayError => "not_paid",
        TradeState::Closed | TradeState::Revoked => "closed",
        _ => "?",
    }
}

fn is_as_recorded(report: &RefundReport, refund: &Value) -> bool {
    refund["out_refund_no"] == report.out_refund_no.as_str()
        && refund["status"] == report.state.as_str()
        && refund["refund_fee"].as_i64() == report.refund.map(Fen::get)
        && report.total.map(Fen::get) == Some(8800)
}

fn sorted<T>(result: Result<T, ChannelError>, success: impl FnOnce(T) -> &'static str) -> &'static str {
    match result {
        Ok(value) => success(value),
        Err(ChannelError::Unverified { why: VerifyError::BadSignature { .. }, .. }) => {
            "Unverified: signature"
        }
        Err(ChannelError::Unverified { .. }) => "Unverified",
        Err(ChannelError::NotFound { .. }) => "NotFound",
        Err(ChannelError::AlreadyPaid { .. }) => "AlreadyPaid",
        Err(ChannelError::AlreadyClosed { .. }) => "AlreadyClosed",
        Err(ChannelError::NotEnough { .. }) => "NotEnough",
        Err(ChannelError::Refused { .. }) => "Refused",
        Err(ChannelError::Unclear { .. }) => "Unclear",
        Err(ChannelError::Busy { .. }) => "Busy",
        Err(ChannelError::Misconfigured { .. }) => "Misconfigured",
        Err(ChannelError::Malformed { .. }) => "Malformed",
        Err(error @ ChannelError::NoAnswer(_)) => panic!("{error:?}"),
    }
}

// ---- what no recording shows: requests ----

#[tokio::test]
async fn an_order_asks_for_exactly_what_it_was_given() {
    let common = BTreeSet::from(["appid", "mch_id", "nonce_str", "sign", "sign_type"]);
    let always = [
        ("body", "充值 88 元 & 更多"),
        ("fee_type", "CNY"),
        ("notify_url", "https://pay.example.test:8443/wechat/v2/notify"),
        ("out_trade_no", "T20251009000000000001"),
        ("spbill_create_ip", "203.0.113.7"),
        ("time_expire", "20251009185320"),
        ("total_fee", "8800"),
    ];
    let scene = r#"{"h5_info":{"type":"Wap","wap_url":"https://pay.example.test:8443","wap_name":"充值 88 元 & 更多"}}"#;
    let cases = [
        (Way::Native, vec![("product_id", "T20251009000000000001"), ("trade_type", "NATIVE")]),
        (in_app(), vec![("openid", "oTESTuMuAJO_M2pxb1Q9zNjWeS6o"), ("trade_type", "JSAPI")]),
        (Way::H5, vec![("scene_info", scene), ("trade_type", "MWEB")]),
    ];
    for (way, own) in cases {
        for device_id in [None, Some("till-7".to_owned())] {
            let far_side = answering("");
            let order = NewOrder { device_id: device_id.clone(), ..order(way.clone()) };
            let channel = channel(&far_side, "http://127.0.0.1:8082/wechat/");
            let error = channel.create(SignType::HmacSha256, &order).await.unwrap_err();
            assert!(matches!(error, ChannelError::Unclear { .. }), "{error:?}");

            let (request, sent) = asked(&far_side);
            assert_eq!(request.uri(), "http://127.0.0.1:8082/wechat/pay/unifiedorder");
            assert_eq!(request.headers()["content-type"], "application/xml; charset=utf-8");
            assert!(request.headers()["user-agent"].to_str().unwrap().starts_with("tollgate/"));
            let mut wanted: Vec<_> = always.into_iter().chain(own.clone()).collect();
            wanted.extend(device_id.as_deref().map(|device| ("device_info", device)));
            wanted.sort_unstable();
            let own: Vec<_> = sent.iter().filter(|(name, _)| !common.contains(name)).collect();
            assert_eq!(own, wanted);
        }
    }
}

#[tokio::test]
async fn what_cannot_be_written_is_refused_before_it_is_sent() {
    for (order, element) in [
        (NewOrder { description: "88\u{0}00".to_owned(), ..order(Way::Native) }, "/body"),
        (NewOrder { client_ip: None, ..order(Way::Native) }, "/spbill_create_ip"),
        (NewOrder { expires_at: Timestamp(i64::MAX), ..order(Way::Native) }, "/time_expire"),
        (NewOrder { notify_url: "/wechat/v2/notify".to_owned(), ..order(Way::H5) }, "/scene_info"),
    ] {
        let far_side = answering("");
        let error = channel(&far_side, HOST).create(SignType::Md5, &order).await.unwrap_err();
        let ChannelError::Refused { code, field, .. } = &error else { panic!("{error:?}") };
        assert_eq!((code.as_str(), field.as_deref()), ("PARAM_ERROR", Some(element)));
        assert!(far_side.asked.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn only_refunds_and_fund_flow_bills_show_the_certificate() {
    let (plain, with_certificate) = (answering(""), answering(""));
    let channel = |with_certificate: Option<Arc<FarSide>>| {
        let with_certificate = with_certificate.map(|far_side| far_side as Arc<_>);
        let transports = Transports { plain: plain.clone(), with_certificate };
        Channel::new(HOST, MCHID.to_owned(), key(API_V2_KEY), transports, Arc::new(Stopped(NOW)))
    };
    let (md5, day) = (terms(SignType::Md5), jiff::civil::date(2025, 10, 8));

    let without = channel(None);
    for error in [
        without.refund(&md5, &refund()).await.unwrap_err(),
        without.fund_flow_bill(&md5, day, FundAccount::Basic).await.unwrap_err(),
    ] {
        assert_eq!(error.code(), "NO_CERTIFICATE", "{error:?}");
    }
    let with = channel(Some(with_certificate.clone()));
    with.refund(&md5, &refund()).await.unwrap_err();
    let (_, sent) = asked(&with_certificate);
    let own = ["transaction_id", "out_refund_no", "refund_fee", "total_fee", "refund_desc", "notify_url"];
    let wanted = [
        "4200002815202510090000000001",
        "R20251009000000000001",
        "300",
        "8800",
        "user request",
        "https://pay.example.test/wechat/v2/refund",
    ];
    assert_eq!(own.map(|name| sent.get(name).unwrap()), wanted);
    with.fund_flow_bill(&md5, day, FundAccount::Operation).await.unwrap_err();
    let (_, sent) = asked(&with_certificate);
    let asked_for = ["sign_type", "account_type", "bill_date"].map(|name| sent.get(name).unwrap());
    assert_eq!(asked_for, ["HMAC-SHA256", "Operation", "20251008"], "never with MD5");
    assert!(plain.asked.lock().unwrap().is_empty());
}

// ---- what no recording shows: answers ----

/// Someone in the middle plays a genuine answer back to a question about something else, or says less than was asked.
#[tokio::test]
async fn a_genuine_answer_about_something_else_is_not_believed() {
    let hmac = terms(SignType::HmacSha256);
    let about = |more: &[(&str, &str)]| answering(&signed_answer(SignType::HmacSha256, more));
    let paid = [
        ("trade_state", "SUCCESS"),
        ("out_trade_no", "T2"),
        ("transaction_id", "42"),
        ("total_fee", "8800"),
        ("time_end", "20251009165318"),
    ];
    for (ours, theirs, same) in [("T1", "41", false), ("T2", "42", true)] {
        let answers = [
            channel(&about(&paid), HOST).query(&hmac, ours).await,
            channel(&about(&paid), HOST).query_transaction(&hmac, theirs).await,
        ];
        for answer in answers {
            match answer {
                Ok(trade) => assert!(same && trade.state.was_paid() && trade.total == Fen::new(8800).ok()),
                Err(error) => assert!(!same && matches!(error, ChannelError::Malformed { .. }), "{error:?}"),
            }
        }
    }
    for more in [
        &[("out_refund_no_0", "R2"), ("refund_status_0", "SUCCESS"), ("refund_fee_0", "1")][..],
        &[("out_refund_no_1", "R1"), ("refund_status_1", "SUCCESS"), ("refund_fee_1", "1")],
        &[("out_refund_no_0", "R1"), ("refund_fee_0", "1")],
        &[("out_refund_no_0", "R1"), ("refund_status_0", "SUCCESS"), ("refund_fee_0", "0")],
    ] {
        let error = channel(&about(more), HOST).query_refund(&hmac, "R1").await.unwrap_err();
        assert!(matches!(error, ChannelError::Malformed { .. }), "{error:?}");
    }
    let more = [("trade_type", "JSAPI"), ("code_url", "weixin://x"), ("prepay_id", "wx")];
    let error =
        channel(&about(&more), HOST).create(SignType::HmacSha256, &order(Way::Native)).await.unwrap_err();
    assert!(matches!(error, ChannelError::Malformed { .. }), "{error:?}");
    let other_application = Terms { appid: "wx0000000000000000".to_owned(), ..hmac.clone() };
    let error = channel(&about(&[]), HOST).close(&other_application, "T1").await.unwrap_err();
    assert!(matches!(error, ChannelError::Malformed { .. }), "{error:?}");
}

#[tokio::test]
async fn an_answer_is_believed_only_if_it_is_signed_as_the_order_was() {
    let unsigned =
        r"<xml><return_code>SUCCESS</return_code><result_code>SUCCESS</result_code></xml>".to_owned();
    let named = signed_answer(SignType::Md5, &[("sign_type", "HMAC-SHA256")]);
    let cases = [
        (SignType::HmacSha256, signed_answer(SignType::Md5, &[]), "Unverified: signature"),
        (SignType::Md5, signed_answer(SignType::HmacSha256, &[]), "Unverified: signature"),
        (SignType::Md5, named, "Unverified"),
        (SignType::Md5, unsigned, "Unverified"),
        (SignType::HmacSha256, signed_answer(SignType::HmacSha256, &[]), "closed"),
        (SignType::Md5, signed_answer(SignType::Md5, &[("sign_type", "MD5")]), "closed"),
    ];
    for (sign_type, answer, wanted) in cases {
        let closed = channel(&answering(&answer), HOST).close(&terms(sign_type), "T1").await;
        assert_eq!(sorted(closed, |()| "closed"), wanted, "{answer}");
    }
}

#[tokio::test]
async fn a_failure_nobody_has_heard_of_decides_nothing() {
    let md5 = terms(SignType::Md5);
    let unheard_of = signed_answer(SignType::Md5, &[("result_code", "FAIL"), ("err_code", "SOMETHING_NEW")]);
    for answer in [
        &*unheard_of,
        "<xml><return_code>FAIL</return_code><return_msg>system busy</return_msg></xml>",
        "<xml><return_code>MAYBE</return_code></xml>",
        "<xml></xml>",
        "<!DOCTYPE xml><xml></xml>",
        "<html><body>maintenance</body></html>",
        "{}",
        "",
    ] {
        let error = channel(&answering(answer), HOST).refund(&md5, &refund()).await.unwrap_err();
        assert!(matches!(error, ChannelError::Unclear { .. }) && error.is_retryable(), "{answer}: {error:?}");
    }
}

#[tokio::test]
async fn a_certificate_that_is_missing_or_anothers_is_told_apart_from_any_other_page() {
    let md5 = terms(SignType::Md5);
    let page = |status: u16, title: &str| {
        let html = format!("<html>\r\n<head><title>{status} {title}</title></head>\r\n<body></body></html>");
        FarSide::new(Response::builder().status(status).body(Bytes::from(html)).unwrap())
    };
    for (title, why) in [
        ("No required SSL certificate was sent", "was not shown"),
        ("The SSL certificate error", "was not accepted"),
    ] {
        let error = channel(&page(400, title), HOST).refund(&md5, &refund()).await.unwrap_err();
        assert!(matches!(error, ChannelError::Misconfigured { .. }) && !error.is_retryable(), "{error:?}");
        assert_eq!(error.code(), "CERTIFICATE_REFUSED");
        assert!(error.to_string().contains(why), "{error}");
    }
    for (status, title) in [(400, "Bad Request"), (502, "The SSL certificate error"), (404, "")] {
        let error = channel(&page(status, title), HOST).refund(&md5, &refund()).await.unwrap_err();
        assert!(matches!(error, ChannelError::Unclear { .. }), "{error:?}");
        assert_eq!(error.code(), format!("HTTP_{status}"));
    }
}

#[tokio::test]
async fn a_bill_is_handed_on_as_it_came_and_a_cut_one_is_refused() {
    let (hmac, day) = (terms(SignType::HmacSha256), jiff::civil::date(2025, 10, 8));
    let bill = std::fs::read(super::folder("bills/v2_fund_flow_Basic_20251008.csv")).unwrap();
    let fetched = |digest: Option<&'static str>, bytes: usize| {
        let mut answer = Response::new(Bytes::copy_from_slice(&bill[..bytes]));
        if let Some(digest) = digest {
            answer.headers_mut().insert("Digest", digest.parse().unwrap());
        }
        let channel = channel(&FarSide::new(answer), HOST);
        let hmac = hmac.clone();
        async move { channel.fund_flow_bill(&hmac, day, FundAccount::Basic).await }
    };
    const DIGEST: &str = "SHA=3cb7f1c3819b81b58fcc2df1ffbdd859d7f0ac6a";
    assert_eq!(fetched(Some(DIGEST), bill.len()).await.unwrap(), bill);
    for (digest, bytes) in [(Some(DIGEST), bill.len() - 2), (Some("SHA=00"), bill.len()), (None, bill.len())]
    {
        let error = fetched(digest, bytes).await.unwrap_err();
        assert!(matches!(error, ChannelError::Unverified { .. }), "{error:?}");
    }

    let trade = std::fs::read(super::folder("bills/v2_trade_bill_ALL_20251008.csv")).unwrap();
    let far_side = FarSide::new(Response::new(Bytes::copy_from_slice(&trade)));
    assert_eq!(channel(&far_side, HOST).trade_bill(&hmac, day, BillRows::Refund).await.unwrap(), trade);
    let (_, sent) = asked(&far_side);
    assert_eq!((sent.get("bill_type"), sent.get("bill_date")), (Some("REFUND"), Some("20251008")));

    let creating = "<xml><return_code>FAIL</return_code><return_msg>Bill Creating</return_msg></xml>";
    let coded = |code| signed_answer(SignType::HmacSha256, &[("result_code", "FAIL"), ("err_code", code)]);
    for (answer, wanted) in [
        (creating.to_owned(), "Busy"),
        (coded("BILL_CREATING"), "Busy"),
        (coded("NO_BILL_EXIST"), "NotFound"),
        (coded("SYSTEMERROR"), "Unclear"),
    ] {
        let bill = channel(&answering(&answer), HOST).fund_flow_bill(&hmac, day, FundAccount::Fees).await;
        assert_eq!(sorted(bill, |_| "bill"), wanted, "{answer}");
    }
}

#[test]
fn a_key_shows_nothing_of_itself() {
    let shown = format!("{:?} {:?}", key(API_V2_KEY), channel(&answering(""), HOST));
    assert!(!shown.contains(API_V2_KEY) && shown.contains(MCHID), "{shown}");
    for wrong in ["", "short", &"k".repeat(33), &"ключ".repeat(4), "test0v2key0for0vectors0only0000 "] {
        assert!(ApiV2Key::new(wrong.to_owned()).is_err(), "{wrong}");
    }
}

#[test]
fn a_refusal_is_told_in_xml_whatever_it_says() {
    for reason in ["sign error", "a]]>b", "<&>", "金额", "\u{0}"] {
        let told = xml::read(failure(reason).as_bytes(), "xml").unwrap();
        assert_eq!(told.get("return_code"), Some("FAIL"));
        assert!(told.get("return_msg").is_none_or(|told| told == reason), "{reason:?}: {told:?}");
    }
}

#[tokio::test]
async fn a_page_is_called_up_with_the_hour_it_is_shown_and_a_nonce_of_its_own() {
    let channel = channel(&answering(""), HOST);
    let hmac = terms(SignType::HmacSha256);
    let (one, other) = (channel.call_up(&hmac, "wx1").unwrap(), channel.call_up(&hmac, "wx1").unwrap());
    assert_eq!((one.timestamp.as_str(), one.package.as_str()), ("1760000000", "prepay_id=wx1"));
    assert_ne!((one.nonce, one.pay_sign), (other.nonce, other.pay_sign));
}

// ---- what no recording shows: the XML ----

#[test]
fn only_flat_messages_are_read() {
    let long = |bytes| format!("<xml><a>{}</a></xml>", "x".repeat(bytes));
    let many = |count| {
        let elements: String = (0..count).map(|n| format!("<e{n}/>")).collect();
        format!("<xml>{elements}</xml>")
    };
    for good in [
        "<xml/>",
        "<xml></xml>",
        " \r\n<xml>\n</xml>\t",
        "<xml a='1' b = \"2\"><a xml:lang='zh'/></xml >",
        "<?xml version='1.0'?><xml></xml>",
        "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\" standalone='yes' ?>\n<xml></xml>",
        "<xml><a><![CDATA[<!DOCTYPE x>]]></a></xml>",
        "<xml><a>]]&gt;</a></xml>",
        &long(xml::VALUE_BYTES_MAX),
        &many(xml::FIELDS_MAX),
    ] {
        assert!(xml::read(good.as_bytes(), "xml").is_ok(), "{good}");
    }
    for bad in [
        "",
        " ",
        "<xml>",
        "<xml",
        "</xml>",
        "<xml></xml><xml></xml>",
        "<xml></xml>x",
        "<xml></xml><!-- -->",
        "<!-- --><xml></xml>",
        "<xml><!-- --></xml>",
        "<xml>text</xml>",
        "<xml><![CDATA[text]]></xml>",
        "<xml><a></xml></a>",
        "<xml><a></b></xml>",
        "<xml><a><b/></a></xml>",
        "<xml><1a/></xml>",
        "<xml>< a/></xml>",
        "<xml><a/ ></xml>",
        "<xml><a b></a></xml>",
        "<xml><a b=c></a></xml>",
        "<xml><a b='<'></a></xml>",
        "<xml><a b='1'c='2'></a></xml>",
        "<xml><a>&</a></xml>",
        "<xml><a>&amp</a></xml>",
        "<xml><a>&nbsp;</a></xml>",
        "<xml><a>&#0;</a></xml>",
        "<xml><a>&#+65;</a></xml>",
        "<xml><a>&#;</a></xml>",
        "<xml><a>&#x;</a></xml>",
        "<xml><a>&#xd800;</a></xml>",
        "<xml><a>&#x110000;</a></xml>",
        "<xml><a>&#99999999999;</a></xml>",
        "<xml><a>]]></a></xml>",
        "<xml><a><![CDATA[</a></xml>",
        "<xml><a>\u{1}</a></xml>",
        "<xml><a>\u{ffff}</a></xml>",
        "<XML></XML>",
        " <?xml version='1.0'?><xml></xml>",
        "<?xml?><xml></xml>",
        "<?xml version='1.1'?><xml></xml>",
        "<?xml version='1.0' encoding='GBK'?><xml></xml>",
        "<?xml version='1.0'?><?xml version='1.0'?><xml></xml>",
        "<?xml-stylesheet href='x'?><xml></xml>",
    ] {
        let seen = xml::read(bad.as_bytes(), "xml");
        assert!(matches!(seen, Err(XmlError::Malformed(_))), "{bad}: {seen:?}");
    }
    for doctype in
        ["<!DOCTYPE xml>", "<!doctype xml [<!ENTITY a 'b'>]>", "<?xml version='1.0'?>\n<!DOCTYPE xml>"]
    {
        for document in [format!("{doctype}<xml></xml>"), format!("<xml>{doctype}</xml>")] {
            let seen = xml::read(document.as_bytes(), "xml");
            let inside = document.starts_with("<xml><?");
            assert!(seen == Err(XmlError::Doctype) || (inside && seen.is_err()), "{document}: {seen:?}");
        }
    }
    let too_large = [
        (long(xml::VALUE_BYTES_MAX + 1), "a value"),
        (many(xml::FIELDS_MAX + 1), "elements"),
        (format!("<xml>{}</xml>", " ".repeat(xml::BYTES_MAX)), "bytes"),
    ];
    for (document, what) in too_large {
        assert_eq!(xml::read(document.as_bytes(), "xml"), Err(XmlError::TooLarge(what)));
    }
}

fn names_and_values() -> impl Strategy<Value = Vec<(String, String)>> {
    let value = prop_oneof![
        "[ -~]{0,20}",
        "[<>&\\]\\[!\"'/?=#x;a]{0,20}",
        "\\PC{0,20}",
        Just("]]>]]>".to_owned()),
        Just(String::new()),
    ];
    prop::collection::btree_map("[A-Za-z_][A-Za-z0-9_.-]{0,8}", value, 0..8)
        .prop_map(|fields| fields.into_iter().collect())
}

/// The same text in one of the ways a sender may write it.
fn written(value: &str, way: u8) -> String {
    let escaped = value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    match way % 3 {
        0 => escaped,
        1 => value.chars().map(|c| format!("&#x{:x};", u32::from(c))).collect(),
        _ => value.chars().map(|c| format!("<![CDATA[{c}]]>")).collect(),
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(fields in names_and_values(), ways in prop::collection::vec(any::<u8>(), 8)) {
        let fields_of = |fields: &[(String, String)]| fields.iter().cloned().collect::<Fields>();
        let ours = xml::write(&fields_of(&fields), "xml").unwrap();
        prop_assert_eq!(xml::read(ours.as_bytes(), "xml"), Ok(fields_of(&fields)), "{}", ours);

        let elements: String = fields
            .iter()
            .zip(ways)
            .map(|((name, value), way)| format!(" <{name} a=\"1\">{}</{name}>\r\n", written(value, way)))
            .collect();
        let theirs = format!("<?xml version=\"1.0\"?>\n<xml>{elements}</xml>\n");
        prop_assert_eq!(xml::read(theirs.as_bytes(), "xml"), Ok(fields_of(&fields)), "{}", theirs);
    }

    /// Whatever arrives, the reader ends, and what it reads says the same when it is written and read again.
    #[test]
    fn whatever_is_read_has_one_meaning(
        pieces in prop::collection::vec(
            prop::sample::select(vec![
                "<xml>", "</xml>", "<a>", "</a>", "<b/>", "<![CDATA[", "]]>", "&amp;", "&#65;", "&x;", "<!DOCTYPE ",
                "<!--", "-->", "<?xml version='1.0'?>", "<", ">", "]", "text", " ", "\n", "金", "\u{feff}", "=\"'",
            ]),
            0..16,
        ),
    ) {
        let document = pieces.concat();
        if let Ok(fields) = xml::read(document.as_bytes(), "xml") {
            let again = xml::write(&fields, "xml").unwrap();
            prop_assert_eq!(xml::read(again.as_bytes(), "xml"), Ok(fields), "{}", document);
            prop_assert!(!document.contains("<!DOCTYPE ") || document.contains("<![CDATA["), "{}", document);
        }
    }
}

/// Genuine notices, and what they say.
static GENUINE: LazyLock<Vec<(Vec<u8>, Signed)>> = LazyLock::new(|| {
    let channel = channel(&answering(""), HOST);
    let accepted =
        |vector: &Value| vector["expected"]["decision"] == "accept" && vector["inputs"]["body"].is_string();
    let bodies = vectors("v2_notify.json").into_iter().filter(accepted);
    bodies
        .map(|vector| {
            let body = text(&vector["inputs"]["body"]).as_bytes().to_vec();
            let said = channel.read_notice(&body).unwrap();
            (body, said)
        })
        .collect()
});

proptest! {
    #![proptest_config(crate::model::config(100_000))]

    /// A genuine notice that was changed on its way is refused, or says what it said.
    #[test]
    fn no_changed_notice_is_believed_to_say_something_else(
        which in any::<prop::sample::Index>(),
        changes in changes(),
    ) {
        thread_local!(static CHANNEL: Channel = channel(&answering(""), HOST));
        let (genuine, said) = which.get(&GENUINE);
        let mut body = genuine.clone();
        changed(&mut body, changes);
        if let Ok(seen) = CHANNEL.with(|channel| channel.read_notice(&body)) {
            prop_assert_eq!(&seen, said);
        }
    }
}
