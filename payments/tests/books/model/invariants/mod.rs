//! What must hold after every command, each said with arithmetic of its own: from the journal and from what was asked,
//! never with the functions that are under test.

mod books;
mod calls;
mod edges;
mod lending;
mod needs;
mod orders;
mod refunds;
mod words;

use payments::ledger::{Asset, Entry, Lot, LotClass};

pub use self::{
    books::*,
    calls::*,
    edges::{LEGAL, n28_only_legal_edges, taken},
    lending::*,
    needs::*,
    orders::*,
    refunds::*,
    words::*,
};
use super::world::World;

/// Looks at the world after a command; an error says what does not hold.
pub type Check = fn(&World) -> Result<(), String>;

/// Those of the thirty that one run in memory can show.
pub const CHECKS: [(u8, Check); 27] = [
    (1, n01_debits_equal_credits),
    (2, n02_lots_add_up),
    (3, n03_balances_are_their_lots_and_holds),
    (4, n04_nothing_is_negative),
    (5, n05_a_hold_ends_once_and_whole),
    (6, n06_an_overrun_takes_only_what_is_free),
    (7, n07_use_follows_the_burn_order),
    (8, n08_one_payment_is_partly_used),
    (9, n09_a_payment_is_credited_once),
    (10, n10_what_is_credited_was_ordered_and_paid),
    (11, n11_a_refund_is_split_in_proportion),
    (12, n12_a_refund_leaves_the_pledges),
    (13, n13_cash_is_what_is_left_and_used),
    (14, n14_nobody_profits),
    (15, n15_a_refund_number_has_one_payload),
    (16, n16_lending_is_bounded_and_ends),
    (17, n17_gifts_never_leave_as_cash),
    (18, n18_a_cost_is_recomputed_from_its_row),
    (19, n19_only_dust_is_swept),
    (20, n20_a_foreign_price_names_its_rate),
    (21, n21_a_repeat_changes_nothing),
    (22, n22_a_refusal_changes_nothing),
    (25, n25_what_is_changed_was_named),
    (26, n26_lines_are_numbered_without_a_gap),
    (27, n27_nothing_wraps),
    (28, n28_only_legal_edges),
    (30, n30_no_more_is_admitted_than_there_is),
];

/// Everything, the bill's side of it included.
pub fn all(world: &World) -> Result<(), String> {
    for (number, check) in CHECKS {
        check(world).map_err(|what| format!("invariant {number}: {what}"))?;
    }
    n29_the_bill_is_booked(world).map_err(|what| format!("invariant 29: {what}"))
}

/// An error in these words, unless it holds.
fn holds(so: bool, what: impl FnOnce() -> String) -> Result<(), String> {
    if so { Ok(()) } else { Err(what()) }
}

fn nano(fen: units::Fen) -> i128 {
    i128::from(fen.get()) * 10_000_000
}

/// The sum of the lines that fit.
fn sum<'a>(lines: impl IntoIterator<Item = &'a Entry>, fits: impl Fn(&Entry) -> bool) -> i128 {
    lines.into_iter().filter(|line| fits(line)).map(|line| i128::from(line.amount)).sum()
}

/// MONEY.md 5.3: untied gifts by their end, then payments by age with each one's bonus behind it, what is lent last.
fn in_burn_order<'a>(lots: impl Iterator<Item = &'a Lot>) -> Vec<&'a Lot> {
    let (mut gifts, mut payments, mut bonuses, mut lent) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for lot in lots.filter(|lot| lot.rem > 0) {
        match lot.class {
            LotClass::Promo => gifts.push(lot),
            LotClass::Paid | LotClass::Tokens => payments.push(lot),
            LotClass::Bonus => bonuses.push(lot),
            LotClass::Temp => lent.push(lot),
        }
    }
    let ends = |lot: &Lot| lot.expires_at.map_or(i64::MAX, |at| at.0);
    gifts.sort_by_key(|lot| (ends(lot), lot.id.clone()));
    // A bonus whose payment is used up stands where that stood.
    payments.extend(bonuses);
    payments.sort_by_key(|lot| {
        (ends(lot), lot.created_at.0, lot.order, lot.class == LotClass::Bonus, lot.id.clone())
    });
    lent.sort_by_key(|lot| (lot.created_at.0, lot.order));
    gifts.into_iter().chain(payments).chain(lent).collect()
}

/// The first `amount` of what lies in these lots: each lot's part.
fn prefix(ordered: &[&Lot], amount: i64) -> Vec<i64> {
    let mut left = amount;
    let part = |lot: &&Lot| {
        let part = lot.rem.min(left).max(0);
        left -= part;
        part
    };
    ordered.iter().map(part).collect()
}

fn is_cash(line: &Entry) -> bool {
    line.asset == Asset::Cny
}
