//! Is there a bill, and is it whole?

use http::HeaderMap;

use super::Fields;
use crate::channel::{VerifyError, wechat::bills::has_sha1};

const DIGEST: &str = "Digest";

/// Whether the text is the one the digest beside it was made of: `SHA=` and the SHA-1 in hexadecimal. It tells a bill
/// that was cut short from a whole one, and vouches for nobody.
/// Source: WeChat Pay API v2, download of the fund flow bill.
pub(super) fn check_digest(headers: &HeaderMap, text: &[u8]) -> Result<(), VerifyError> {
    let said = headers.get(DIGEST).and_then(|said| said.to_str().ok()).unwrap_or_default();
    let said = said.strip_prefix("SHA=").ok_or(VerifyError::MissingHeader(DIGEST))?;
    if has_sha1(said, text) { Ok(()) } else { Err(VerifyError::BadSignature { probe: false }) }
}

/// Why there is no bill to be had: both are ordinary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoBill {
    /// Nothing happened on that day.
    Empty,
    /// It is still being made.
    NotYet,
}

impl NoBill {
    /// Reads the message that came instead of a bill; `None` if it says something else.
    /// Source: WeChat Pay API v2, error texts of the trade bill and error codes of the fund flow bill.
    pub fn said_by(fields: &Fields) -> Option<Self> {
        let text = |name| fields.get(name).unwrap_or_default().to_lowercase();
        match (text("error_code").as_str(), text("err_code").as_str(), text("return_msg").as_str()) {
            ("20002", ..) | (_, "no_bill_exist", _) | (.., "no bill exist") => Some(Self::Empty),
            (_, "bill_creating", _) | (.., "bill creating") => Some(Self::NotYet),
            _ => None,
        }
    }
}
