//! What is given with a payment of so much?

use units::{Fen, NanoCny};

/// A hundredth of a per cent is the finest step; this many are all that is paid.
const WHOLE: i64 = 10_000;

/// How much a rung gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gift {
    /// A share of what is paid, in hundredths of a per cent, rounded down to the fen.
    Share(i64),
    /// The same for every payment.
    Amount(Fen),
}

/// What payments from some amount on come with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BonusRung {
    /// The least that is paid for it.
    pub from: Fen,
    /// What is given.
    pub gift: Gift,
}

/// The rungs that an operator offers: the highest that a payment reaches counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BonusRungs(Vec<BonusRung>);

/// Why rungs will not do; the number is that of the rung, from 0, as they were given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadRungs {
    /// It gives nothing.
    #[error("nothing would be given")]
    Nothing(usize),
    /// It gives more than is paid.
    #[error("more would be given than is paid")]
    MoreThanPaid(usize),
    /// Two begin at the same amount.
    #[error("another one begins at {1} yuan")]
    Twice(usize, Fen),
    /// Who pays more would be given less.
    #[error("gives {gives} yuan at {from}, less than the one before it does: {before}")]
    Falls {
        /// Which.
        rung: usize,
        /// Where it begins.
        from: Fen,
        /// What it gives there.
        gives: NanoCny,
        /// What the one below it would give there.
        before: NanoCny,
    },
}

impl BadRungs {
    /// Which rung, from 0, as they were given.
    pub const fn rung(&self) -> usize {
        match *self {
            Self::Nothing(rung)
            | Self::MoreThanPaid(rung)
            | Self::Twice(rung, _)
            | Self::Falls { rung, .. } => rung,
        }
    }
}

impl BonusRung {
    fn given_with(&self, paid: Fen) -> NanoCny {
        let fen = match self.gift {
            Gift::Share(share) => {
                let fen = i128::from(paid.get()) * i128::from(share) / i128::from(WHOLE);
                Fen::new(i64::try_from(fen).unwrap_or(0)).unwrap_or(Fen::ZERO)
            }
            Gift::Amount(amount) => amount,
        };
        fen.into()
    }
}

impl BonusRungs {
    /// Takes rungs in any order.
    ///
    /// # Errors
    /// [`BadRungs`]: the first that will not do.
    pub fn new(rungs: &[BonusRung]) -> Result<Self, BadRungs> {
        let mut ordered: Vec<(usize, BonusRung)> = rungs.iter().copied().enumerate().collect();
        ordered.sort_by_key(|(place, rung)| (rung.from, *place));
        for (place, rung) in &ordered {
            match rung.gift {
                Gift::Share(..=0) | Gift::Amount(Fen::ZERO) => return Err(BadRungs::Nothing(*place)),
                Gift::Share(share) if share > WHOLE => return Err(BadRungs::MoreThanPaid(*place)),
                Gift::Amount(amount) if amount > rung.from => return Err(BadRungs::MoreThanPaid(*place)),
                Gift::Share(_) | Gift::Amount(_) => {}
            }
        }
        for pair in ordered.windows(2) {
            let [(_, lower), (place, rung)] = pair else { continue };
            if lower.from == rung.from {
                return Err(BadRungs::Twice(*place, rung.from));
            }
            let (gives, before) = (rung.given_with(rung.from), lower.given_with(rung.from));
            if gives < before {
                return Err(BadRungs::Falls { rung: *place, from: rung.from, gives, before });
            }
        }
        Ok(Self(ordered.into_iter().map(|(_, rung)| rung).collect()))
    }

    /// What a payment of so much comes with.
    pub fn given_with(&self, paid: Fen) -> NanoCny {
        let reached = self.0.iter().rev().find(|rung| rung.from <= paid);
        reached.map_or(NanoCny::ZERO, |rung| rung.given_with(paid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fen(fen: i64) -> Fen {
        Fen::new(fen).unwrap()
    }

    fn share(from: i64, share: i64) -> BonusRung {
        BonusRung { from: fen(from), gift: Gift::Share(share) }
    }

    fn amount(from: i64, amount: i64) -> BonusRung {
        BonusRung { from: fen(from), gift: Gift::Amount(fen(amount)) }
    }

    #[test]
    fn the_highest_rung_that_is_reached_counts_whatever_the_order_they_stand_in() {
        let rungs = BonusRungs::new(&[share(50_000, 1_250), amount(10_000, 1_000)]).unwrap();
        for (paid, given) in
            [(9_999, 0), (10_000, 1_000), (49_999, 1_000), (50_000, 6_250), (50_001, 6_250), (50_008, 6_251)]
        {
            assert_eq!(rungs.given_with(fen(paid)), NanoCny::from(fen(given)), "{paid}");
        }
        assert_eq!(BonusRungs::default().given_with(Fen::MAX), NanoCny::ZERO);
        BonusRungs::new(&[share(1, WHOLE)]).unwrap().given_with(Fen::MAX);
    }

    #[test]
    fn rungs_that_give_nothing_or_too_much_or_fall_are_refused_by_their_place() {
        for (rungs, refused) in [
            (vec![share(100, 0)], BadRungs::Nothing(0)),
            (vec![share(100, 1), amount(200, 0)], BadRungs::Nothing(1)),
            (vec![share(100, 10_001)], BadRungs::MoreThanPaid(0)),
            (vec![amount(100, 101)], BadRungs::MoreThanPaid(0)),
            (vec![share(100, 1), share(100, 2)], BadRungs::Twice(1, fen(100))),
            (
                vec![amount(30_000, 1_000), share(10_000, 1_000)],
                BadRungs::Falls {
                    rung: 0,
                    from: fen(30_000),
                    gives: fen(1_000).into(),
                    before: fen(3_000).into(),
                },
            ),
        ] {
            assert_eq!(BonusRungs::new(&rungs), Err(refused), "{rungs:?}");
        }
    }
}
