//! How is a refund spread over the payments it comes from?
//!
//! Only what is unused and not pledged to open holds can go back, each payment at most what it has left, and so much of
//! it stays as earns what was used of the bonus that came with it; a part is split in proportion to what each has left, to the fen, largest remainder first.

use std::collections::BTreeMap;

use units::{Fen, NanoCny, OrderId, Timestamp};

use super::{Lot, LotClass, burn_order, pledges};

/// WeChat Pay refunds for 365 days after the payment.
const REFUNDABLE_MICROS: i64 = 365 * 24 * 3600 * 1_000_000;
/// WeChat Pay takes at most 50 refunds of one order.
pub(super) const REFUNDS_MAX: i64 = 50;
/// Nano-yuan in a fen.
pub(super) const NANO_PER_FEN: i64 = 10_000_000;

/// What of one lot can go back now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refundable {
    /// The lot.
    pub lot: String,
    /// The payment behind it.
    pub order: OrderId,
    /// Unused and not pledged, in the lot's asset.
    pub free_units: i64,
    /// The cash for it, as far as it can go back.
    pub cap: Fen,
    /// The cash for the rest of it, which can be spent and not refunded: it earns what was used of the bonus that came with
    /// the payment, or as much of the payment went back another way and was made up for since.
    pub withheld: Fen,
    /// What of the bonus that came with it goes if all of `cap` does.
    pub bonus: NanoCny,
    /// When it was paid.
    pub created_at: Timestamp,
}

/// One refund of one payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedItem {
    /// The lot.
    pub lot: String,
    /// The payment.
    pub order: OrderId,
    /// Cash.
    pub amount: Fen,
    /// What it takes out of the lot.
    pub units: i64,
}

/// How a bonus tied to a payment shrinks with the payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BonusShare {
    /// The bonus as given, in nano-yuan.
    pub bonus: i64,
    /// What was paid.
    pub paid: Fen,
    /// What went back or is on its way back.
    pub refunded: Fen,
}

impl BonusShare {
    /// At most this much of the bonus stays, rounded down.
    pub fn kept(self) -> i64 {
        let left = i128::from(self.paid.get() - self.refunded.get());
        let paid = i128::from(self.paid.get().max(1));
        i64::try_from(i128::from(self.bonus) * left / paid).unwrap_or(0)
    }

    /// What of the payment must stay so that its share covers `used` of the bonus, rounded up; in fen.
    fn earning(self, used: i64) -> i64 {
        ceil_share(self.paid.get(), used, self.bonus)
    }

    /// The share of a bonus that `lot`'s payment still earns, refunds in flight counted as done.
    pub fn of(bonus: &Lot, lot: &Lot) -> Self {
        Self { bonus: bonus.orig, paid: lot.paid_fen, refunded: lot.refunded_fen }
    }

    /// The same, counting only refunds that arrived.
    pub fn arrived(bonus: &Lot, lot: &Lot) -> Self {
        let going = lot.refunding / NANO_PER_FEN;
        let refunded = Fen::new(lot.refunded_fen.get() - going).unwrap_or(Fen::ZERO);
        Self { refunded, ..Self::of(bonus, lot) }
    }

    /// What more of `bonus` must be frozen for `payment` as it stands; below zero, what is set free again.
    pub(super) fn to_freeze(bonus: &Lot, payment: &Lot) -> i64 {
        (alive(bonus) - Self::of(bonus, payment).kept()).max(0) - bonus.refunding
    }

    /// What is left of `bonus` that its payment no longer earns.
    pub(crate) fn surplus(bonus: &Lot, payment: &Lot) -> i64 {
        Self::to_freeze(bonus, payment).clamp(0, bonus.rem)
    }

    /// What of the frozen part is gone for good.
    pub(super) fn to_void(bonus: &Lot, payment: &Lot) -> i64 {
        (alive(bonus) - Self::arrived(bonus, payment).kept()).clamp(0, bonus.refunding)
    }

    /// What was used beyond the share that the refunds which arrived leave.
    pub(crate) fn owed(bonus: &Lot, payment: &Lot) -> i64 {
        (bonus.consumed - Self::arrived(bonus, payment).kept()).max(0)
    }
}

/// What of a bonus was not taken back.
const fn alive(bonus: &Lot) -> i64 {
    bonus.orig - bonus.voided - bonus.expired
}

/// Why there is no plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Nothing asked for.
    #[error("the amount must be at least 0.01 yuan")]
    Zero,
    /// More asked for than is refundable.
    #[error("{refundable} yuan can be refunded, {requested} yuan were asked for")]
    TooMuch {
        /// What was asked for.
        requested: Fen,
        /// What there is.
        refundable: Fen,
    },
}

/// True of a payment that is young enough for WeChat Pay to refund.
pub(super) const fn is_recent(payment: &Lot, now: Timestamp) -> bool {
    channel_refunds(payment.created_at, 0, now)
}

/// True where WeChat Pay still takes a refund of a payment of `paid_at`, after so many refunds of it.
pub(super) const fn channel_refunds(paid_at: Timestamp, refunds: i64, now: Timestamp) -> bool {
    now.0.saturating_sub(paid_at.0) < REFUNDABLE_MICROS && refunds < REFUNDS_MAX
}

/// What of a balance can go back at `now`: `lots` are all its live lots and the bonuses of its payments, `held` what open
/// holds have set aside. Payments of which all that is unused is withheld are named as well.
pub fn refundable<'a>(lots: impl Iterator<Item = &'a Lot>, held: i64, now: Timestamp) -> Vec<Refundable> {
    returnable(lots, held, |lot| channel_refunds(lot.created_at, lot.refunds, now))
}

