//! Keys that change, and the other host: whom do we believe by now, and whom do we ask?

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderMap, Request, Response};
use payments::{
    channel::{
        ChannelError, Notice,
        wechat::{
            Hosts,
            v2::{self, ApiV2Key, SignType, Terms, Transports},
            v3::{
                Channel, CredentialParts, Credentials, Downloaded, MerchantCertificate, NoticeRefused,
                PlatformKeyPart,
            },
        },
    },
    transport::{Sending, Transport, TransportError},
};
use rustls_pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use units::{Clock, Timestamp, Wake};

use super::{APPID, MCHID, NOW, header_map, name, pem, text, vectors};

const MERCHANT_SERIAL: &str = "3A5CE0FFA11CE0FFA11CE0FFA11CE0FFA11CE001";
const API_V3_KEY: &str = "test0v3key0for0vectors0only00001";
const OLD: &str = "5157F09EFDC096DE15EBE81A47057A7232F1B8E1";
const NEW: &str = "7132D72A03E93CDDF8C03BBD1F37EEDF00C0FFEE";

// ---- what the tests stand on ----

/// A clock that is moved by hand.
#[derive(Debug)]
struct Moved(AtomicI64);

impl Moved {
    fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(NOW.0)))
    }

    fn advance(&self, time: Duration) {
        self.0.store(self.now().after(time).0, Ordering::SeqCst);
    }
}

impl Clock for Moved {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }

    fn sleep_until(&self, _: Timestamp) -> Wake {
        Box::pin(std::future::ready(()))
    }
}

/// What a far side answers to one request.
type Answering = dyn Fn(&Request<Bytes>) -> Result<Response<Bytes>, TransportError> + Send + Sync;

/// A far side that answers by a rule and remembers what it was asked.
struct Script {
    answer: Box<Answering>,
    asked: Mutex<Vec<Request<Bytes>>>,
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Script")
    }
}

impl Script {
    fn new(
        answer: impl Fn(&Request<Bytes>) -> Result<Response<Bytes>, TransportError> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { answer: Box::new(answer), asked: Mutex::default() })
    }

    /// Says of certificates what was recorded under this name.
    fn with_list(recorded: &str) -> Arc<Self> {
        let answer = list(recorded);
        Self::new(move |_| Ok(answer.clone()))
    }

    fn asked(&self) -> Vec<Request<Bytes>> {
        self.asked.lock().unwrap().clone()
    }
}

impl Transport for Script {
    fn send(&self, request: Request<Bytes>) -> Sending {
        let answer = (self.answer)(&request);
        self.asked.lock().unwrap().push(request);
        // Not at once: others come in the meantime.
        Box::pin(async move {
            tokio::task::yield_now().await;
            answer
        })
    }
}

fn list(recorded: &str) -> Response<Bytes> {
    let vectors = vectors("v3_certificates.json");
    let inputs = &vectors.iter().find(|vector| name(vector) == recorded).unwrap()["inputs"];
    let mut answer = Response::new(Bytes::from(text(&inputs["body"]).to_owned()));
    *answer.headers_mut() = header_map(&inputs["headers"]);
    let status = inputs["status"].as_u64().unwrap_or(200);
    *answer.status_mut() = u16::try_from(status).unwrap().try_into().unwrap();
    answer
}

fn credentials(api_v3_key: &str, platform_keys: Vec<PlatformKeyPart>) -> Credentials {
    let download_certificates = true;
    Credentials::new(CredentialParts {
        mchid: MCHID.to_owned(),
        appid: APPID.to_owned(),
        merchant_serial: MERCHANT_SERIAL.to_owned(),
        merchant_private_key_pem: pem("merchant_key.pem"),
        api_v3_key: api_v3_key.to_owned(),
        previous_api_v3_key: None,
        platform_keys,
        download_certificates,
    })
    .unwrap()
}

/// A merchant with no key of the platform at all.
fn beginner(far_side: &Arc<Script>, clock: &Arc<Moved>) -> Channel {
    let credentials = credentials(API_V3_KEY, Vec::new());
    Channel::new("https://far.invalid", credentials, far_side.clone(), clock.clone())
}

/// A genuine notice of a payment, signed with the old certificate's key.
fn notice() -> (HeaderMap, String) {
    let vectors = vectors("v3_notify_flow.json");
    let inputs = &vectors.iter().find(|vector| name(vector) == "payment_success").unwrap()["inputs"];
    assert_eq!(inputs["headers"]["Wechatpay-Serial"], OLD);
    (header_map(&inputs["headers"]), text(&inputs["body"]).to_owned())
}

