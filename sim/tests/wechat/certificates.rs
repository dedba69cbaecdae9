//! Platform certificates: downloaded, in use beside the public key, and changed while everything runs.
use serde_json::{Value, json};
use x509_cert::Certificate;
use x509_cert::der::{DecodePem, Encode};

use crate::far::{Far, Inbox, der};

/// The keys of a list of certificates by serial, checked as a merchant would.
fn keys(far: &Far, list: &Value) -> Vec<(String, Vec<u8>)> {
    let certificates = list["data"].as_array().unwrap();
    certificates
        .iter()
        .map(|listed| {
            let pem = far.unsealed(&listed["encrypt_certificate"]);
            let certificate = Certificate::from_pem(&pem).unwrap();
            let content = certificate.tbs_certificate();
            let serial: String =
                content.serial_number().as_bytes().iter().map(|byte| format!("{byte:02X}")).collect();
            assert_eq!(listed["serial_no"], serial);
            let spki = content.subject_public_key_info().to_der().unwrap();
            (serial, spki)
        })
        .collect()
}

/// `GET /v3/certificates` as a merchant asks who verifies with certificates: without naming a key.
async fn download(far: &Far) -> (u16, Vec<(String, Vec<u8>)>) {
    let answer = far
        .call_with("GET", "/v3/certificates", "", |headers| {
            headers.retain(|(name, _)| *name != "wechatpay-serial")
        })
        .await;
    let status = answer.status().as_u16();
    let headers = answer.headers().clone();
    let body = answer.bytes().await.unwrap();
    if status != 200 {
        return (status, Vec::new());
    }
    let keys = keys(far, &serde_json::from_slice(&body).unwrap());
    assert!(far.genuine_by(&headers, &body, &keys), "signed by a certificate that is in the list");
    (status, keys)
}

#[tokio::test]
async fn certificates_are_downloaded_and_verify_their_own_download() {
    let far = Far::open().await;
    assert_eq!(download(&far).await.0, 404, "public key only");
    let (status, shown) = far.post("/_sim/v1/wechat/keys", json!({"certificates": "rotate"})).await;
    assert_eq!((status, shown["certificates"].as_array().unwrap().len()), (200, 1), "{shown}");
    let (status, keys) = download(&far).await;
    assert_eq!((status, keys.len()), (200, 1));
    assert_eq!(shown["in_use"], keys[0].0);

    // Who still names the public key is answered by it.
    let by_public_key = far.call("GET", "/v3/certificates", &Value::Null).await;
    assert_eq!(by_public_key.0, 200);
    let unknown = far
        .call_with("GET", "/v3/certificates", "", |headers| {
            headers
                .iter_mut()
                .filter(|(name, _)| *name == "wechatpay-serial")
                .for_each(|it| it.1 = "5AFE".into());
        })
        .await;
    assert_eq!(unknown.status(), 400);
    let sm2 = far.call("GET", "/v3/certificates?algorithm_type=SM2", &Value::Null).await;
    assert_eq!(sm2.0, 400);
}

#[tokio::test]
async fn notifications_move_from_certificate_to_certificate_and_to_the_public_key() {
    let far = Far::open().await;
    let mut inbox = Inbox::open(&[]).await;
    let turn = async |turn: Value| {
        let (status, shown) = far.post("/_sim/v1/wechat/keys", turn).await;
        assert_eq!(status, 200, "{shown}");
        shown
    };
    let old = turn(json!({"certificates": "rotate", "public_key_percent": 0})).await["in_use"].clone();
    let next = turn(json!({"certificates": "issue"})).await;
    assert_eq!(
        (&next["in_use"], next["certificates"].as_array().unwrap().len()),
        (&old, 2),
        "known before used"
    );
    let (_, keys) = download(&far).await;
    let number = |n: usize| format!("C202510090000{n}");
    let paid = async |inbox: &mut Inbox, n: usize| {
        far.create(&far.order(&number(n), &inbox.url)).await;
        far.pay(&number(n)).await;
        inbox.next().await
    };
    let (headers, body) = paid(&mut inbox, 1).await;
    assert_eq!(headers["wechatpay-serial"], old.as_str().unwrap());
    assert!(far.genuine_by(&headers, &body, &keys));
    let new = turn(json!({"certificates": "use_newest"})).await["in_use"].clone();
    assert_ne!(new, old);
    let (headers, body) = paid(&mut inbox, 2).await;
    assert_eq!(headers["wechatpay-serial"], new.as_str().unwrap());
    assert!(far.genuine_by(&headers, &body, &keys));
    turn(json!({"certificates": "retire", "public_key_percent": 100})).await;
    assert_eq!(download(&far).await.1.len(), 1);
    let (headers, body) = paid(&mut inbox, 3).await;
    assert!(far.genuine(&headers, &body), "by the public key");

    // In between, both occur.
    turn(json!({"public_key_percent": 50})).await;
    let mut serials = std::collections::BTreeSet::new();
    for n in 100..400 {
        let (headers, _) = paid(&mut inbox, n).await;
        serials.insert(headers["wechatpay-serial"].clone());
        if serials.len() == 2 {
            break;
        }
    }
    assert_eq!(serials.len(), 2);
    turn(json!({"certificates": "none"})).await;
    assert_eq!(download(&far).await.0, 404);
    assert_eq!(far.post("/_sim/v1/wechat/keys", json!({"certificates": "use_newest"})).await.0, 409);
    assert_eq!(far.post("/_sim/v1/wechat/keys", json!({"public_key_percent": 101})).await.0, 400);
}

#[tokio::test]
async fn a_merchants_certificate_carries_its_key_and_its_serial() {
    let far = Far::open().await;
    let certificate = Certificate::from_pem(&far.merchant.merchant_certificate_pem).unwrap();
    let content = certificate.tbs_certificate();
    let serial: String =
        content.serial_number().as_bytes().iter().map(|byte| format!("{byte:02X}")).collect();
    assert_eq!(serial, far.merchant.merchant_serial);
    let spki = content.subject_public_key_info().to_der().unwrap();
    assert_eq!(spki, der(&far.merchant.merchant_public_key_pem));
    // Over exactly these bytes stands the signature of the platform's key.
    let signed = content.to_der().unwrap();
    let key = aws_lc_rs::signature::UnparsedPublicKey::new(
        &aws_lc_rs::signature::RSA_PKCS1_2048_8192_SHA256,
        der(&far.merchant.platform_public_key_pem),
    );
    key.verify(&signed, certificate.signature().as_bytes().unwrap()).unwrap();
}
