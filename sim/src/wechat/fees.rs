//! What does WeChat Pay keep of a payment?
use serde::Serialize;

/// The merchant's terms. There is no such tier in reality; the product's forecast has one, so this side can have it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Terms {
    /// Hundredths of a percent.
    #[serde(rename = "fee_basis_points")]
    pub(crate) basis_points: u32,
    /// What is paid beyond this much in a calendar month is charged less, fen.
    #[serde(rename = "fee_tier_above")]
    pub(crate) tier_above: i64,
    /// Hundredths of a percent, beyond that.
    #[serde(rename = "fee_tier_basis_points")]
    pub(crate) tier_basis_points: u32,
}

impl Default for Terms {
    fn default() -> Self {
        Self { basis_points: 60, tier_above: 10_000_000, tier_basis_points: 38 }
    }
}

impl Terms {
    /// The rate for a payment, after so much in its month.
    pub(super) fn rate(self, month_so_far: i64) -> u32 {
        if month_so_far >= self.tier_above { self.tier_basis_points } else { self.basis_points }
    }
}

/// A share of an amount in fen, half a fen rounded up.
pub(super) fn share(amount: i64, basis_points: u32) -> i64 {
    (amount.saturating_mul(i64::from(basis_points)) + 5_000) / 10_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fee_is_rounded_to_whole_fen_as_the_sample_bill_has_it() {
        for (paid, fee) in [(8_800, 53), (1_000, 6), (50_000, 300), (1, 0), (990, 6), (300, 2), (500, 3)] {
            assert_eq!(share(paid, 60), fee, "{paid}");
        }
        let terms = Terms::default();
        assert_eq!((terms.rate(9_999_999), terms.rate(10_000_000)), (60, 38));
    }
}
