//! Are the channel's fees those that we expect? They are posted as the bill has them, whatever is expected.

use units::{Fen, NanoCny};

use super::bill::{RowKind, TradeRow};

/// Nano-yuan in a fen.
const NANO_PER_FEN: i64 = 10_000_000;
/// A rate of this many basis points is the whole.
const WHOLE: i64 = 10_000;

/// Around the second tier's beginning either rate will do for a fiftieth of the bound: bills may have been wrong by some rows.
const MARGIN: i64 = 50;

/// What the channel keeps of payments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeeTiers {
    /// Hundredths of a percent.
    pub basis_points: u32,
    /// What is paid to a merchant number beyond this in a calendar month of Beijing's is charged by the other rate.
    pub above: Fen,
    /// Hundredths of a percent, beyond that.
    pub basis_points_above: u32,
}

impl Default for FeeTiers {
    fn default() -> Self {
        Self { basis_points: 60, above: Fen::new(10_000_000).unwrap_or(Fen::ZERO), basis_points_above: 38 }
    }
}

/// What a day's fees came to beside what was expected.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FeesSeen {
    /// What was expected of all payments that were looked at.
    pub(super) expected: NanoCny,
    /// Payments with another fee.
    pub(super) otherwise: Vec<String>,
    /// What their fees came to.
    pub(super) said: NanoCny,
    /// What was expected of them.
    pub(super) wanted: NanoCny,
}

/// Lays the fees of payments beside the tiers. `before` is what was paid in the month before the day, where it is known;
/// where it is not, or on the day on which the second tier begins, either rate will do. A fee is rounded by the channel: a
/// fen more or less is no difference.
pub(super) fn look<'a>(
    tiers: &FeeTiers,
    before: Option<Fen>,
    rows: impl Iterator<Item = &'a TradeRow>,
) -> FeesSeen {
    let rows: Vec<(&TradeRow, Fen)> = rows
        .filter_map(|row| match &row.kind {
            RowKind::Payment { total, .. } => Some((row, *total)),
            _ => None,
        })
        .collect();
    let day = rows.iter().fold(0_i64, |sum, (_, total)| sum.saturating_add(total.get()));
    let above = tiers.above.get();
    let margin = above / MARGIN;
    let rates: &[u32] = match before.map(Fen::get) {
        Some(before) if before.saturating_add(day).saturating_add(margin) < above => &[tiers.basis_points],
        Some(before) if before >= above.saturating_add(margin) => &[tiers.basis_points_above],
        _ => &[tiers.basis_points, tiers.basis_points_above],
    };
    let mut seen = FeesSeen::default();
    let add = |sum: NanoCny, more: i64| NanoCny::new(sum.get().saturating_add(more));
    for (row, total) in rows {
        let expected = rates.iter().map(|rate| share(total, *rate));
        let nearest = expected.min_by_key(|expected| (expected - row.fee.get()).abs()).unwrap_or(0);
        seen.expected = add(seen.expected, nearest);
        if (nearest - row.fee.get()).abs() > NANO_PER_FEN {
            seen.otherwise.push(row.out_trade_no.clone());
            seen.said = add(seen.said, row.fee.get());
            seen.wanted = add(seen.wanted, nearest);
        }
    }
    seen
}

/// A share of an amount in nano-yuan, to the whole fen, half a fen rounded up.
fn share(total: Fen, basis_points: u32) -> i64 {
    let fen = total.get().saturating_mul(i64::from(basis_points)).saturating_add(WHOLE / 2) / WHOLE;
    fen.saturating_mul(NANO_PER_FEN)
}

#[cfg(test)]
mod tests {
    use units::Timestamp;

    use super::*;

    fn paid(number: &str, fen: i64, fee_fen: i64) -> TradeRow {
        let total = Fen::new(fen).unwrap();
        TradeRow {
            time: Timestamp(0),
            appid: String::new(),
            mchid: String::new(),
            transaction_id: number.to_owned(),
            out_trade_no: number.to_owned(),
            kind: RowKind::Payment { total, settled: total },
            fee: NanoCny::new(fee_fen * NANO_PER_FEN),
            rate: String::new(),
        }
    }

    fn otherwise(before: Option<i64>, rows: &[TradeRow]) -> Vec<String> {
        let before = before.map(|fen| Fen::new(fen).unwrap());
        look(&FeeTiers::default(), before, rows.iter()).otherwise
    }

    #[test]
    fn each_tier_has_its_rate_and_the_day_between_has_both() {
        let (first, second, odd) =
            (paid("a", 100_000, 600), paid("b", 100_000, 380), paid("c", 100_000, 500));
        let rows = [first, second, odd];
        assert_eq!(otherwise(Some(0), &rows), ["b", "c"]);
        assert_eq!(otherwise(Some(10_200_000), &rows), ["a", "c"]);
        assert_eq!(otherwise(Some(9_900_000), &rows), ["c"], "the second tier begins on this day");
        assert_eq!(otherwise(None, &rows), ["c"], "nobody knows what was paid before");
    }

    #[test]
    fn how_the_channel_rounds_is_no_difference() {
        for (fen, fee) in [(8_800, 53), (1, 0), (1, 1), (990, 6), (1_000, 6), (500, 3)] {
            assert_eq!(otherwise(Some(0), &[paid("a", fen, fee)]), [""; 0], "{fen} {fee}");
        }
        let seen = look(&FeeTiers::default(), None, [paid("a", 8_800, 100)].iter());
        let yuan = |text: &str| text.parse::<NanoCny>().unwrap();
        assert_eq!((seen.said, seen.wanted, seen.expected), (yuan("1"), yuan("0.53"), yuan("0.53")));
    }
}