/// The same under a serial that nobody has.
fn under_unknown_serial() -> (HeaderMap, String) {
    let (mut headers, body) = notice();
    headers.insert("Wechatpay-Serial", "00000000000000000000000000000000DEADBEEF".parse().unwrap());
    (headers, body)
}

// ---- certificates ----

#[tokio::test]
async fn certificates_are_downloaded_as_recorded() {
    for vector in vectors("v3_certificates.json") {
        let (inputs, expected) = (&vector["inputs"], &vector["expected"]);
        let (far_side, clock) = (Script::with_list(name(&vector)), Moved::new());
        let credentials = credentials(text(&inputs["apiv3_key"]), Vec::new());
        let channel = Channel::new("https://far.invalid", credentials, far_side.clone(), clock);
        let seen = match channel.download_certificates().await {
            Ok(Downloaded::Certificates(serials)) => {
                let listed = expected["certificates"].as_array().unwrap();
                let listed: Vec<_> = listed.iter().map(|entry| text(&entry["serial_no"])).collect();
                assert_eq!(serials, listed, "{}", name(&vector));
                "ok"
            }
            Ok(Downloaded::PublicKeyOnly) => "no_platform_certificate",
            Err(ChannelError::Unverified { .. }) => "signature_mismatch",
            Err(ChannelError::Malformed { what, .. }) if what.contains("no APIv3 key of ours opens it") => {
                "authentication_failed"
            }
            Err(error) => panic!("{}: {error}", name(&vector)),
        };
        assert_eq!(seen, expected["error"].as_str().unwrap_or("ok"), "{}", name(&vector));
        assert_eq!(channel.downloaded_serials().is_empty(), seen != "ok", "{}", name(&vector));
        assert_eq!(far_side.asked()[0].uri().path(), "/v3/certificates");
    }
}

#[tokio::test]
async fn a_list_whose_numbers_are_not_those_of_its_certificates_is_not_kept() {
    let answer = list("download_two_certificates");
    let swapped = std::str::from_utf8(answer.body()).unwrap().replacen(OLD, MERCHANT_SERIAL, 1);
    let far_side = Script::new(move |_| {
        let (head, _) = answer.clone().into_parts();
        Ok(Response::from_parts(head, swapped.clone().into()))
    });
    let channel = beginner(&far_side, &Moved::new());
    let error = channel.download_certificates().await.unwrap_err();
    assert!(error.to_string().contains("its own serial is another"), "{error}");
    assert!(channel.downloaded_serials().is_empty());
}

#[tokio::test]
async fn whoever_has_no_key_of_the_platform_fetches_it_with_the_first_notice() {
    let (far_side, clock) = (Script::with_list("download_two_certificates"), Moved::new());
    let channel = beginner(&far_side, &clock);
    let (headers, body) = notice();
    let taken = join_all((0..20).map(|_| channel.take_notice(&headers, body.as_bytes()))).await;
    for notice in taken {
        assert!(matches!(notice, Ok(Notice::Paid { .. })), "{notice:?}");
    }
    assert_eq!(far_side.asked().len(), 1, "twenty at once wait for one answer");
    assert_eq!(channel.downloaded_serials(), [OLD, NEW]);
    // New keys of ours change nothing about theirs.
    let renewed = channel.renewed("https://far.invalid", credentials(API_V3_KEY, Vec::new()));
    assert!(renewed.read_notice(&headers, body.as_bytes()).is_ok());
}

#[tokio::test]
async fn a_flood_of_unknown_serials_costs_one_request_a_minute() {
    let (far_side, clock) = (Script::with_list("download_two_certificates"), Moved::new());
    let channel = beginner(&far_side, &clock);
    let (headers, body) = under_unknown_serial();
    for minute in 1..=3 {
        for _ in 0..50 {
            let refused = channel.take_notice(&headers, body.as_bytes()).await.unwrap_err();
            assert!(matches!(refused, NoticeRefused::UnknownSerial(_)), "{refused}");
        }
        assert_eq!(far_side.asked().len(), minute);
        clock.advance(Duration::from_secs(61));
    }
    // A probe is refused without a look, whatever serial it names.
    let mut probe = headers.clone();
    probe.insert("Wechatpay-Timestamp", clock.now().secs().into());
    probe.insert("Wechatpay-Signature", "WECHATPAY/SIGNTEST/abc".parse().unwrap());
    let refused = channel.take_notice(&probe, body.as_bytes()).await.unwrap_err();
    assert_eq!(refused.reason(), "signature_probe");
    assert_eq!(far_side.asked().len(), 3);
}