/// What of a balance was paid for and is unused, but can only be paid back by hand: WeChat Pay no longer takes refunds
/// of these payments.
pub fn out_of_channel<'a>(lots: impl Iterator<Item = &'a Lot>, held: i64, now: Timestamp) -> Vec<Refundable> {
    returnable(lots, held, |lot| !channel_refunds(lot.created_at, lot.refunds, now))
}

fn returnable<'a>(
    lots: impl Iterator<Item = &'a Lot>,
    held: i64,
    counts: impl Fn(&Lot) -> bool,
) -> Vec<Refundable> {
    let lots: Vec<&Lot> = lots.collect();
    let tied: BTreeMap<OrderId, &Lot> = lots
        .iter()
        .filter(|lot| lot.class == LotClass::Bonus)
        .filter_map(|lot| Some((lot.order?, *lot)))
        .collect();
    let ordered = burn_order(lots.into_iter());
    let pledged = pledges(&ordered, held);
    let mut open: Vec<Refundable> = ordered
        .iter()
        .zip(pledged)
        .filter_map(|(lot, pledge)| {
            let order = lot.order?;
            let paid_for = matches!(lot.class, LotClass::Paid | LotClass::Tokens);
            if !paid_for || !counts(lot) {
                return None;
            }
            let free_units = lot.rem - pledge;
            let whole = cash_of(lot, free_units).max(0);
            let tied = tied.get(&order);
            let earning = tied.map_or(0, |bonus| BonusShare::of(bonus, lot).earning(bonus.consumed));
            let cap = whole.min(lot.paid_fen.get() - lot.refunded_fen.get() - earning).max(0);
            if whole == 0 {
                return None;
            }
            let (cap, withheld) = (Fen::new(cap).ok()?, Fen::new(whole - cap).ok()?);
            let refunded = Lot { refunded_fen: lot.refunded_fen.plus(cap).ok()?, ..(*lot).clone() };
            let bonus = NanoCny::new(tied.map_or(0, |bonus| BonusShare::surplus(bonus, &refunded)));
            Some(Refundable {
                lot: lot.id.clone(),
                order,
                free_units,
                cap,
                withheld,
                bonus,
                created_at: lot.created_at,
            })
        })
        .collect();
    open.sort_by_key(|lot| (lot.created_at, lot.order));
    open
}

/// The cash for `units` of the lot, rounded down to the fen.
pub(super) fn cash_of(lot: &Lot, units: i64) -> i64 {
    match lot.class {
        LotClass::Tokens => {
            let share = i128::from(lot.paid_fen.get()) * i128::from(units) / i128::from(lot.orig.max(1));
            i64::try_from(share).unwrap_or(0)
        }
        _ => units.div_euclid(NANO_PER_FEN),
    }
}

/// Splits `amount` (all there is, where absent) over what is refundable.
///
/// # Errors
/// [`PlanError`] if the amount is zero or more than there is.
pub fn plan_refund(
    lots: &[(Refundable, LotClass)],
    amount: Option<Fen>,
) -> Result<Vec<PlannedItem>, PlanError> {
    let total: i64 = lots.iter().map(|(lot, _)| lot.cap.get()).sum();
    let total = Fen::new(total).unwrap_or(Fen::MAX);
    let requested = amount.unwrap_or(total);
    if requested > total {
        return Err(PlanError::TooMuch { requested, refundable: total });
    }
    if requested == Fen::ZERO {
        return Err(PlanError::Zero);
    }
    let whole = i128::from(total.get());
    let shares: Vec<i128> =
        lots.iter().map(|(lot, _)| i128::from(requested.get()) * i128::from(lot.cap.get())).collect();
    let mut fens: Vec<i64> = shares.iter().map(|share| i64::try_from(share / whole).unwrap_or(0)).collect();
    let spare = requested.get() - fens.iter().sum::<i64>();
    let mut by_remainder: Vec<usize> = (0..lots.len()).collect();
    // Stable: of equal remainders the older payment comes first.
    by_remainder.sort_by_key(|&i| std::cmp::Reverse(shares[i] % whole));
    for &i in by_remainder.iter().take(usize::try_from(spare).unwrap_or(0)) {
        fens[i] += 1;
    }
    let items = lots.iter().zip(fens).filter(|(_, fen)| *fen > 0).map(|((lot, class), fen)| PlannedItem {
        lot: lot.lot.clone(),
        order: lot.order,
        amount: Fen::new(fen).unwrap_or(Fen::ZERO),
        units: units_for(lot, *class, fen),
    });
    Ok(items.collect())
}

/// What `fen` of a lot's cap take out of it. All of the cash takes all of the free tokens; a part takes its share,
/// rounded up, so that tokens given back and tokens kept never sum to more than was paid for.
pub(super) fn units_for(lot: &Refundable, class: LotClass, fen: i64) -> i64 {
    match class {
        LotClass::Tokens => ceil_share(lot.free_units, fen, lot.cap.get()),
        _ => fen * NANO_PER_FEN,
    }
}

fn ceil_share(units: i64, part: i64, whole: i64) -> i64 {
    let product = i128::from(units) * i128::from(part);
    i64::try_from((product + i128::from(whole) - 1) / i128::from(whole.max(1))).unwrap_or(units).min(units)
}
