//! From a price as written to nano-yuan per token, rounded once.

use units::{Overflow, Rate, Rates};

/// A price as written: millionths of a currency per million tokens, by class of token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Fresh input.
    pub input: i64,
    /// Input read from the upstream's cache.
    pub cached_input: i64,
    /// Input written to the upstream's cache.
    pub cache_write: i64,
    /// Output, reasoning included.
    pub output: i64,
}

impl Figures {
    /// Each class with its name.
    pub const fn classes(&self) -> [(&'static str, i64); 4] {
        [
            ("input", self.input),
            ("cached_input", self.cached_input),
            ("cache_write", self.cache_write),
            ("output", self.output),
        ]
    }
}

/// A converted price beside what it is before rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rounded {
    /// What is charged.
    pub rate: Rate,
    /// The exact figure times [`Rounded::PARTS`], in nano-yuan per token.
    exact: i128,
}

/// Basis points in one.
const WHOLE_BPS: i64 = 10_000;

impl Rounded {
    /// Of a nano-yuan per token: a millionth of a currency per million tokens (10^-12 a token) times a rate in millionths
    /// times basis points is counted in 10^-22 yuan.
    const PARTS: i128 = 10_000_000_000_000;

    /// How far rounding moved the price, in hundredths of a per cent of the exact one, rounded half up. `None` where the
    /// exact price is zero.
    pub fn off_bps(&self) -> Option<i64> {
        let moved = (i128::from(self.rate.get()) * Self::PARTS - self.exact).abs();
        let bps =
            moved.checked_mul(20_000)?.checked_add(self.exact)?.checked_div(self.exact.checked_mul(2)?)?;
        i64::try_from(bps).ok()
    }

    /// True where rounding moved the price by more than one per cent.
    pub fn is_off(&self) -> bool {
        let moved = (i128::from(self.rate.get()) * Self::PARTS - self.exact).abs();
        moved.checked_mul(100).is_none_or(|hundredfold| hundredfold > self.exact)
    }

    /// The exact price in yuan per million tokens, cut after nine decimals.
    pub fn exact_yuan_per_million(&self) -> String {
        // A nano-yuan per token is a thousandth of a yuan per million, so a millionth of that is 10^-9 yuan.
        let billionths = self.exact / (Self::PARTS / 1_000_000);
        let billionths = i64::try_from(billionths).unwrap_or(i64::MAX);
        units::decimal::format(billionths, 9, 2)
    }
}

/// Converts one price: `source` in millionths of a currency per million tokens, `rate_micro` in millionths of a yuan per
/// unit of it, `markup_bps` in hundredths of a per cent on top, `scale` the decimals of the list. Rounds half up; what
/// costs something at its source costs at least the smallest unit, so that nothing is free by rounding.
///
/// # Errors
/// [`Overflow`] for a negative figure, or a price beyond what a [`Rate`] holds.
pub fn convert(source: i64, rate_micro: i64, markup_bps: i64, scale: u32) -> Result<Rounded, Overflow> {
    if source < 0 || rate_micro <= 0 || markup_bps < 0 || scale > 3 {
        return Err(Overflow);
    }
    let with_markup = i128::from(WHOLE_BPS) + i128::from(markup_bps);
    let exact = (i128::from(source) * i128::from(rate_micro)).checked_mul(with_markup).ok_or(Overflow)?;
    let nano_per_unit = 10_i64.pow(3 - scale);
    let unit = Rounded::PARTS * i128::from(nano_per_unit);
    let units = exact.checked_add(unit / 2).ok_or(Overflow)? / unit;
    let units = if source > 0 { units.max(1) } else { units };
    let nano =
        i64::try_from(units).ok().and_then(|units| units.checked_mul(nano_per_unit)).ok_or(Overflow)?;
    Ok(Rounded { rate: Rate::new(nano)?, exact })
}

