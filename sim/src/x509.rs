//! What does a certificate look like? X.509 as RFC 5280 has it, written by hand: the far side shares no code with those
//! who read it.
use std::io;
use std::net::IpAddr;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::clock::utc_compact;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const UTF8: u8 = 0x0c;
const GENERALIZED_TIME: u8 = 0x18;
const UTC_TIME: u8 = 0x17;
const OCTET_STRING: u8 = 0x04;
/// `[0] EXPLICIT`: the version.
const VERSION: u8 = 0xa0;
/// `[3] EXPLICIT`: the extensions.
const EXTENSIONS: u8 = 0xa3;
/// `[2] IMPLICIT` and `[7] IMPLICIT`: a name and an address among the alternative names of a server.
const DNS_NAME: u8 = 0x82;
const IP_ADDRESS: u8 = 0x87;
/// `[0] IMPLICIT`: which key of the authority's.
const KEY_ID: u8 = 0x80;

/// sha256WithRSAEncryption with its empty parameters.
const SHA256_WITH_RSA: [u8; 15] =
    [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00];
/// commonName.
const COMMON_NAME: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x03];
/// The last byte of an extension's id under `2.5.29`.
const SUBJECT_KEY_ID: u8 = 14;
const KEY_USAGE: u8 = 15;
const ALTERNATIVE_NAMES: u8 = 17;
const BASIC_CONSTRAINTS: u8 = 19;
const AUTHORITY_KEY_ID: u8 = 35;
const EXTENDED_KEY_USAGE: u8 = 37;
/// `BOOLEAN TRUE`.
const TRUE: [u8; 3] = [0x01, 0x01, 0xff];
/// keyCertSign and cRLSign.
const SIGNS_CERTIFICATES: [u8; 4] = [0x03, 0x02, 0x01, 0x06];
/// id-kp-serverAuth.
const SERVER_AUTH: [u8; 10] = [0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];

/// Who signs the certificates of WeChat Pay and of its merchants.
pub(crate) const TENPAY: &str = "Simulated Tenpay.com Root CA";

/// What a certificate says, beside the key.
#[derive(Debug)]
pub(crate) struct Says<'a> {
    /// Forty hexadecimal digits.
    pub(crate) serial: &'a str,
    pub(crate) issuer: &'a str,
    pub(crate) subject: &'a str,
    /// Microseconds since the epoch; whole seconds count.
    pub(crate) from: i64,
    pub(crate) until: i64,
    pub(crate) is_for: Purpose<'a>,
}

/// What a certificate is good for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Purpose<'a> {
    /// It carries a key and no extensions.
    Key,
    /// It signs others.
    Authority,
    /// It stands for a TLS server at these places.
    Server { names: &'a [&'a str], addresses: &'a [IpAddr] },
}

/// A certificate as DER, over the public half of `key`, signed by `issuer`.
///
/// # Errors
/// If the serial is not hexadecimal or the keys do not work.
pub(crate) fn made(says: &Says<'_>, key: &KeyPair, issuer: &KeyPair) -> io::Result<Vec<u8>> {
    let unspecified = |_| io::Error::other("RSA");
    let public: PublicKeyX509Der<'_> = key.public_key().as_der().map_err(unspecified)?;
    let signer: PublicKeyX509Der<'_> = issuer.public_key().as_der().map_err(unspecified)?;
    let mut content = vec![
        wrapped(VERSION, &[wrapped(INTEGER, &[vec![2]])]),
        serial(says.serial)?,
        SHA256_WITH_RSA.to_vec(),
        name(says.issuer),
        wrapped(SEQUENCE, &[time(says.from), time(says.until)]),
        name(says.subject),
        public.as_ref().to_vec(),
    ];
    content.extend(extensions(says.is_for, public.as_ref(), signer.as_ref()));
    let content = wrapped(SEQUENCE, &content);
    let mut signature = vec![0; issuer.public_modulus_len()];
    issuer.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), &content, &mut signature).map_err(unspecified)?;
    let signature = wrapped(BIT_STRING, &[vec![0], signature]);
    Ok(wrapped(SEQUENCE, &[content, SHA256_WITH_RSA.to_vec(), signature]))
}

/// A fresh private key.
pub(crate) fn fresh_key() -> io::Result<KeyPair> {
    KeyPair::generate(KeySize::Rsa2048).map_err(|_| io::Error::other("RSA"))
}

/// DER as text, with a label.
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in STANDARD.encode(der).as_bytes().chunks(64) {
        text.extend(line.iter().copied().map(char::from));
        text.push('\n');
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

/// None for a mere key; otherwise the list in its wrapping.
fn extensions(is_for: Purpose<'_>, public: &[u8], signer: &[u8]) -> Option<Vec<u8>> {
    let own_id = extension(SUBJECT_KEY_ID, false, wrapped(OCTET_STRING, &[key_id(public)]));
    let listed = match is_for {
        Purpose::Key => return None,
        Purpose::Authority => vec![
            extension(BASIC_CONSTRAINTS, true, wrapped(SEQUENCE, &[TRUE.to_vec()])),
            extension(KEY_USAGE, true, SIGNS_CERTIFICATES.to_vec()),
            own_id,
        ],
        Purpose::Server { names, addresses } => {
            let names = names.iter().map(|name| wrapped(DNS_NAME, &[name.as_bytes().to_vec()]));
            let addresses = addresses.iter().map(|address| {
                let bytes = match address {
                    IpAddr::V4(address) => address.octets().to_vec(),
                    IpAddr::V6(address) => address.octets().to_vec(),
                };
                wrapped(IP_ADDRESS, &[bytes])
            });
            let places: Vec<Vec<u8>> = names.chain(addresses).collect();
            let authority = wrapped(SEQUENCE, &[wrapped(KEY_ID, &[key_id(signer)])]);
            vec![
                extension(BASIC_CONSTRAINTS, true, wrapped(SEQUENCE, &[])),
                extension(EXTENDED_KEY_USAGE, false, wrapped(SEQUENCE, &[SERVER_AUTH.to_vec()])),
                extension(ALTERNATIVE_NAMES, false, wrapped(SEQUENCE, &places)),
                extension(AUTHORITY_KEY_ID, false, authority),
                own_id,
            ]
        }
    };
    Some(wrapped(EXTENSIONS, &[wrapped(SEQUENCE, &listed)]))
}

fn extension(id: u8, critical: bool, value: Vec<u8>) -> Vec<u8> {
    let id = vec![0x06, 0x03, 0x55, 0x1d, id];
    let critical = if critical { TRUE.to_vec() } else { Vec::new() };
    wrapped(SEQUENCE, &[id, critical, wrapped(OCTET_STRING, &[value])])
}

/// Twenty bytes that tell keys apart; any method will do. Source: RFC 7093, section 2.
fn key_id(public: &[u8]) -> Vec<u8> {
    digest(&SHA256, public).as_ref().iter().take(20).copied().collect()
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
