//! API v3, laid against its recordings.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use payments::channel::{
    Accepted, ChannelError, NewOrder, NewRefund, Notice, Prepaid, RefundReport, RefundState, Trade,
    TradeState, VerifyError, Way,
    wechat::{
        BillRows,
        v3::{
            BillKind, BillWish, Channel, CredentialParts, Credentials, NoticeRefused, PlatformKeyPart,
            request_sign,
            resource::{self, Resource, ResourceError},
            verify,
        },
    },
};
use proptest::prelude::*;
use serde_json::Value;
use units::{Fen, Timestamp};
use x509_cert::der::{Decode as _, Encode as _};

use super::{
    APPID, FarSide, MCHID, NOW, Stopped, header_map,
    mutations::{changed, changes},
    name, pem, text, vectors,
};

const MERCHANT_SERIAL: &str = "3A5CE0FFA11CE0FFA11CE0FFA11CE0FFA11CE001";
const API_V3_KEY: &str = "test0v3key0for0vectors0only00001";
const PUBLIC_KEY_ID: &str = "PUB_KEY_ID_0116999999012025100900000000000001";

fn certificate(file: &str) -> PlatformKeyPart {
    PlatformKeyPart::Certificate { pem: pem(file) }
}

fn parts() -> CredentialParts {
    CredentialParts {
        mchid: MCHID.to_owned(),
        appid: APPID.to_owned(),
        merchant_serial: MERCHANT_SERIAL.to_owned(),
        merchant_private_key_pem: pem("merchant_key.pem"),
        api_v3_key: API_V3_KEY.to_owned(),
        previous_api_v3_key: None,
        platform_keys: vec![
            certificate("platform_old_cert.pem"),
            certificate("platform_new_cert.pem"),
            certificate("platform_expired_cert.pem"),
            PlatformKeyPart::PublicKey { id: PUBLIC_KEY_ID.to_owned(), pem: pem("wechatpay_pubkey.pem") },
        ],
        download_certificates: false,
    }
}

pub(super) fn credentials() -> Credentials {
    Credentials::new(parts()).unwrap()
}

fn channel(far_side: &Arc<FarSide>, base_url: &str) -> Channel {
    Channel::new(base_url.to_owned(), credentials(), far_side.clone(), Arc::new(Stopped(NOW)))
}

/// The one request that came, after checking its signature against the merchant's certificate.
fn asked(far_side: &FarSide) -> Request<Bytes> {
    let request = far_side.asked();
    check_signature(&request);
    request
}

pub(super) fn check_signature(request: &Request<Bytes>) {
    let authorization = request.headers()["authorization"].to_str().unwrap();
    let items = authorization.strip_prefix("WECHATPAY2-SHA256-RSA2048 ").unwrap();
    let items: BTreeMap<_, _> = items.split(',').map(|item| item.split_once('=').unwrap()).collect();
    let item = |name: &str| items[name].trim_matches('"');
    assert_eq!((item("mchid"), item("serial_no")), (MCHID, MERCHANT_SERIAL));
    assert_eq!(item("nonce_str").len(), 32);

    let sent = request.uri().path_and_query().unwrap();
    let mut message =
        format!("{}\n{sent}\n{}\n{}\n", request.method(), item("timestamp"), item("nonce_str")).into_bytes();
    message.extend_from_slice(request.body());
    message.push(b'\n');
    merchant_public_key()
        .verify(&message, &STANDARD.decode(item("signature")).unwrap())
        .expect("the request is signed by the merchant, over what was sent");
}

fn merchant_public_key() -> UnparsedPublicKey<Vec<u8>> {
    let der =
        STANDARD.decode(pem("merchant_cert.pem").lines().filter(|l| !l.starts_with('-')).collect::<String>());
    let certificate = x509_cert::Certificate::from_der(&der.unwrap()).unwrap();
    let spki = certificate.tbs_certificate().subject_public_key_info().to_der().unwrap();
    UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, spki)
}

fn order() -> NewOrder {
    super::order("https://pay.example.test/wechat/v3/notify")
}

fn refund() -> NewRefund {
    super::refund("https://pay.example.test/wechat/v3/refund")
}

// ---- one test per file ----

