//! What is WeChat Pay telling us unasked?

use http::HeaderMap;
use serde::de::DeserializeOwned;
use units::Timestamp;

use super::{
    Credentials,
    certificates::Ring,
    resource::{self, ResourceError},
    verify, wire,
};
use crate::channel::{Notice, VerifyError};

/// Why a notice is not acted upon. Answer it with a status of 400 or more, and it will be sent again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoticeRefused {
    /// A signature header is absent or empty.
    #[error("no {0}")]
    MissingHeader(&'static str),
    /// A signature suite other than RSA with SHA-256.
    #[error("unsupported signature type")]
    UnsupportedType,
    /// Five minutes or more away from our clock: a replay, or one of the clocks is wrong.
    #[error("{skew_secs} s away from our clock")]
    Stale {
        /// Our clock minus theirs, in seconds.
        skew_secs: i64,
    },
    /// No key in force under this serial: unknown to us, or a certificate outside its validity.
    #[error("no key in force under serial {0}")]
    UnknownSerial(String),
    /// The signature does not belong to these bytes.
    #[error("the signature does not hold")]
    BadSignature {
        /// WeChat Pay's own test of whether we check: refused like any other, and only counted apart.
        probe: bool,
    },
    /// Signed by WeChat Pay, yet no APIv3 key of ours opens the resource.
    #[error("no APIv3 key of ours opens the resource")]
    Decrypt,
    /// Not the shape that is documented.
    #[error("malformed: {0}")]
    Malformed(String),
}

impl NoticeRefused {
    /// The reason as a metric label.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::MissingHeader(_) => "missing_header",
            Self::UnsupportedType => "unsupported_type",
            Self::Stale { .. } => "stale",
            Self::UnknownSerial(_) => "unknown_serial",
            Self::BadSignature { probe: false } => "bad_signature",
            Self::BadSignature { probe: true } => "signature_probe",
            Self::Decrypt => "decrypt_failed",
            Self::Malformed(_) => "malformed",
        }
    }
}

impl From<VerifyError> for NoticeRefused {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::MissingHeader(name) => Self::MissingHeader(name),
            VerifyError::UnsupportedType => Self::UnsupportedType,
            VerifyError::BadTimestamp => Self::Malformed(error.to_string()),
            VerifyError::Stale { skew_secs } => Self::Stale { skew_secs },
            VerifyError::UnknownSerial(serial) | VerifyError::NotInForce(serial) => {
                Self::UnknownSerial(serial)
            }
            VerifyError::BadSignature { probe } => Self::BadSignature { probe },
        }
    }
}

impl From<ResourceError> for NoticeRefused {
    fn from(error: ResourceError) -> Self {
        match error {
            ResourceError::NotAuthentic => Self::Decrypt,
            other => Self::Malformed(other.to_string()),
        }
    }
}

/// Verifies, then decrypts, then reads: nothing of the body is looked at before its signature holds.
pub(super) fn read(
    credentials: &Credentials,
    downloaded: &Ring,
    now: Timestamp,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Notice, NoticeRefused> {
    verify::check_by(now, headers, body, |serial| {
        credentials.platform_key(serial).or_else(|| downloaded.get(serial).map(|key| &**key))
    })?;
    let wire::Event { id: event_id, event_type, resource } = parse("event", body)?;
    if event_id.is_empty() {
        return Err(NoticeRefused::Malformed("event: the id is empty".to_owned()));
    }
    let bad = NoticeRefused::Malformed;
    match event_type.as_str() {
        "TRANSACTION.SUCCESS" => {
            let plaintext = resource::open(credentials, &resource)?;
            let trade: wire::Transaction = parse("transaction", plaintext.as_bytes())?;
            Ok(Notice::Paid { event_id, trade: trade.into_trade().map_err(bad)? })
        }
        "REFUND.SUCCESS" | "REFUND.ABNORMAL" | "REFUND.CLOSED" => {
            let plaintext = resource::open(credentials, &resource)?;
            let refund: wire::Refund = parse("refund", plaintext.as_bytes())?;
            let (mchid, report) = refund.into_event().map_err(bad)?;
            Ok(Notice::Refund { event_id, mchid, report })
        }
        "RISK.ACCOUNT" => {
            let plaintext = resource::open(credentials, &resource)?;
            let wire::Risk { mchid, warning } = parse("risk", plaintext.as_bytes())?;
            Ok(Notice::Risk { event_id, mchid, warning })
        }
        _ => Ok(Notice::Other { event_id, event_type }),
    }
}

fn parse<T: DeserializeOwned>(what: &str, json: &[u8]) -> Result<T, NoticeRefused> {
    serde_json::from_slice(json).map_err(|error| NoticeRefused::Malformed(format!("{what}: {error}")))
}
