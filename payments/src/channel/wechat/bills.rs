//! Which bill do we ask for, how large may it be, and is it whole? What is in it is read elsewhere.

use std::{io::Read as _, time::Duration};

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use bytes::Bytes;

use crate::transport::AnswerBounds;

/// The largest bill that is taken, unpacked: some 400,000 payments of a day.
pub const BILL_BYTES_MAX: usize = 128 * 1024 * 1024;

/// How a bill may come: it is larger than any other answer and takes its time.
pub(super) const BOUNDS: AnswerBounds =
    AnswerBounds { bytes_max: BILL_BYTES_MAX, time_max: Duration::from_secs(120) };

/// What a packed file begins with. Source: RFC 1952, section 2.3.1.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Which rows of a day's trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BillRows {
    /// Payments and refunds.
    All,
    /// Payments only.
    Success,
    /// Refunds only.
    Refund,
}

impl BillRows {
    /// The channel's name of it. Source: WeChat Pay API v2 and v3, download of the trade bill, `bill_type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "ALL",
            Self::Success => "SUCCESS",
            Self::Refund => "REFUND",
        }
    }
}

/// Which of the merchant's accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FundAccount {
    /// Where payments arrive.
    Basic,
    /// What the merchant pays out from.
    Operation,
    /// What fees are paid from.
    Fees,
}

impl FundAccount {
    /// The channel's name of it; API v3 writes it in upper case.
    /// Source: WeChat Pay API v2, download of the fund flow bill, `account_type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Basic => "Basic",
            Self::Operation => "Operation",
            Self::Fees => "Fees",
        }
    }
}

/// Whether the text is the one that this SHA-1, in hexadecimal, was made of. It tells a bill that was cut short from a
/// whole one; who vouches for the sum is for the caller to know.
pub(super) fn has_sha1(said: &str, text: &[u8]) -> bool {
    let made = base16ct::lower::encode_string(digest(&SHA1_FOR_LEGACY_USE_ONLY, text).as_ref());
    said.eq_ignore_ascii_case(&made)
}

/// The file as it was before it was packed, if it was; in words what is wrong with it otherwise. What unpacks to more than
/// [`BILL_BYTES_MAX`] bytes is not unpacked to its end.
pub(super) fn unpacked(file: Bytes) -> Result<Bytes, String> {
    if !file.starts_with(&GZIP_MAGIC) {
        return Ok(file);
    }
    let mut whole = Vec::new();
    let mut bounded = flate2::read::MultiGzDecoder::new(&file[..]).take(BILL_BYTES_MAX as u64 + 1);
    bounded
        .read_to_end(&mut whole)
        .map_err(|error| format!("the packed bill cannot be unpacked: {error}"))?;
    if whole.len() > BILL_BYTES_MAX {
        return Err(format!("the bill unpacks to more than {BILL_BYTES_MAX} bytes"));
    }
    Ok(whole.into())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn packed(bytes: &[u8]) -> Bytes {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap().into()
    }

    #[test]
    fn a_packed_file_is_unpacked_and_a_plain_one_left_alone() {
        assert_eq!(unpacked(packed(b"a bill")).unwrap(), "a bill");
        assert_eq!(unpacked(Bytes::from_static(b"a bill")).unwrap(), "a bill");
    }

    #[test]
    fn a_file_that_is_cut_short_or_unpacks_without_end_is_refused() {
        let whole = packed(b"a bill that is cut short");
        assert!(unpacked(whole.slice(..whole.len() - 9)).is_err());
        let bomb = packed(&vec![b'`'; BILL_BYTES_MAX + 1]);
        assert!(bomb.len() < BILL_BYTES_MAX / 100, "{}", bomb.len());
        assert!(unpacked(bomb).unwrap_err().contains("more than"));
    }
}
