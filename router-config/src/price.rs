//! Prices as written, read exactly: text to an integer, no float in between.

use units::DecimalError;

use crate::{Currency, MicroPerMillion};

/// Decimals of a micro-unit.
const MICRO_DECIMALS: usize = 6;
/// Prices above this (per million tokens) are taken for a slip of the pen.
const HIGHEST: MicroPerMillion = MicroPerMillion(100_000_000_000);

/// Why a price is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadPrice {
    /// Not a number as we write them, or one we cannot hold.
    #[error("{0}")]
    Decimal(#[from] DecimalError),
    /// It would pay the customer.
    #[error("a price is never negative")]
    Negative,
    /// The ledger counts thousandths of a yuan per million tokens.
    #[error("a price in CNY has at most 3 decimals")]
    TooFineForCny,
    /// Surely a mistake.
    #[error("more than 100,000 per million tokens cannot be meant")]
    Absurd,
}

/// Reads plain decimal text such as `0.0375` as millionths, without rounding; nothing negative.
///
/// # Errors
/// [`DecimalError`]: other text, more than six decimals, or beyond `i64`.
pub fn parse_micro(text: &str) -> Result<i64, DecimalError> {
    let (whole, fraction) = match text.split_once('.') {
        Some((_, "")) => return Err(DecimalError::Syntax),
        Some(parts) => parts,
        None => (text, ""),
    };
    let digits = whole.bytes().chain(fraction.bytes());
    if whole.is_empty() || !digits.clone().all(|b| b.is_ascii_digit()) {
        return Err(DecimalError::Syntax);
    }
    let significant = fraction.trim_end_matches('0');
    let missing = MICRO_DECIMALS
        .checked_sub(significant.len())
        .ok_or(DecimalError::TooPrecise(MICRO_DECIMALS as u32))?;
    whole
        .bytes()
        .chain(significant.bytes())
        .chain(std::iter::repeat_n(b'0', missing))
        .try_fold(0_i64, |value, digit| value.checked_mul(10)?.checked_add(i64::from(digit - b'0')))
        .ok_or(DecimalError::Range)
}

/// Reads what a provider asks for a million tokens, in whichever currency.
pub(crate) fn parse_cost(text: &str) -> Result<MicroPerMillion, BadPrice> {
    let price = match text.strip_prefix('-') {
        Some(rest) => {
            parse_micro(rest)?;
            return Err(BadPrice::Negative);
        }
        None => MicroPerMillion(parse_micro(text)?),
    };
    if price > HIGHEST {
        return Err(BadPrice::Absurd);
    }
    Ok(price)
}

/// Reads what a customer pays for a million tokens.
pub(crate) fn parse_price(text: &str, currency: Currency) -> Result<MicroPerMillion, BadPrice> {
    let price = parse_cost(text)?;
    if currency == Currency::Cny && price.0 % 1_000 != 0 {
        return Err(BadPrice::TooFineForCny);
    }
    Ok(price)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_prices_exactly_as_written() {
        assert_eq!(parse_price("2.50", Currency::Usd), Ok(MicroPerMillion(2_500_000)));
        assert_eq!(parse_price("0.003625", Currency::Usd), Ok(MicroPerMillion(3_625)));
        assert_eq!(parse_price("0", Currency::Cny), Ok(MicroPerMillion(0)), "a local model may be free");
        assert_eq!(parse_price("0.0070", Currency::Cny), Ok(MicroPerMillion(7_000)));
        assert_eq!(parse_price("100000", Currency::Cny), Ok(HIGHEST));
    }

    #[test]
    fn refuses_prices_it_could_not_charge_exactly() {
        assert_eq!(parse_price("0.0036", Currency::Cny), Err(BadPrice::TooFineForCny));
        assert_eq!(
            parse_price("0.0000001", Currency::Usd),
            Err(BadPrice::Decimal(DecimalError::TooPrecise(6)))
        );
        assert_eq!(parse_price("-1", Currency::Usd), Err(BadPrice::Negative));
        assert_eq!(parse_price("100000.01", Currency::Usd), Err(BadPrice::Absurd));
        for bad in ["", "-", ".5", "5.", "1e3", "+1", " 1", "1,000", "free", "1.2.3", "--1", "١"] {
            let refused = parse_price(bad, Currency::Usd);
            assert_eq!(refused, Err(BadPrice::Decimal(DecimalError::Syntax)), "{bad:?}");
        }
        assert_eq!(parse_micro("9223372036854.775807"), Ok(i64::MAX));
        assert_eq!(parse_micro("9223372036854.775808"), Err(DecimalError::Range));
        assert_eq!(parse_micro(&"9".repeat(400)), Err(DecimalError::Range));
    }

    proptest! {
        #[test]
        fn every_amount_written_out_is_read_back(micro in 0..=i64::MAX) {
            let written = format!("{}.{:06}", micro / 1_000_000, micro % 1_000_000);
            prop_assert_eq!(parse_micro(&written), Ok(micro));
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,40}") {
            let _ = parse_price(&text, Currency::Cny);
        }
    }
}