#[test]
fn requests_are_signed_as_recorded() {
    for vector in vectors("v3_request_sign.json") {
        let inputs = &vector["inputs"];
        assert_eq!((text(&inputs["mchid"]), text(&inputs["serial_no"])), (MCHID, MERCHANT_SERIAL));
        let signed = request_sign::authorization(
            &credentials(),
            &text(&inputs["method"]).parse::<Method>().unwrap(),
            text(&inputs["canonical_url"]),
            inputs["timestamp"].as_i64().unwrap(),
            text(&inputs["nonce_str"]),
            text(&inputs["body"]).as_bytes(),
        );
        assert_eq!(signed.unwrap(), text(&vector["expected"]["authorization"]), "{}", name(&vector));
    }
}

#[test]
fn signatures_hold_or_not_as_recorded() {
    let credentials = credentials();
    for vector in vectors("v3_notify_verify.json") {
        let (inputs, expected) = (&vector["inputs"], &vector["expected"]);
        let now = Timestamp::from_secs(inputs["now"].as_i64().unwrap());
        let headers = header_map(&inputs["headers"]);
        let body = text(&inputs["body"]).as_bytes();
        let seen = verify::check(&credentials, now, &headers, body);

        let probe = expected["probe"].as_bool().unwrap_or(false);
        let as_recorded = match (expected["error"].as_str(), &seen) {
            (None, Ok(())) => text(&expected["verify"]) == "ok",
            (Some(_), Err(VerifyError::BadSignature { probe: true })) => probe,
            (Some("missing_header"), Err(VerifyError::MissingHeader(_)))
            | (Some("unsupported_signature_type"), Err(VerifyError::UnsupportedType))
            | (Some("bad_timestamp"), Err(VerifyError::BadTimestamp))
            | (Some("timestamp_expired"), Err(VerifyError::Stale { .. }))
            | (Some("unknown_serial"), Err(VerifyError::UnknownSerial(_)))
            | (Some("certificate_expired"), Err(VerifyError::NotInForce(_)))
            | (Some("bad_base64" | "signature_mismatch"), Err(VerifyError::BadSignature { .. })) => !probe,
            _ => false,
        };
        assert!(as_recorded, "{}: expected {expected}, seen {seen:?}", name(&vector));
        if probe {
            let refused = NoticeRefused::from(seen.unwrap_err());
            assert_eq!(refused.reason(), "signature_probe", "{}", name(&vector));
        }
    }
}

#[test]
fn resources_are_decrypted_as_recorded() {
    for vector in vectors("v3_resource_decrypt.json") {
        let (inputs, expected) = (&vector["inputs"], &vector["expected"]);
        let key = text(&inputs["apiv3_key"]).to_owned();
        let credentials = match Credentials::new(CredentialParts { api_v3_key: key, ..parts() }) {
            Ok(credentials) => credentials,
            Err(error) => {
                assert_eq!(error.field, "api_v3_key", "{}", name(&vector));
                assert_eq!(expected["error"], "bad_key_length", "{}", name(&vector));
                continue;
            }
        };
        let resource: Resource = serde_json::from_value(inputs["resource"].clone()).unwrap();
        match (resource::open(&credentials, &resource), expected["error"].as_str()) {
            (Ok(plaintext), None) => {
                assert_eq!(plaintext, text(&expected["plaintext"]), "{}", name(&vector));
            }
            (Err(error), Some(expected)) => {
                let seen = match error {
                    ResourceError::UnsupportedAlgorithm => "unsupported_algorithm",
                    ResourceError::NonceLength => "bad_nonce_length",
                    ResourceError::Base64 => "bad_base64",
                    ResourceError::TooShort => "too_short",
                    ResourceError::NotAuthentic => "authentication_failed",
                    ResourceError::NotUtf8 => "not_utf8",
                };
                assert_eq!(seen, expected, "{}", name(&vector));
            }
            (seen, _) => panic!("{}: expected {expected}, seen {seen:?}", name(&vector)),
        }
    }
}

