//! A bonus shrinks with the payment it came with: what is being refunded freezes its share, what arrived voids it.
//!
//! The share is reckoned anew each time from what of the payment went back or is on its way, never moved by steps: steps
//! drift by a nano-yuan, and a share that were only voided at the end could be spent while the refund is under way.
//!
//! What was used already no refund of ours takes the share of: see [`refundable`](crate::ledger::refundable). One that the
//! bill tells of may: then what was used beyond the share counts as never given, and its use as owed. Only refunds that
//! arrived count there, since one under way may still not happen, and a debt is not taken back.

use units::{AccountId, OrderId};

use super::{Draft, Lot, Posting, Refusal, Reply};
use crate::ledger::{
    Asset, BonusShare, Book, EntryKind, LotClass, RowOp, Wallet,
    order::{bonus_lot, paid_lot},
};

impl Draft<'_> {
    fn bonus_of(&self, payment: &Lot) -> Option<&Lot> {
        let bonus = self.rows.lots.get(&bonus_lot(payment.order?))?;
        (payment.class == LotClass::Paid && bonus.account == payment.account).then_some(bonus)
    }

    /// What the bonus of `payment` gives up once the payment stands so, if nothing else changes.
    pub(super) fn bonus_at_stake(&self, payment: &Lot) -> i64 {
        self.bonus_of(payment).map_or(0, |bonus| BonusShare::surplus(bonus, payment))
    }

    /// Brings the bonus that came with `payment` in line with the payment as it stands now. Only what `wallet` has
    /// unpledged is frozen; what open holds may still need, [`Draft::sweep_bonus`] takes, or charges as a debt, when they
    /// have ended.
    pub(super) fn align_bonus(&mut self, payment: &Lot, wallet: &mut Wallet) -> Result<(), Refusal> {
        let Some(bonus) = self.bonus_of(payment) else { return Ok(()) };
        let mut bonus = bonus.clone();
        let before = bonus.clone();
        let owed = BonusShare::owed(&bonus, payment);
        bonus.consumed -= owed;
        bonus.voided += owed;
        let freeze = BonusShare::to_freeze(&bonus, payment).min(bonus.rem).min(wallet.available().max(0));
        bonus.rem -= freeze;
        bonus.refunding += freeze;
        wallet.posted = wallet.posted.checked_sub(freeze).ok_or(Refusal::OutOfRange)?;
        let void = BonusShare::to_void(&bonus, payment);
        bonus.refunding -= void;
        bonus.voided += void;
        self.post_bonus(&bonus, EntryKind::BonusOwed, Book::WalletDebt, Book::PromoCost, owed);
        self.owe(bonus.account, owed)?;
        self.post_bonus(&bonus, EntryKind::BonusFreeze, Book::WalletBonus, Book::WalletRefunding, freeze);
        self.post_bonus(&bonus, EntryKind::BonusUnfreeze, Book::WalletRefunding, Book::WalletBonus, -freeze);
        self.post_bonus(&bonus, EntryKind::BonusVoid, Book::WalletRefunding, Book::PromoCost, void);
        if bonus != before {
            self.ops.push(RowOp::Lot(bonus));
        }
        Ok(())
    }

    fn post_bonus(&mut self, lot: &Lot, kind: EntryKind, debit: Book, credit: Book, amount: i64) {
        self.post(Posting {
            kind,
            debit,
            credit,
            asset: &lot.asset,
            amount: amount.max(0),
            account: Some(lot.account),
            lot: Some(&lot.id),
            hold: None,
            order: lot.order,
        });
    }

    pub(super) fn sweep_bonus(&mut self, account: AccountId, order: OrderId) -> Result<Reply, Refusal> {
        let payment = self.rows.lots.get(&paid_lot(order)).filter(|lot| lot.account == account);
        let payment = payment.ok_or(Refusal::UnknownOrder(order))?.clone();
        let mut wallet = self.rows.wallet(account, &Asset::Cny);
        self.align_bonus(&payment, &mut wallet)?;
        if self.ops.is_empty() {
            return Ok(Reply::Already);
        }
        self.put_wallet(wallet);
        Ok(Reply::Done)
    }
}
