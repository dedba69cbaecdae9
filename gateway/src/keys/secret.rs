//! A new key's text.

use std::io;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use units::Livemode;

/// A key nobody has seen: 256 random bits behind a prefix that says whose and of which money.
///
/// # Errors
/// If the system gives no random numbers.
pub fn fresh_secret(livemode: Livemode) -> io::Result<String> {
    let mut bytes = [0_u8; 32];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| io::Error::other("the system gives no random numbers"))?;
    Ok(format!("sk-tg-{livemode}-{}", URL_SAFE_NO_PAD.encode(bytes)))
}