/// Whether a notice is refused, and which values it hands on. What becomes of the order is decided elsewhere, from
/// these values: here they are only compared with the recorded order, to see that a difference shows.
#[test]
fn notices_are_read_as_recorded() {
    let far_side = FarSide::new(Response::default());
    let channel = channel(&far_side, "https://pay.example.test");
    for vector in vectors("v3_notify_flow.json") {
        let (inputs, expected) = (&vector["inputs"], &vector["expected"]);
        assert_eq!((inputs["now"].as_i64(), &inputs["apiv3_key"]), (Some(NOW.secs()), &API_V3_KEY.into()));
        let body = text(&inputs["body"]);
        let seen = channel.read_notice(&header_map(&inputs["headers"]), body.as_bytes());

        let local = &inputs["local"];
        let seen = match &seen {
            Err(NoticeRefused::Malformed(_)) => "bad_plaintext",
            Err(NoticeRefused::Decrypt) => "authentication_failed",
            Err(refused) => panic!("{}: {refused}", name(&vector)),
            Ok(Notice::Other { .. } | Notice::Risk { .. }) => "unknown_event_type",
            Ok(Notice::Paid { event_id, trade }) => {
                assert!(body.contains(event_id.as_str()), "{}", name(&vector));
                laid_against_order(trade, &local["order"])
            }
            Ok(Notice::Refund { event_id, mchid, report }) => {
                assert!(body.contains(event_id.as_str()) && mchid == MCHID, "{}", name(&vector));
                if let Some(state) = expected["refund_state"].as_str() {
                    assert_eq!(report.state.as_str(), state.to_uppercase(), "{}", name(&vector));
                }
                laid_against_refund(report, &local["refund"])
            }
        };
        // These follow from what was stored before, not from the notice.
        let expected = match text(&expected["reason"]) {
            "already_processed" | "order_closed_locally" | "illegal_transition" => "ok",
            reason => reason,
        };
        assert_eq!(seen, expected, "{}", name(&vector));
    }
}

fn laid_against_order(trade: &Trade, order: &Value) -> &'static str {
    let same = |seen: &str, member: &str| order[member] == seen;
    let transaction = trade.transaction_id.as_deref().unwrap();
    if !same(&trade.out_trade_no, "out_trade_no") {
        "unknown_order"
    } else if !same(&trade.mchid, "mchid") {
        "mchid_mismatch"
    } else if !same(&trade.appid, "appid") {
        "appid_mismatch"
    } else if trade.total.map(Fen::get) != order["total"].as_i64() {
        "amount_mismatch"
    } else if !same(trade.currency.as_deref().unwrap(), "currency") {
        "currency_mismatch"
    } else if order["transaction_id"].as_str().is_some_and(|known| known != transaction) {
        "transaction_id_conflict"
    } else if trade.state != TradeState::Success {
        "trade_state_not_success"
    } else {
        assert_eq!(trade.success_time, Some(Timestamp::from_secs(1_759_999_998)), "16:53:18+08:00");
        assert_eq!(trade.payer.as_deref(), Some("oTESTuMuAJO_M2pxb1Q9zNjWeS6o"));
        "ok"
    }
}

fn laid_against_refund(report: &RefundReport, refund: &Value) -> &'static str {
    if refund["out_refund_no"] != report.out_refund_no.as_str() {
        "unknown_refund"
    } else if report.refund.map(Fen::get) != refund["refund"].as_i64()
        || report.total.map(Fen::get) != refund["total"].as_i64()
    {
        "amount_mismatch"
    } else {
        "ok"
    }
}