#[tokio::test]
async fn an_answer_under_a_new_serial_is_believed_once_its_certificate_is_there() {
    // A query's answer that the new certificate signed: what it says is about another order, but it is believed.
    let vectors = vectors("v3_notify_verify.json");
    let signed = |name_of: &str| {
        let inputs = &vectors.iter().find(|vector| name(vector) == name_of).unwrap()["inputs"];
        let mut answer = Response::new(Bytes::from(text(&inputs["body"]).to_owned()));
        *answer.headers_mut() = header_map(&inputs["headers"]);
        answer
    };
    let (answer, certificates) =
        (signed("valid_new_certificate_during_rotation"), list("download_two_certificates"));
    let far_side = Script::new(move |request| {
        Ok(if request.uri().path() == "/v3/certificates" { certificates.clone() } else { answer.clone() })
    });
    let error = beginner(&far_side, &Moved::new()).query("T1").await.unwrap_err();
    assert!(matches!(error, ChannelError::Malformed { .. }), "genuine, if not what was asked for: {error}");
    let paths: Vec<_> = far_side.asked().iter().map(|request| request.uri().path().to_owned()).collect();
    assert_eq!(
        paths,
        ["/v3/pay/transactions/out-trade-no/T1", "/v3/certificates"],
        "and nothing is repeated"
    );
}

#[tokio::test]
async fn certificates_are_asked_for_again_before_twelve_hours_are_over_and_soon_after_a_failure() {
    let (far_side, clock) = (Script::with_list("public_key_only_merchant"), Moved::new());
    let channel = beginner(&far_side, &clock);
    assert_eq!(channel.renew_certificates().await.unwrap(), Some(Downloaded::PublicKeyOnly));
    clock.advance(Duration::from_secs(10 * 3600));
    assert_eq!(channel.renew_certificates().await.unwrap(), None);
    clock.advance(Duration::from_secs(3600));
    assert_eq!(channel.renew_certificates().await.unwrap(), Some(Downloaded::PublicKeyOnly));

    let lost = || TransportError::NoAnswer { reason: "the line broke".to_owned() };
    let far_side = Script::new(move |_| Err(lost()));
    let channel = beginner(&far_side, &clock);
    channel.renew_certificates().await.unwrap_err();
    assert_eq!(channel.renew_certificates().await.unwrap(), None);
    clock.advance(Duration::from_secs(301));
    channel.renew_certificates().await.unwrap_err();
    assert_eq!(far_side.asked().len(), 2);
}

#[test]
fn a_certificate_of_another_key_or_number_does_not_fit() {
    let of = |serial: &str| CredentialParts {
        mchid: MCHID.to_owned(),
        appid: APPID.to_owned(),
        merchant_serial: serial.to_owned(),
        merchant_private_key_pem: pem("merchant_key.pem"),
        api_v3_key: API_V3_KEY.to_owned(),
        previous_api_v3_key: None,
        platform_keys: Vec::new(),
        download_certificates: true,
    };
    let own = MerchantCertificate::of(&pem("merchant_cert.pem"), &pem("merchant_key.pem")).unwrap();
    let fits =
        |serial: &str, certificate: &str| Credentials::new(of(serial)).unwrap().fits(&pem(certificate));
    assert_eq!(fits(&own.serial, "merchant_cert.pem").unwrap(), own);
    assert_eq!(fits(OLD, "merchant_cert.pem").unwrap_err().field, "merchant_serial");
    let other = fits(OLD, "platform_old_cert.pem").unwrap_err();
    assert_eq!(other.problem, "it belongs to another private key");
    assert_eq!(fits(OLD, "merchant_key.pem").unwrap_err().problem, "not a certificate in PEM");
}

