//! A JSON number as a price, exactly: from its text, never by way of a float.

use serde_json::value::RawValue;

use crate::MicroPerMillion;

/// Decimals of a [`MicroPerMillion`].
const MICRO_DECIMALS: i64 = 6;
/// Prices above this, per million tokens, are taken for a slip of the pen.
const HIGHEST: i64 = 100_000_000_000;

/// Why a figure is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadFigure {
    /// A text, a list, or nothing.
    #[error("is not a number")]
    NotANumber,
    /// It would pay us.
    #[error("is negative")]
    Negative,
    /// We count millionths.
    #[error("is finer than a millionth per million tokens")]
    TooFine,
    /// Surely a mistake.
    #[error("is more than 100,000 per million tokens")]
    Absurd,
}

/// What a token costs, as what a million cost.
pub(super) fn per_token(raw: &RawValue) -> Result<MicroPerMillion, BadFigure> {
    read(raw.get(), 6)
}

/// What a million tokens cost.
pub(super) fn per_million(raw: &RawValue) -> Result<MicroPerMillion, BadFigure> {
    read(raw.get(), 0)
}

/// The number times 10^`shift`, as a price. RFC 8259 says how a number is written; whoever calls has parsed it as JSON.
fn read(text: &str, shift: i64) -> Result<MicroPerMillion, BadFigure> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent),
        None => (text, "0"),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return Err(BadFigure::NotANumber);
    }
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_start_matches('0').trim_end_matches('0');
    if significant.is_empty() {
        return Ok(MicroPerMillion(0));
    }
    if negative {
        return Err(BadFigure::Negative);
    }
    // An exponent that does not fit is one of a number that is absurd, or of one that is as good as nothing.
    let exponent: i64 = match exponent.parse::<i32>() {
        Ok(exponent) => exponent.into(),
        Err(_) if exponent.starts_with('-') => return Err(BadFigure::TooFine),
        Err(_) => return Err(BadFigure::Absurd),
    };
    let zeros = (digits.len() - digits.trim_end_matches('0').len()) as i64;
    let power = exponent - fraction.len() as i64 + zeros + shift + MICRO_DECIMALS;
    if power < 0 {
        return Err(BadFigure::TooFine);
    }
    // More than 18 zeros fit no price.
    let zeros = 10_i64.checked_pow(u32::try_from(power).unwrap_or(u32::MAX));
    match significant.parse::<i64>().ok().zip(zeros).and_then(|(value, zeros)| value.checked_mul(zeros)) {
        Some(value) if value <= HIGHEST => Ok(MicroPerMillion(value)),
        _ => Err(BadFigure::Absurd),
    }
}

/// A whole count such as `128000` or `128000.0`.
pub(super) fn count(raw: &RawValue) -> Option<u64> {
    // Millionths of a million are ones.
    let text = raw.get();
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole_number = fraction.bytes().all(|b| b == b'0') && whole.bytes().all(|b| b.is_ascii_digit());
    if whole_number { whole.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token(text: &str) -> Result<i64, BadFigure> {
        per_token(serde_json::from_str::<&RawValue>(text).unwrap()).map(|price| price.0)
    }

    #[test]
    fn a_number_is_read_as_it_is_written() {
        for (text, micro) in [
            ("1.5e-07", 150_000),
            ("1.5E-7", 150_000),
            ("0.00000015", 150_000),
            ("15e-8", 150_000),
            ("2.5e-06", 2_500_000),
            ("0", 0),
            ("0.0", 0),
            ("-0.0", 0),
            ("0e400", 0),
            ("1e-12", 1),
            ("0.1", 100_000_000_000),
            ("3e-06", 3_000_000),
            ("10e-06", 10_000_000),
            ("100.0e-06", 100_000_000),
            ("0.30e-05", 3_000_000),
        ] {
            assert_eq!(token(text), Ok(micro), "{text}");
        }
        assert_eq!(per_million(serde_json::from_str("0.075").unwrap()), Ok(MicroPerMillion(75_000)));
    }

    #[test]
    fn what_cannot_be_a_price_is_said_to_be_none() {
        for (text, why) in [
            ("-1e-06", BadFigure::Negative),
            ("1e-13", BadFigure::TooFine),
            ("7.500000000000001e-08", BadFigure::TooFine),
            ("1e-99999999999", BadFigure::TooFine),
            ("0.2", BadFigure::Absurd),
            ("1e30", BadFigure::Absurd),
            ("1e99999999999", BadFigure::Absurd),
            ("99999999999999999999", BadFigure::Absurd),
            ("\"1\"", BadFigure::NotANumber),
            ("null", BadFigure::NotANumber),
            ("[1]", BadFigure::NotANumber),
            ("true", BadFigure::NotANumber),
        ] {
            assert_eq!(token(text), Err(why), "{text}");
        }
    }

    #[test]
    fn counts_are_whole() {
        let read = |text: &str| count(serde_json::from_str(text).unwrap());
        assert_eq!((read("128000"), read("256000.0"), read("0")), (Some(128_000), Some(256_000), Some(0)));
        for bad in ["1.5", "-1", "1e3", "\"7\"", "null", "99999999999999999999"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_price_written_for_a_token_is_read_back(micro in 0..=HIGHEST, wider in 0..3_usize) {
            let text = format!("{micro}{}e-{}", "0".repeat(wider), 12 + wider);
            prop_assert_eq!(token(&text), Ok(micro));
        }

        #[test]
        fn no_number_makes_it_panic(whole in any::<u128>(), exponent in any::<i64>()) {
            let _ = read(&format!("{whole}.{whole}e{exponent}"), 6);
        }
    }
}
