//! Which refund should we ask about?
//!
//! A refund notice is encrypted, and not signed. The cipher vouches for nothing: blocks of one notice, exchanged with
//! those of another, still decrypt, and may say another amount. So what comes out names a refund and no more; what
//! became of it is for a signed answer to say.
//! Source: WeChat Pay API v2, refund notice.

use aws_lc_rs::cipher::{AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{ApiV2Key, NoticeRefused, notice, wire::required, xml};

/// The root of what is encrypted.
const ROOT: &str = "root";
/// Bytes of a block.
const BLOCK_BYTES: usize = 16;

/// A refund that somebody who knows the merchant's notices wants us to ask about. Nothing is to be booked from it, so
/// it carries neither an amount nor a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundHint {
    /// Our number, or the console's for a refund that was started there.
    pub out_refund_no: String,
    /// The channel's number of the refund.
    pub refund_id: String,
    /// The channel's number of the payment.
    pub transaction_id: String,
    /// Our number of the payment.
    pub out_trade_no: String,
}

/// Why `req_info` says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HintError {
    /// Not strict base64.
    #[error("req_info is not base64")]
    Base64,
    /// Nothing, or no whole number of blocks.
    #[error("req_info is no whole number of blocks")]
    Length,
    /// Our key does not open it: another merchant's, changed since, or the padding is not there.
    #[error("our key does not open req_info")]
    Padding,
}

/// The text that is encrypted in `req_info`.
///
/// # Errors
/// [`HintError`].
pub fn decrypt(key: &ApiV2Key, req_info: &str) -> Result<Vec<u8>, HintError> {
    let mut text = STANDARD.decode(req_info).map_err(|_| HintError::Base64)?;
    if text.is_empty() || !text.len().is_multiple_of(BLOCK_BYTES) {
        return Err(HintError::Length);
    }
    let key = UnboundCipherKey::new(&AES_256, key.for_refund_notices().as_bytes())
        .and_then(PaddedBlockDecryptingKey::ecb_pkcs7)
        .map_err(|_| HintError::Padding)?;
    let length = key.decrypt(&mut text, DecryptionContext::None).map_err(|_| HintError::Padding)?.len();
    text.truncate(length);
    Ok(text)
}

/// Opens a refund notice.
pub(super) fn read(key: &ApiV2Key, body: &[u8]) -> Result<RefundHint, NoticeRefused> {
    let envelope = notice::opened(body)?;
    let text = decrypt(key, envelope.get("req_info").unwrap_or_default())?;
    let fields = xml::read(&text, ROOT)?;
    let text = |name| required(&fields, name).map(str::to_owned).map_err(NoticeRefused::Malformed);
    Ok(RefundHint {
        out_refund_no: text("out_refund_no")?,
        refund_id: text("refund_id")?,
        transaction_id: text("transaction_id")?,
        out_trade_no: text("out_trade_no")?,
    })
}
