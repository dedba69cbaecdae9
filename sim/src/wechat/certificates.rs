//! What does a certificate look like? X.509 as RFC 5280 has it, written by hand: the far side shares no code with those
//! who read it.
use std::io;

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};

use super::credentials::pem;
use crate::clock::utc_compact;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const UTF8: u8 = 0x0c;
const GENERALIZED_TIME: u8 = 0x18;
const UTC_TIME: u8 = 0x17;
/// `[0] EXPLICIT`: the version.
const VERSION: u8 = 0xa0;

/// sha256WithRSAEncryption with its empty parameters.
const SHA256_WITH_RSA: [u8; 15] =
    [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00];
/// commonName.
const COMMON_NAME: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x03];

/// What a certificate says, beside the key.
#[derive(Debug)]
pub(super) struct Says<'a> {
    /// Forty hexadecimal digits.
    pub(super) serial: &'a str,
    pub(super) subject: &'a str,
    /// Microseconds since the epoch; whole seconds count.
    pub(super) from: i64,
    pub(super) until: i64,
}

/// Who signs certificates here.
const ISSUER: &str = "Simulated Tenpay.com Root CA";

/// A certificate as PEM, over the public half of `key`, signed by `issuer`.
///
/// # Errors
/// If the serial is not hexadecimal or the keys do not work.
pub(super) fn made(says: &Says<'_>, key: &KeyPair, issuer: &KeyPair) -> io::Result<String> {
    let unspecified = |_| io::Error::other("RSA");
    let public: PublicKeyX509Der<'_> = key.public_key().as_der().map_err(unspecified)?;
    let content = wrapped(
        SEQUENCE,
        &[
            wrapped(VERSION, &[wrapped(INTEGER, &[vec![2]])]),
            serial(says.serial)?,
            SHA256_WITH_RSA.to_vec(),
            name(ISSUER),
            wrapped(SEQUENCE, &[time(says.from), time(says.until)]),
            name(says.subject),
            public.as_ref().to_vec(),
        ],
    );
    let mut signature = vec![0; issuer.public_modulus_len()];
    issuer.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), &content, &mut signature).map_err(unspecified)?;
    let signature = wrapped(BIT_STRING, &[vec![0], signature]);
    Ok(pem("CERTIFICATE", &wrapped(SEQUENCE, &[content, SHA256_WITH_RSA.to_vec(), signature])))
}

/// A tag, the length, and what is inside.
fn wrapped(tag: u8, parts: &[Vec<u8>]) -> Vec<u8> {
    let inside = parts.concat();
    let mut der = vec![tag];
    let bytes = inside.len().to_be_bytes();
    let length = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
    if !matches!(length, [] | [..=0x7f]) {
        // So many bytes of length follow; never more than eight.
        der.push(0x80 | u8::try_from(length.len()).unwrap_or_default());
    }
    der.extend_from_slice(if length.is_empty() { &[0] } else { length });
    der.extend(inside);
    der
}

fn serial(hex: &str) -> io::Result<Vec<u8>> {
    let bad = || io::Error::new(io::ErrorKind::InvalidInput, "a serial is hexadecimal");
    let nibbles: Option<Vec<u32>> = hex.chars().map(|digit| digit.to_digit(16)).collect();
    let nibbles = nibbles.filter(|nibbles| nibbles.len() % 2 == 0).ok_or_else(bad)?;
    let mut bytes = Vec::with_capacity(nibbles.len() / 2 + 1);
    for pair in nibbles.chunks_exact(2) {
        bytes.push(u8::try_from(pair[0] * 16 + pair[1]).map_err(|_| bad())?);
    }
    while bytes.len() > 1 && bytes[0] == 0 {
        bytes.remove(0);
    }
    if bytes.first().is_some_and(|first| *first >= 0x80) {
        // Otherwise it would be negative.
        bytes.insert(0, 0);
    }
    Ok(wrapped(INTEGER, &[bytes]))
}

fn name(common: &str) -> Vec<u8> {
    let text = wrapped(UTF8, &[common.as_bytes().to_vec()]);
    wrapped(SEQUENCE, &[wrapped(SET, &[wrapped(SEQUENCE, &[COMMON_NAME.to_vec(), text])])])
}

/// Years before 2050 have two digits.
fn time(micros: i64) -> Vec<u8> {
    let written = utc_compact(micros);
    match written.strip_prefix("20") {
        Some(short) if short < "50" => wrapped(UTC_TIME, &[short.as_bytes().to_vec()]),
        _ => wrapped(GENERALIZED_TIME, &[written.into_bytes()]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_serials_are_written_as_der_wants_them() {
        assert_eq!(wrapped(0x04, &[vec![7; 3]])[..2], [4, 3]);
        assert_eq!(wrapped(0x04, &[vec![7; 0x80]])[..3], [4, 0x81, 0x80]);
        assert_eq!(wrapped(0x04, &[vec![7; 0x1234]])[..4], [4, 0x82, 0x12, 0x34]);
        assert_eq!(wrapped(0x04, &[]), [4, 0]);
        assert_eq!(serial("7132").unwrap(), [2, 2, 0x71, 0x32]);
        assert_eq!(serial("F132").unwrap(), [2, 3, 0, 0xf1, 0x32]);
        assert_eq!(serial("0032").unwrap(), [2, 1, 0x32]);
        assert!(serial("GG").is_err() && serial("123").is_err());
        assert_eq!(time(1_760_000_000_000_000)[2..], *b"251009085320Z");
        assert_eq!(time(2_600_000_000_000_000)[2..], *b"20520522141320Z");
    }
}
