//! What of a balance cannot go back, and why?

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use units::{OrderId, Timestamp};

use super::{
    Lot, LotClass, Refundable, burn_order,
    entry::words,
    pledges,
    refund_plan::{NANO_PER_FEN, REFUNDS_MAX, is_recent, refundable},
};

words! {
    /// Why a part of a balance does not go back.
    StayReason {
        /// Open calls may still use it.
        InUse = "in_use",
        /// Nobody paid for it.
        Gift = "gift",
        /// It came with a payment, and goes with it.
        Bonus = "bonus",
        /// It was lent.
        Lent = "lent",
        /// It earns what was used of the bonus that came with its payment, or as much went back another way: it can be spent.
        Withheld = "withheld",
        /// It is less than a fen.
        Remainder = "remainder",
        /// Its payment is older than WeChat Pay refunds: a person pays it back by hand.
        TooOld = "too_old",
        /// Its payment was refunded as often as WeChat Pay does: a person pays it back by hand.
        TooOften = "too_often",
    }
}

/// A part of a balance that does not go back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staying {
    /// The payment behind it, if there is one.
    pub order: Option<OrderId>,
    /// How much, in the balance's unit.
    pub units: i64,
    /// Why.
    pub why: StayReason,
}

/// What of a balance cannot go back at `now`. With the caps of [`refundable`] it comes to all that is there: `lots` are those
/// of the balance, `held` what open holds have set aside.
pub fn staying<'a>(lots: impl Iterator<Item = &'a Lot>, held: i64, now: Timestamp) -> Vec<Staying> {
    let lots: Vec<&Lot> = lots.collect();
    let open: BTreeMap<String, Refundable> = refundable(lots.iter().copied(), held, now)
        .into_iter()
        .map(|open| (open.lot.clone(), open))
        .collect();
    let ordered = burn_order(lots.into_iter());
    let pledged = pledges(&ordered, held);
    let mut staying = Vec::new();
    for (lot, pledge) in ordered.into_iter().zip(pledged) {
        let mut stays = |units: i64, why| {
            if units > 0 {
                staying.push(Staying { order: lot.order, units, why });
            }
        };
        stays(pledge, StayReason::InUse);
        let free = lot.rem - pledge;
        match (lot.class, lot.order) {
            (LotClass::Bonus, _) => stays(free, StayReason::Bonus),
            (LotClass::Temp, _) => stays(free, StayReason::Lent),
            (LotClass::Promo, _) | (_, None) => stays(free, StayReason::Gift),
            (LotClass::Paid | LotClass::Tokens, Some(_)) if !is_recent(lot, now) => {
                stays(free, StayReason::TooOld);
            }
            (LotClass::Paid | LotClass::Tokens, Some(_)) if lot.refunds >= REFUNDS_MAX => {
                stays(free, StayReason::TooOften);
            }
            (LotClass::Paid | LotClass::Tokens, Some(_)) => match open.get(&lot.id) {
                Some(open) => {
                    let (goes, withheld) = parts(lot.class, free, open);
                    stays(withheld, StayReason::Withheld);
                    stays(free - goes - withheld, StayReason::Remainder);
                }
                None => stays(free, StayReason::Remainder),
            },
        }
    }
    staying
}

/// Of what is free of a lot: what can go back, and what is withheld.
fn parts(class: LotClass, free: i64, open: &Refundable) -> (i64, i64) {
    match class {
        // All the cash there is takes all the tokens.
        LotClass::Tokens if open.cap.get() > 0 => (free, 0),
        LotClass::Tokens => (0, free),
        _ => (open.cap.get() * NANO_PER_FEN, open.withheld.get() * NANO_PER_FEN),
    }
}
