//! What does a page in WeChat need to let its reader pay?

/// What a payment is called up with in WeChat; the names on the wire are its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallUp {
    /// `timeStamp`: seconds since 1970, as text.
    pub timestamp: String,
    /// `nonceStr`.
    pub nonce: String,
    /// `package`: `prepay_id=` and the id.
    pub package: String,
    /// `signType`.
    pub sign_type: &'static str,
    /// `paySign`.
    pub pay_sign: String,
}
