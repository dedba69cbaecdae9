//! Correcting a wrong charge: its recorded parts are unwound, the last first, never beyond what it took.

use units::{NanoCny, RequestId};

use super::{Draft, Hold, Lot, Posting, Refusal, Reply, book_of, new_lot, settle::earned};
use crate::ledger::{
    Asset, Body, Book, Correction, EntryKind, Grant, GrantState, LotClass, LotUse, RowOp, Wallet,
    order::paid_lot,
};

impl Draft<'_> {
    pub(super) fn correct_charge(&mut self) -> Result<Reply, Refusal> {
        let Body::CorrectCharge { id, account, key, used, what } = &self.command.body else {
            return Err(Refusal::NotPositive);
        };
        self.two_people()?;
        // The lots were loaded by the command's words, so they must be the hold's own.
        let own = |hold: &&Hold| hold.account == *account && hold.key == *key && hold.used == *used;
        let hold = self.rows.hold(*id).filter(own).ok_or(Refusal::UnknownHold(*id))?;
        let back = parts(hold, what)?;
        let mut hold = hold.clone();
        let mut wallets: Vec<Wallet> = Vec::new();
        let mut lots: Vec<Lot> = Vec::new();
        let money: i64 = back.iter().filter(|part| part.asset == Asset::Cny).map(|part| part.amount).sum();
        for part in back {
            let at = wallets.iter().position(|wallet| wallet.asset == part.asset).unwrap_or_else(|| {
                wallets.push(self.rows.wallet(*account, &part.asset));
                wallets.len() - 1
            });
            self.unwind(*id, &part, &mut wallets[at], &mut lots)?;
            match hold.corrected.iter_mut().find(|before| before.lot == part.lot) {
                Some(before) => before.amount += part.amount,
                None => hold.corrected.push(part.clone()),
            }
        }
        self.unspend_budgets(&hold, money);
        self.ops.extend(lots.into_iter().map(RowOp::Lot));
        wallets.into_iter().for_each(|wallet| self.put_wallet(wallet));
        self.ops.push(RowOp::Hold(Box::new(hold.clone())));
        Ok(Reply::Hold(Box::new(hold)))
    }

    /// Gives one part back to the lot it was taken from.
    fn unwind(
        &mut self,
        id: RequestId,
        part: &LotUse,
        wallet: &mut Wallet,
        lots: &mut Vec<Lot>,
    ) -> Result<(), Refusal> {
        let grant = Grant::order_of(&part.lot).and_then(|order| self.rows.grant(order)).cloned();
        let lent = self.lot_in(lots, &part.lot)?;
        match grant {
            // What was lent is over and never paid: nobody has it, we lose that much less.
            Some(grant) if grant.state == GrantState::WrittenOff => {
                self.lose_less(id, &lent, &grant, part.amount, wallet, lots)
            }
            // What was lent and then paid back was taken from the payment in the end; what the payment did not cover, we
            // lost, and lose no more.
            Some(grant) if grant.state == GrantState::Converted => {
                let lost = part.amount.min(lent.consumed);
                let paid = self.lot_in(lots, &paid_lot(grant.order))?;
                self.give_back(id, paid, part.amount - lost, wallet, lots)?;
                self.lose_less(id, &lent, &grant, lost, wallet, lots)
            }
            // The payment that is to pay it back may have begun to, while calls still kept the rest.
            Some(grant) => {
                let there = part.amount.min(lent.consumed);
                self.give_back(id, lent, there, wallet, lots)?;
                match part.amount - there {
                    0 => Ok(()),
                    rest => {
                        let paid = self.lot_in(lots, &paid_lot(grant.order))?;
                        self.give_back(id, paid, rest, wallet, lots)
                    }
                }
            }
            None if lent.class == LotClass::Bonus => {
                let there = part.amount.min(lent.consumed);
                self.give_back(id, lent.clone(), there, wallet, lots)?;
                self.owed_no_more(id, &lent, part.amount - there, wallet, lots)
            }
            None => self.give_back(id, lent, part.amount, wallet, lots),
        }
    }

    /// The lot as the parts unwound so far have left it.
    fn lot_in(&self, lots: &[Lot], id: &str) -> Result<Lot, Refusal> {
        let changed = lots.iter().find(|lot| lot.id == id);
        changed.or_else(|| self.rows.lots.get(id)).cloned().ok_or_else(|| Refusal::UnknownLot(id.to_owned()))
    }

    /// Puts `amount` back into the lot that it was taken from.
    fn give_back(
        &mut self,
        id: RequestId,
        lot: Lot,
        amount: i64,
        wallet: &mut Wallet,
        lots: &mut Vec<Lot>,
    ) -> Result<(), Refusal> {
        if amount == 0 {
            return Ok(());
        }
        let consumed =
            lot.consumed.checked_sub(amount).filter(|left| *left >= 0).ok_or(Refusal::OutOfRange)?;
        let rem = lot.rem.checked_add(amount).ok_or(Refusal::OutOfRange)?;
        wallet.posted = wallet.posted.checked_add(amount).ok_or(Refusal::OutOfRange)?;
        let from = if lot.asset == Asset::Cny { Book::Revenue } else { Book::TokenIssue };
        self.post(corrected(id, &lot, from, book_of(lot.class), &lot.asset, amount));
        if lot.class == LotClass::Tokens {
            let amount = earned(&lot, lot.consumed) - earned(&lot, consumed);
            self.post(corrected(id, &lot, Book::Revenue, Book::TokenLiability, &Asset::Cny, amount));
        }
        keep(lots, Lot { rem, consumed, ..lot });
        Ok(())
    }

    /// `amount` of what was lent, used and never paid was not used after all.
    fn lose_less(
        &mut self,
        id: RequestId,
        lent: &Lot,
        grant: &Grant,
        amount: i64,
        wallet: &mut Wallet,
        lots: &mut Vec<Lot>,
    ) -> Result<(), Refusal> {
        if amount == 0 {
            return Ok(());
        }
        self.give_back(id, lent.clone(), amount, wallet, lots)?;
        self.post(corrected(id, lent, book_of(lent.class), Book::BadDebt, &lent.asset, amount));
        wallet.posted -= amount;
        let lot = self.lot_in(lots, &lent.id)?;
        keep(lots, Lot { rem: lot.rem - amount, voided: lot.voided + amount, ..lot });
        let used = NanoCny::new(grant.used.get() - amount);
        self.ops.push(RowOp::Grant(Grant { used, ..grant.clone() }));
        Ok(())
    }

    /// `amount` of the charge was charged to the customer as a debt, since the bonus was not earned. It is owed no more;
    /// where it was settled since, it comes back as a gift, as whatever a person adds to a balance.
    fn owed_no_more(
        &mut self,
        id: RequestId,
        bonus: &Lot,
        amount: i64,
        wallet: &mut Wallet,
        lots: &mut Vec<Lot>,
    ) -> Result<(), Refusal> {
        let off = self.owe_less(bonus.account, amount)?;
        self.post(corrected(id, bonus, Book::Revenue, Book::WalletDebt, &bonus.asset, off));
        let gift = amount - off;
        if gift > 0 {
            let (name, at) = (format!("corrected:{}:{}", self.command.key, bonus.id), self.command.at);
            let lot = new_lot(name, bonus.account, Asset::Cny, LotClass::Promo, gift, at);
            wallet.posted = wallet.posted.checked_add(gift).ok_or(Refusal::OutOfRange)?;
            self.post(corrected(id, &lot, Book::Revenue, book_of(lot.class), &lot.asset, gift));
            lots.push(lot);
        }
        Ok(())
    }
}