#[tokio::test]
async fn answers_are_sorted_as_recorded() {
    for vector in vectors("v3_answers.json") {
        let (inputs, expected) = (&vector["inputs"], &vector["expected"]);
        assert_eq!(inputs["now"].as_i64(), Some(NOW.secs()));
        let far_side = FarSide::recorded(&vector);
        let channel = channel(&far_side, "https://api.mch.weixin.qq.com");
        let seen = match (text(&inputs["method"]), text(&inputs["url"])) {
            ("POST", url) if url.starts_with("/v3/pay/transactions/") && !url.ends_with("/close") => {
                let way = match url.rsplit('/').next().unwrap() {
                    "native" => Way::Native,
                    "jsapi" => Way::InApp { openid: "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o".to_owned() },
                    "h5" => Way::H5,
                    other => panic!("{other}"),
                };
                let order = NewOrder { way, client_ip: Some("203.0.113.7".to_owned()), ..order() };
                sorted(channel.create(&order).await, |Accepted { prepaid, .. }| {
                    let (Prepaid::Code(given) | Prepaid::Session(given) | Prepaid::Page(given)) = prepaid;
                    assert!(text(&inputs["body"]).contains(&given), "{}", name(&vector));
                    "created"
                })
            }
            ("POST", "/v3/refund/domestic/refunds") => sorted(channel.refund(&refund()).await, refunded),
            ("POST", url) if url.ends_with("/close") => {
                sorted(channel.close("T20251009000000000001").await, |()| "closed")
            }
            ("GET", url) if url.starts_with("/v3/pay/") => {
                sorted(channel.query("T20251009000000000001").await, |trade| {
                    if let Some(total) = expected["total"].as_i64() {
                        assert_eq!(trade.total.map(Fen::get), Some(total), "{}", name(&vector));
                    }
                    match trade.state {
                        _ if trade.state.was_paid() && trade.total != Fen::new(8800).ok() => "other amount",
                        _ if trade.state.was_paid() => "paid",
                        TradeState::NotPay => "not_paid",
                        TradeState::Closed => "closed",
                        TradeState::Unknown(_) => "unknown_state",
                        _ => "?",
                    }
                })
            }
            ("GET", url) if url.starts_with("/v3/refund/") => {
                sorted(channel.query_refund("R20251009000000000001").await, refunded)
            }
            ("GET", url) if url.starts_with("/v3/bill/tradebill") => {
                let (all, gzip) = (url.contains("bill_type=ALL"), url.contains("tar_type=GZIP"));
                let kind = BillKind::Trade(all.then_some(BillRows::All));
                let wish = BillWish { day: jiff::civil::date(2025, 10, 8), kind, gzip };
                match channel.bill_link(&wish).await {
                    Err(ChannelError::Malformed { what, .. }) if what.contains("evil.example.test") => {
                        "reject_foreign_host"
                    }
                    link => sorted(link, |link| {
                        assert!(text(&inputs["body"]).contains(&link.sha1), "{link:?}");
                        assert!(text(&inputs["body"]).contains(&link.url.to_string()), "{link:?}");
                        "bill_link"
                    }),
                }
            }
            other => panic!("{}: {other:?}", name(&vector)),
        };
        let in_our_words = match text(&expected["outcome"]) {
            "reject_missing_header" => "Unverified: header",
            "reject_signature_mismatch" => "Unverified: signature",
            "quarantine_amount_mismatch" => "other amount",
            "unknown_order" => "NotFound",
            "already_paid" => "AlreadyPaid",
            "closed" if name(&vector) == "native_ORDER_CLOSED" => "AlreadyClosed",
            "top_up_then_same_number" => "NotEnough",
            "refund_elsewhere" | "business_refused" | "parameters_differ" | "bug" => "Refused",
            "retry_same_number" | "query_then_same_number" | "retry_same_parameters" | "number_used" => {
                "Unclear"
            }
            "retry_slower" => "Busy",
            "configuration" => "Misconfigured",
            as_it_is => as_it_is,
        };
        assert_eq!(seen, in_our_words, "{}", name(&vector));

        let asked = asked(&far_side);
        assert_eq!(asked.method().as_str(), text(&inputs["method"]), "{}", name(&vector));
        assert_eq!(asked.uri().path_and_query().unwrap().as_str(), text(&inputs["url"]), "{}", name(&vector));
    }
}

fn refunded(report: RefundReport) -> &'static str {
    assert_eq!((report.refund.map(Fen::get), report.total.map(Fen::get)), (Some(300), Some(8800)));
    match report.state {
        RefundState::Processing => "refund_processing",
        RefundState::Success => "refund_success",
        RefundState::Closed => "refund_closed",
        RefundState::Abnormal => "refund_abnormal",
        RefundState::Unknown(_) => "?",
    }
}

