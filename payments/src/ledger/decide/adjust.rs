//! Corrections by hand.

use super::{
    Draft, Lot, Posting, Refusal, Reply, book_of,
    check::{invalid, name},
    new_lot,
    standing::worth,
};
use crate::ledger::{Adjustment, Asset, Book, EntryKind, LotClass, RowOp, Wallet, burn_order};

impl Draft<'_> {
    pub(super) fn adjust(&mut self, change: &Adjustment) -> Result<Reply, Refusal> {
        self.two_people()?;
        name("ticket", &change.ticket)?;
        self.keyed_as(&format!("adj:{}", change.ticket))?;
        self.unclosed_account(change.account)?;
        if change.amount == 0 {
            return Err(invalid("amount", "nothing would change"));
        }
        if let Asset::Tokens(id) = &change.asset {
            self.rows.terms(id).ok_or_else(|| invalid("asset", "there are no such tokens"))?;
        }
        if change.amount > 0 { self.adjust_up(change) } else { self.adjust_down(change) }
    }

    /// More comes as a gift: it is used first, and never leaves as cash.
    fn adjust_up(&mut self, change: &Adjustment) -> Result<Reply, Refusal> {
        let class = if change.asset == Asset::Cny { LotClass::Promo } else { LotClass::Tokens };
        let (account, asset, amount) = (change.account, change.asset.clone(), change.amount);
        if self.rows.lots.contains_key(&change.lot()) {
            return Err(Refusal::KeyReused);
        }
        let mut wallet = self.rows.wallet(account, &asset);
        wallet.posted = wallet.posted.checked_add(amount).ok_or(Refusal::OutOfRange)?;
        let lot = new_lot(change.lot(), account, asset, class, amount, self.command.at);
        self.post_adjust(&lot, Book::Adjust, book_of(class), amount);
        self.ops.push(RowOp::Lot(lot));
        self.put_wallet(wallet);
        Ok(Reply::Done)
    }

    /// Less takes what no open hold needs, in the order in which use would have.
    fn adjust_down(&mut self, change: &Adjustment) -> Result<Reply, Refusal> {
        let required = change.amount.checked_neg().ok_or(Refusal::OutOfRange)?;
        let mut wallet = self.rows.wallet(change.account, &change.asset);
        let asset = wallet.asset.clone();
        let available = wallet.available();
        let taken = self.void_free(&mut wallet, required, |lot| lot.class != LotClass::Temp);
        if taken.iter().map(|(_, part)| part).sum::<i64>() < required {
            return Err(Refusal::Insufficient { asset, available, required });
        }
        for (lot, part) in taken {
            self.post_adjust(&lot, book_of(lot.class), Book::Adjust, part);
            if lot.class == LotClass::Tokens {
                // Before and after, so that the parts sum to the whole.
                let earned = worth(&lot, lot.voided) - worth(&lot, lot.voided - part);
                self.post_cny(&lot, EntryKind::Adjust, Book::TokenLiability, Book::Adjust, earned);
            }
            self.ops.push(RowOp::Lot(lot));
        }
        self.put_wallet(wallet);
        Ok(Reply::Done)
    }

    /// Takes up to `wanted` of what is unpledged out of the lots that `from` allows, in burn order; each lot as it stands
    /// then, with what it gave.
    pub(super) fn void_free(
        &self,
        wallet: &mut Wallet,
        wanted: i64,
        from: impl Fn(&Lot) -> bool,
    ) -> Vec<(Lot, i64)> {
        let mut left = wanted.min(wallet.available());
        let mut taken = Vec::new();
        for lot in burn_order(self.rows.lots_of(wallet.account, &wallet.asset)) {
            let part = lot.rem.min(left);
            if part <= 0 || !from(lot) {
                continue;
            }
            left -= part;
            wallet.posted -= part;
            taken.push((Lot { rem: lot.rem - part, voided: lot.voided + part, ..lot.clone() }, part));
        }
        taken
    }

    fn post_adjust(&mut self, lot: &Lot, debit: Book, credit: Book, amount: i64) {
        let asset = lot.asset.clone();
        self.post_lot(lot, &asset, EntryKind::Adjust, debit, credit, amount);
    }

    fn post_cny(&mut self, lot: &Lot, kind: EntryKind, debit: Book, credit: Book, amount: i64) {
        self.post_lot(lot, &Asset::Cny, kind, debit, credit, amount);
    }

    fn post_lot(
        &mut self,
        lot: &Lot,
        asset: &Asset,
        kind: EntryKind,
        debit: Book,
        credit: Book,
        amount: i64,
    ) {
        self.post(Posting {
            kind,
            debit,
            credit,
            asset,
            amount,
            account: Some(lot.account),
            lot: Some(&lot.id),
            hold: None,
            order: lot.order,
        });
    }
}