/// Converts a price of every class.
pub(super) fn convert_all(
    figures: &Figures,
    rate_micro: i64,
    markup_bps: i64,
    scale: u32,
) -> Result<Rates, Overflow> {
    let rate = |source| convert(source, rate_micro, markup_bps, scale).map(|rounded| rounded.rate);
    Ok(Rates {
        input: rate(figures.input)?,
        cached_input: rate(figures.cached_input)?,
        cache_write: rate(figures.cache_write)?,
        output: rate(figures.output)?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(source: i64, rate: i64, markup: i64, scale: u32) -> String {
        convert(source, rate, markup, scale).unwrap().rate.to_string()
    }

    /// The worked example: USD 2.50 / 10.00 / 0.25 at 7.1234.
    #[test]
    fn a_dollar_price_is_rounded_once_to_the_fen_per_million() {
        let prices = [2_500_000, 10_000_000, 250_000].map(|source| shown(source, 7_123_400, 0, 2));
        assert_eq!(prices, ["17.81", "71.23", "1.78"]);
        assert_eq!(shown(2_500_000, 7_123_400, 0, 3), "17.809", "17.8085, half up");
        assert_eq!(shown(2_500_000, 7_123_400, 1_000, 2), "19.59", "and ten per cent");
    }

    #[test]
    fn what_costs_something_is_never_free_by_rounding_and_what_is_free_stays_so() {
        assert_eq!(shown(1, 7_123_400, 0, 2), "0.01");
        assert_eq!(shown(1, 7_123_400, 0, 3), "0.001");
        assert_eq!(shown(0, 7_123_400, 0, 2), "0.00");
        for bad in [(-1, 1, 0, 2), (1, 0, 0, 2), (1, -1, 0, 2), (1, 1, -1, 2), (1, 1, 0, 4)] {
            assert_eq!(convert(bad.0, bad.1, bad.2, bad.3), Err(Overflow), "{bad:?}");
        }
        assert_eq!(convert(i64::MAX, i64::MAX, 10_000, 2), Err(Overflow));
    }

    /// The worst price point of a public catalogue: 0.0072 yuan becomes 0.01.
    #[test]
    fn the_error_of_rounding_is_told_from_the_exact_price() {
        let worst = convert(1_000, 7_200_000, 0, 2).unwrap();
        assert_eq!(
            (worst.rate.to_string().as_str(), worst.off_bps(), worst.is_off()),
            ("0.01", Some(3_889), true)
        );
        assert_eq!(worst.exact_yuan_per_million(), "0.0072");
        let edge = convert(990_099, 1_000_000, 0, 2).unwrap();
        assert_eq!((edge.rate.to_string().as_str(), edge.is_off()), ("0.99", false));
        let at_one_per_cent = convert(1_010_000, 1_000_000, 0, 2).unwrap();
        assert_eq!((at_one_per_cent.off_bps(), at_one_per_cent.is_off()), (Some(0), false));
        assert_eq!(convert(0, 1, 0, 2).unwrap().off_bps(), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Never further from the exact price than half a unit, but for the least price there is.
        #[test]
        fn rounding_moves_a_price_by_half_a_unit_at_most(
            source in 0..100_000_000_000_i64, rate in 1..1_000_000_000_i64, markup in 0..20_000_i64, scale in 2..=3_u32,
        ) {
            let rounded = convert(source, rate, markup, scale).unwrap();
            let unit = 10_i128.pow(3 - scale) * Rounded::PARTS;
            let exact = i128::from(source) * i128::from(rate) * i128::from(10_000 + markup);
            let charged = i128::from(rounded.rate.get()) * Rounded::PARTS;
            prop_assert_eq!(charged % unit, 0);
            let least = source > 0 && charged == unit && exact < unit;
            prop_assert!(least || (charged - exact).abs() * 2 <= unit);
            prop_assert_eq!(rounded.is_off(), (charged - exact).abs() * 100 > exact);
        }

        /// A yuan price of the list's scale is taken as it stands.
        #[test]
        fn a_yuan_price_is_exact(units in 0..10_000_000_000_i64, scale in 2..=3_u32) {
            let nano = units * 10_i64.pow(3 - scale);
            let rounded = convert(nano * 1_000, 1_000_000, 0, scale).unwrap();
            prop_assert_eq!(rounded.rate.get(), nano);
            prop_assert!(!rounded.is_off());
        }
    }
}