/// The lot stands so.
fn keep(lots: &mut Vec<Lot>, lot: Lot) {
    match lots.iter_mut().find(|before| before.id == lot.id) {
        Some(before) => *before = lot,
        None => lots.push(lot),
    }
}

fn corrected<'a>(
    id: RequestId,
    lot: &'a Lot,
    debit: Book,
    credit: Book,
    asset: &'a Asset,
    amount: i64,
) -> Posting<'a> {
    Posting {
        kind: EntryKind::ChargeCorrection,
        debit,
        credit,
        asset,
        amount,
        account: Some(lot.account),
        lot: Some(&lot.id),
        hold: Some(id),
        order: lot.order,
    }
}

/// What goes back, the last part first.
fn parts(hold: &Hold, what: &Correction) -> Result<Vec<LotUse>, Refusal> {
    let left = |asset: &Asset| -> i64 {
        hold.used.iter().filter(|part| part.asset == *asset).map(|part| hold.uncorrected(part)).sum()
    };
    let (only, mut wanted) = match what {
        Correction::Whole => (None, i64::MAX),
        Correction::Part { amount, .. } if *amount <= 0 => return Err(Refusal::NotPositive),
        Correction::Part { asset, amount } => (Some(asset), *amount),
    };
    if let Some(asset) = only.filter(|asset| left(asset) < wanted) {
        let (hold, left, asked) = (hold.id, left(asset), wanted);
        return Err(Refusal::CorrectionTooMuch { hold, asset: asset.clone(), left, asked });
    }
    let mut back = Vec::new();
    for part in hold.used.iter().rev().filter(|part| only.is_none_or(|asset| part.asset == *asset)) {
        let amount = hold.uncorrected(part).min(wanted);
        if amount > 0 {
            wanted -= amount;
            back.push(LotUse { amount, ..part.clone() });
        }
    }
    if back.is_empty() {
        let (hold, asset) = (hold.id, Asset::Cny);
        return Err(Refusal::CorrectionTooMuch { hold, asset, left: 0, asked: 0 });
    }
    Ok(back)
}
