//! In which order is value used up, and what of it is spoken for by open holds?

use super::{Lot, LotClass};

/// The live lots in the order in which use takes them: untied promotions first (soonest end first), then payments,
/// oldest first, each followed by the bonus that came with it; what was lent comes last. Bought tokens stand in balances
/// of their own: soonest end first, then oldest.
pub fn burn_order<'a>(lots: impl Iterator<Item = &'a Lot>) -> Vec<&'a Lot> {
    let mut live: Vec<&Lot> = lots.filter(|lot| lot.rem > 0).collect();
    live.sort_by_key(|lot| {
        let end = lot.expires_at.map_or(i64::MAX, |at| at.0);
        let since = lot.created_at.0;
        match lot.class {
            LotClass::Promo => (0, end, 0, None, 0, lot.id.clone()),
            LotClass::Tokens => (1, end, since, lot.order, 0, lot.id.clone()),
            LotClass::Paid => (1, since, 0, lot.order, 0, lot.id.clone()),
            LotClass::Bonus => (1, since, 0, lot.order, 1, lot.id.clone()),
            LotClass::Temp => (2, since, 0, lot.order, 0, lot.id.clone()),
        }
    });
    live
}

/// How much of each lot (in burn order) open holds may still use: the first `held` units.
pub fn pledges(ordered: &[&Lot], held: i64) -> Vec<i64> {
    let mut left = held;
    ordered
        .iter()
        .map(|lot| {
            let taken = lot.rem.min(left).max(0);
            left -= taken;
            taken
        })
        .collect()
}
