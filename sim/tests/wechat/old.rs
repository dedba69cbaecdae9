//! A merchant of v2: XML and both signatures, by code of the test's own.
use std::collections::BTreeMap;

use aws_lc_rs::hmac;
use md5::{Digest, Md5};

use crate::far::Far;

pub type Fields = BTreeMap<String, String>;

/// A merchant who signs everything in one way.
pub struct Old<'a> {
    pub far: &'a Far,
    pub hmac: bool,
    pub key: String,
    /// What stands before the paths.
    pub prefix: &'static str,
}

impl<'a> Old<'a> {
    pub fn md5(far: &'a Far) -> Self {
        Self { far, hmac: false, key: far.merchant.api_v2_key.clone(), prefix: "" }
    }
    pub fn hmac(far: &'a Far) -> Self {
        Self { hmac: true, ..Self::md5(far) }
    }

    /// Fields with those that every call has.
    pub fn fields(&self, fields: &[(&str, &str)]) -> Fields {
        let mut all = of(fields);
        all.insert("appid".into(), self.far.merchant.appid.clone());
        all.insert("mch_id".into(), self.far.merchant.mchid.clone());
        all.insert("nonce_str".into(), "5K8264ILTKCH16CQ2502SI8ZNMTM67VS".into());
        if self.hmac {
            all.insert("sign_type".into(), "HMAC-SHA256".into());
        }
        all
    }

    pub fn sign(&self, fields: &Fields) -> String {
        signature(fields, &self.key, self.hmac)
    }

    /// Sends a body as it is.
    pub async fn raw(&self, path: &str, body: String) -> (u16, String) {
        let url = format!("{}/wechat/{}{path}", self.far.base, self.prefix);
        let request = self.far.http.post(url).header("content-type", "application/xml");
        let answer = request.body(body).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Signs and sends; the signature on the answer has to be right where there is one.
    pub async fn send(&self, path: &str, mut fields: Fields) -> Fields {
        fields.insert("sign".into(), self.sign(&fields));
        let (status, text) = self.raw(path, xml(&fields)).await;
        assert_eq!(status, 200, "{text}");
        let answer = read(&text);
        if answer.contains_key("result_code") {
            assert_eq!(answer["sign"], self.sign(&answer), "{text}");
            assert_eq!(answer["mch_id"], self.far.merchant.mchid);
        } else {
            assert!(!answer.contains_key("sign"), "{text}");
        }
        answer
    }

    pub async fn call(&self, path: &str, fields: &[(&str, &str)]) -> Fields {
        self.send(path, self.fields(fields)).await
    }

    /// A native order over 88.00.
    pub fn order(&self, number: &str, notify_url: &str) -> Fields {
        self.fields(&[
            ("body", "余额充值 <b>88</b> 元"),
            ("out_trade_no", number),
            ("total_fee", "8800"),
            ("spbill_create_ip", "203.0.113.7"),
            ("notify_url", notify_url),
            ("trade_type", "NATIVE"),
            ("product_id", "topup-88"),
            ("attach", "u:42"),
        ])
    }
    pub async fn create(&self, order: Fields) -> Fields {
        self.send("pay/unifiedorder", order).await
    }
    pub async fn query(&self, number: &str) -> Fields {
        self.call("pay/orderquery", &[("out_trade_no", number)]).await
    }
    pub async fn refund(&self, fields: &[(&str, &str)]) -> Fields {
        self.call("secapi/pay/refund", fields).await
    }
}

pub fn of(fields: &[(&str, &str)]) -> Fields {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

pub fn signature(fields: &Fields, key: &str, hmac_sha256: bool) -> String {
    let mut text = String::new();
    for (name, value) in fields.iter().filter(|(name, value)| *name != "sign" && !value.is_empty()) {
        text += &format!("{name}={value}&");
    }
    text += &format!("key={key}");
    let digest = if hmac_sha256 {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()), text.as_bytes()).as_ref().to_vec()
    } else {
        Md5::digest(text.as_bytes()).to_vec()
    };
    digest.iter().map(|byte| format!("{byte:02X}")).collect()
}

pub fn xml(fields: &Fields) -> String {
    let inside: String =
        fields.iter().map(|(name, value)| format!("<{name}><![CDATA[{value}]]></{name}>")).collect();
    format!("<xml>{inside}</xml>")
}

/// Reads what the simulator writes: a root, and elements of text or one CDATA section.
pub fn read(text: &str) -> Fields {
    let (_, mut rest) = text.split_once('>').unwrap();
    let mut fields = Fields::new();
    while !rest.starts_with("</") {
        let (name, after) = rest[1..].split_once('>').unwrap();
        let (value, after) = after.split_once(&format!("</{name}>")).unwrap();
        let plain = value.strip_prefix("<![CDATA[").and_then(|value| value.strip_suffix("]]>"));
        assert!(fields.insert(name.into(), plain.unwrap_or(value).into()).is_none(), "{name} twice");
        rest = after;
    }
    fields
}