fn sorted<T>(result: Result<T, ChannelError>, success: impl FnOnce(T) -> &'static str) -> &'static str {
    match result {
        Ok(value) => success(value),
        Err(ChannelError::Unverified { why: VerifyError::MissingHeader(_), .. }) => "Unverified: header",
        Err(ChannelError::Unverified { why: VerifyError::BadSignature { .. }, .. }) => {
            "Unverified: signature"
        }
        Err(ChannelError::NotFound { .. }) => "NotFound",
        Err(ChannelError::AlreadyPaid { .. }) => "AlreadyPaid",
        Err(ChannelError::AlreadyClosed { .. }) => "AlreadyClosed",
        Err(ChannelError::NotEnough { .. }) => "NotEnough",
        Err(ChannelError::Refused { .. }) => "Refused",
        Err(ChannelError::Unclear { .. }) => "Unclear",
        Err(ChannelError::Busy { .. }) => "Busy",
        Err(ChannelError::Misconfigured { .. }) => "Misconfigured",
        Err(error) => panic!("{error:?}"),
    }
}

#[test]
fn payments_are_called_up_as_recorded() {
    for vector in vectors("v3_paysign.json") {
        let (inputs, expected) = (&vector["inputs"], &vector["expected"]);
        let [appid, timestamp, nonce, fourth] =
            ["appId", "timeStamp", "nonceStr", "fourth_line"].map(|member| text(&inputs[member]));
        let message = format!("{appid}\n{timestamp}\n{nonce}\n{fourth}\n");
        assert_eq!(message, text(&expected["message"]), "{}", name(&vector));
        // The published ones were signed with a key nobody has: they can only be verified.
        let Some(verifies) = expected["verifies"].as_bool() else {
            let signed = request_sign::call_up(&credentials(), appid, timestamp, nonce, fourth).unwrap();
            let recorded = expected["paySign"].as_str().or(expected["sign"].as_str());
            assert_eq!(Some(signed.as_str()), recorded, "{}", name(&vector));
            continue;
        };
        let spki = STANDARD
            .decode(
                pem("doc_sample_public_key.pem").lines().filter(|l| !l.starts_with('-')).collect::<String>(),
            )
            .unwrap();
        let signature = expected["signature"].as_str().or(inputs["signature"].as_str()).unwrap();
        let seen = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, spki)
            .verify(message.as_bytes(), &STANDARD.decode(signature).unwrap());
        assert_eq!(seen.is_ok(), verifies, "{}", name(&vector));
    }
}

// ---- what no recording shows ----