/// No request of ours carries an encrypted member; this is what WeChat Pay would do with one.
#[test]
fn encrypted_members_are_opened_as_recorded() {
    for vector in vectors("v3_oaep.json") {
        let inputs = &vector["inputs"];
        let key_file = text(&inputs["private_key"]).trim_start_matches("keys/").to_owned();
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem(&key_file).as_bytes()).unwrap();
        let key = PrivateDecryptingKey::from_pkcs8(der.secret_pkcs8_der()).unwrap();
        let key = OaepPrivateDecryptingKey::new(key).unwrap();
        let ciphertext = STANDARD.decode(text(&vector["expected"]["ciphertext"])).unwrap();
        let mut plaintext = vec![0; key.min_output_size()];
        let opened = key.decrypt(&OAEP_SHA1_MGF1SHA1, &ciphertext, &mut plaintext, None).unwrap();
        assert_eq!(opened, text(&inputs["plaintext"]).as_bytes(), "{}", name(&vector));
    }
}

// ---- the other host ----

const USUAL: &str = "api.mch.weixin.qq.com";
const BACKUP: &str = "api2.mch.weixin.qq.com";

fn hosts() -> Hosts {
    Hosts::new("https://api.mch.weixin.qq.com", Some("https://api2.mch.weixin.qq.com"))
}

fn never_left() -> TransportError {
    TransportError::NeverLeft { reason: "connection refused".to_owned() }
}

/// The usual host gives `usual`, the other one an answer that says nothing.
fn two_hosts(usual: fn() -> TransportError) -> Arc<Script> {
    Script::new(
        move |request| {
            if request.uri().host() == Some(USUAL) { Err(usual()) } else { Ok(Response::default()) }
        },
    )
}

fn v3(far_side: &Arc<Script>, hosts: Hosts) -> Channel {
    Channel::new(hosts, credentials(API_V3_KEY, Vec::new()), far_side.clone(), Moved::new())
}

fn v2(far_side: &Arc<Script>, hosts: Hosts) -> v2::Channel {
    let transports = Transports { plain: far_side.clone(), with_certificate: Some(far_side.clone()) };
    let key = ApiV2Key::new("test0v2key0for0vectors0only00001".to_owned()).unwrap();
    v2::Channel::new(hosts, MCHID.to_owned(), key, transports, Moved::new())
}

#[tokio::test]
async fn what_never_left_goes_to_the_other_host_as_it_was() {
    let terms = Terms { appid: APPID.to_owned(), sign_type: SignType::HmacSha256 };
    for api in ["v3", "v2"] {
        let far_side = two_hosts(never_left);
        let error = match api {
            "v3" => v3(&far_side, hosts()).query("T1").await.unwrap_err(),
            _ => v2(&far_side, hosts()).query(&terms, "T1").await.unwrap_err(),
        };
        assert!(!matches!(error, ChannelError::NoAnswer(_)), "{api}: {error}");
        let asked = far_side.asked();
        let [first, second] = asked.as_slice() else { panic!("{api}: {asked:?}") };
        assert_eq!((first.uri().host(), second.uri().host()), (Some(USUAL), Some(BACKUP)), "{api}");
        assert_eq!(first.uri().path_and_query(), second.uri().path_and_query(), "{api}");
        assert_eq!(first.method(), second.method(), "{api}");
        assert_eq!(first.headers(), second.headers(), "{api}: one signature");
        assert_eq!(first.body(), second.body(), "{api}");
    }
}

#[tokio::test]
async fn what_may_have_arrived_is_repeated_nowhere() {
    let far_side = two_hosts(|| TransportError::NoAnswer { reason: "15 s".to_owned() });
    let terms = Terms { appid: APPID.to_owned(), sign_type: SignType::Md5 };
    let over_v3 = v3(&far_side, hosts()).query("T1").await.unwrap_err();
    let over_v2 = v2(&far_side, hosts()).query(&terms, "T1").await.unwrap_err();
    for error in [over_v3, over_v2] {
        assert!(matches!(error, ChannelError::NoAnswer(_)), "{error}");
    }
    let asked = far_side.asked();
    assert!(asked.len() == 2 && asked.iter().all(|request| request.uri().host() == Some(USUAL)), "{asked:?}");
}

#[tokio::test]
async fn without_another_host_what_never_left_is_no_answer() {
    let far_side = two_hosts(never_left);
    let error = v3(&far_side, Hosts::from("https://api.mch.weixin.qq.com")).query("T1").await.unwrap_err();
    assert!(matches!(error, ChannelError::NoAnswer(TransportError::NeverLeft { .. })), "{error}");
    assert_eq!(far_side.asked().len(), 1);
}