#[tokio::test]
async fn who_pays_and_where_stand_where_the_way_wants_them() {
    let place = || Some("203.0.113.7".to_owned());
    for (order, path, more) in [
        (NewOrder { client_ip: place(), ..order() }, "native", ""),
        (
            NewOrder { way: Way::InApp { openid: "oUpF8".to_owned() }, ..order() },
            "jsapi",
            r#","payer":{"openid":"oUpF8"}"#,
        ),
        (
            NewOrder { way: Way::H5, client_ip: place(), ..order() },
            "h5",
            r#","scene_info":{"payer_client_ip":"203.0.113.7","h5_info":{"type":"Wap"}}"#,
        ),
    ] {
        let far_side = FarSide::new(Response::default());
        let channel = channel(&far_side, "https://api.mch.weixin.qq.com");
        channel.create(&order).await.unwrap_err();
        let asked = asked(&far_side);
        assert_eq!(asked.uri().path(), format!("/v3/pay/transactions/{path}"));
        let body = std::str::from_utf8(asked.body()).unwrap();
        assert!(body.ends_with(&format!(r#""amount":{{"total":8800,"currency":"CNY"}}{more}}}"#)), "{body}");
    }
    // Nothing is asked with half of what is required.
    for order in
        [NewOrder { way: Way::H5, ..order() }, NewOrder { device_id: Some("till-7".to_owned()), ..order() }]
    {
        let far_side = FarSide::new(Response::default());
        let refused = channel(&far_side, "https://api.mch.weixin.qq.com").create(&order).await.unwrap_err();
        let ChannelError::Refused { field, .. } = &refused else { panic!("{refused}") };
        assert_eq!(field.as_deref(), Some("/scene_info/payer_client_ip"));
    }
}

#[test]
fn a_payment_is_called_up_with_what_the_payers_app_can_verify() {
    let channel = channel(&FarSide::new(Response::default()), "https://api.mch.weixin.qq.com");
    let call = channel.call_up("wxfeedc0de12345678", "wx201410272009395522657a690389285100").unwrap();
    assert_eq!(
        (call.package.as_str(), call.sign_type),
        ("prepay_id=wx201410272009395522657a690389285100", "RSA")
    );
    assert_eq!(call.timestamp, NOW.secs().to_string());
    let message = format!("wxfeedc0de12345678\n{}\n{}\n{}\n", call.timestamp, call.nonce, call.package);
    merchant_public_key().verify(message.as_bytes(), &STANDARD.decode(call.pay_sign).unwrap()).expect("ours");
    assert_ne!(channel.call_up("a", "b").unwrap().nonce, call.nonce);
}

#[tokio::test]
async fn what_is_signed_is_what_is_sent_also_behind_a_path_prefix() {
    let far_side = FarSide::new(Response::default());
    let channel = channel(&far_side, "http://127.0.0.1:8082/wechat/");
    let place = Some("203.0.113.7".to_owned());
    let order = NewOrder { device_id: Some("till-7".to_owned()), client_ip: place, ..order() };
    let error = channel.create(&order).await.unwrap_err();
    assert!(matches!(error, ChannelError::Unverified { .. }) && error.is_retryable(), "{error}");

    let asked = asked(&far_side);
    assert_eq!(asked.uri(), "http://127.0.0.1:8082/wechat/v3/pay/transactions/native");
    assert_eq!(
        std::str::from_utf8(asked.body()).unwrap(),
        r#"{"appid":"wxfeedc0de12345678","mchid":"1699999901","description":"大模型余额充值 88 元","out_trade_no":"T20251009000000000001","time_expire":"2025-10-09T18:53:20+08:00","notify_url":"https://pay.example.test/wechat/v3/notify","amount":{"total":8800,"currency":"CNY"},"scene_info":{"payer_client_ip":"203.0.113.7","device_id":"till-7"}}"#
    );
    let headers = asked.headers();
    assert_eq!(headers["accept"], "application/json");
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(headers["wechatpay-serial"], PUBLIC_KEY_ID);
    assert!(headers["user-agent"].to_str().unwrap().starts_with("tollgate/"));
}

#[tokio::test]
async fn a_refund_asks_for_exactly_what_it_was_given() {
    let far_side = FarSide::new(Response::default());
    let channel = channel(&far_side, "https://api.mch.weixin.qq.com");
    channel.refund(&NewRefund { reason: None, ..refund() }).await.unwrap_err();
    assert_eq!(
        std::str::from_utf8(asked(&far_side).body()).unwrap(),
        r#"{"transaction_id":"4200002815202510090000000001","out_refund_no":"R20251009000000000001","notify_url":"https://pay.example.test/wechat/v3/refund","amount":{"refund":300,"total":8800,"currency":"CNY"}}"#
    );
}

/// Someone in the middle plays a genuine answer about a paid order back to a question about another one.
#[tokio::test]
async fn a_genuine_answer_about_another_order_is_not_believed() {
    let answers = vectors("v3_answers.json");
    let recorded = |wanted: &str| FarSide::recorded(answers.iter().find(|v| name(v) == wanted).unwrap());
    let base_url = "https://api.mch.weixin.qq.com";
    let order = channel(&recorded("query_success"), base_url).query("T20251009000000000002").await;
    let refund = channel(&recorded("refundquery_success"), base_url).query_refund("R2").await;
    for error in [order.unwrap_err(), refund.unwrap_err()] {
        assert!(matches!(error, ChannelError::Malformed { .. }) && !error.is_retryable(), "{error:?}");
        assert!(error.request_id().is_some());
    }
}

#[tokio::test]
async fn the_member_at_fault_is_handed_on() {
    let answers = vectors("v3_answers.json");
    let far_side =
        FarSide::recorded(answers.iter().find(|v| name(v) == "native_param_error_detail").unwrap());
    let error = channel(&far_side, "https://api.mch.weixin.qq.com").create(&order()).await.unwrap_err();
    let ChannelError::Refused { code, field, request_id, .. } = &error else { panic!("{error:?}") };
    assert_eq!((code.as_str(), field.as_deref()), ("PARAM_ERROR", Some("/amount/currency")));
    assert!(request_id.is_some() && error.code() == "PARAM_ERROR" && !error.is_retryable());
}

#[tokio::test]
async fn a_base_url_that_is_none_is_a_wrong_setting() {
    let far_side = FarSide::new(Response::default());
    let error = channel(&far_side, "not a url").query("T1").await.unwrap_err();
    assert!(matches!(error, ChannelError::Misconfigured { .. }), "{error:?}");
    assert!(far_side.asked.lock().unwrap().is_empty());
}

#[test]
fn a_notice_encrypted_with_the_key_before_is_still_read() {
    let changed = CredentialParts {
        api_v3_key: "test0v3key0for0vectors0only00009".to_owned(),
        previous_api_v3_key: Some(API_V3_KEY.to_owned()),
        ..parts()
    };
    let credentials = Credentials::new(changed).unwrap();
    let vectors = vectors("v3_resource_decrypt.json");
    let resource: Resource = serde_json::from_value(vectors[0]["inputs"]["resource"].clone()).unwrap();
    assert_eq!(resource::open(&credentials, &resource).unwrap(), text(&vectors[0]["expected"]["plaintext"]));
}

#[test]
fn unusable_credentials_are_refused_by_the_name_of_the_part() {
    let public_key =
        |id: &str, file: &str| vec![PlatformKeyPart::PublicKey { id: id.to_owned(), pem: pem(file) }];
    let old = || certificate("platform_old_cert.pem");
    let cases = [
        (CredentialParts { mchid: "16\"99".to_owned(), ..parts() }, "mchid"),
        (CredentialParts { appid: String::new(), ..parts() }, "appid"),
        (CredentialParts { merchant_serial: "3A 5C".to_owned(), ..parts() }, "merchant_serial"),
        (
            CredentialParts { merchant_private_key_pem: pem("merchant_cert.pem"), ..parts() },
            "merchant_private_key_pem",
        ),
        (CredentialParts { previous_api_v3_key: Some("short".to_owned()), ..parts() }, "previous_api_v3_key"),
        (CredentialParts { platform_keys: Vec::new(), ..parts() }, "platform_keys"),
        (CredentialParts { platform_keys: vec![old(), old()], ..parts() }, "platform_keys[1]"),
        (
            CredentialParts { platform_keys: public_key("7132", "wechatpay_pubkey.pem"), ..parts() },
            "platform_keys[0].id",
        ),
        (
            CredentialParts { platform_keys: public_key(PUBLIC_KEY_ID, "merchant_cert.pem"), ..parts() },
            "platform_keys[0].pem",
        ),
        (
            CredentialParts { platform_keys: vec![certificate("wechatpay_pubkey.pem")], ..parts() },
            "platform_keys[0].pem",
        ),
    ];
    for (parts, field) in cases {
        assert_eq!(Credentials::new(parts).unwrap_err().field, field);
    }
}

#[test]
fn credentials_show_no_secret() {
    let shown = format!("{:?}", credentials());
    assert!(shown.contains(MCHID) && shown.contains(PUBLIC_KEY_ID), "{shown}");
    assert!(!shown.contains(API_V3_KEY) && !shown.contains("PRIVATE"), "{shown}");
}

#[test]
fn a_channel_is_shared_between_tasks() {
    fn shareable<T: Send + Sync>(_: &T) {}
    fn movable<T: Send>(_: &T) {}
    let channel = channel(&FarSide::new(Response::default()), "https://api.mch.weixin.qq.com");
    shareable(&channel);
    movable(&channel.create(&order()));
    movable(&channel.refund(&refund()));
}

/// Genuine notices: their headers, their bytes, and what they say.
static GENUINE: LazyLock<Vec<(HeaderMap, Vec<u8>, Notice)>> = LazyLock::new(|| {
    let channel = channel(&FarSide::new(Response::default()), "https://pay.example.test");
    let notices = vectors("v3_notify_flow.json").into_iter().filter_map(|vector| {
        let (headers, body) = (header_map(&vector["inputs"]["headers"]), text(&vector["inputs"]["body"]));
        let said = channel.read_notice(&headers, body.as_bytes()).ok()?;
        Some((headers, body.as_bytes().to_vec(), said))
    });
    notices.collect()
});

proptest! {
    #![proptest_config(crate::model::config(100_000))]

    /// A genuine notice that was changed on its way, in its body or in what vouches for it, is refused, or says what it said.
    #[test]
    fn no_changed_notice_is_believed_to_say_something_else(
        which in any::<prop::sample::Index>(),
        header in prop::option::weighted(0.3, any::<prop::sample::Index>()),
        changes in changes(),
    ) {
        thread_local!(static CHANNEL: Channel = channel(&FarSide::new(Response::default()), "https://pay.example.test"));
        let (headers, body, said) = which.get(&GENUINE);
        let (mut headers, mut body) = (headers.clone(), body.clone());
        match header {
            Some(header) => {
                let names: Vec<_> = headers.keys().cloned().collect();
                let name = header.get(&names);
                let mut value = headers[name].as_bytes().to_vec();
                changed(&mut value, changes);
                // What is no header never arrives.
                let Ok(value) = HeaderValue::from_bytes(&value) else { return Ok(()) };
                headers.insert(name, value);
            }
            None => changed(&mut body, changes),
        }
        if let Ok(seen) = CHANNEL.with(|channel| channel.read_notice(&headers, &body)) {
            prop_assert_eq!(&seen, said);
        }
    }
}
