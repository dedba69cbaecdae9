//! Correcting a wrong charge: its recorded parts are unwound, the last first, never beyond what it took.

use units::RequestId;

use super::{Draft, Hold, Lot, Posting, Refusal, Reply, book_of, settle::earned};
use crate::ledger::{
    Asset, Body, Book, Correction, EntryKind, Grant, GrantState, LotClass, LotUse, RowOp, Wallet,
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
        // What was lent and then paid back was taken from the payment in the end.
        let paid_back = grant.as_ref().filter(|grant| grant.state == GrantState::Converted);
        let lot_id = paid_back.map_or(part.lot.clone(), |grant| format!("pay:{}", grant.order.bare()));
        let place = match lots.iter().position(|lot| lot.id == lot_id) {
            Some(place) => place,
            None => {
                lots.push(self.rows.lots.get(&lot_id).ok_or(Refusal::OutOfRange)?.clone());
                lots.len() - 1
            }
        };
        let before = lots[place].clone();
        let lot = Lot {
            rem: before.rem.checked_add(part.amount).ok_or(Refusal::OutOfRange)?,
            consumed: before
                .consumed
                .checked_sub(part.amount)
                .filter(|left| *left >= 0)
                .ok_or(Refusal::OutOfRange)?,
            ..before
        };
        wallet.posted = wallet.posted.checked_add(part.amount).ok_or(Refusal::OutOfRange)?;
        let money = lot.asset == Asset::Cny;
        let kind = EntryKind::ChargeCorrection;
        let posting = |debit, credit, asset, amount| Posting {
            kind,
            debit,
            credit,
            asset,
            amount,
            account: Some(lot.account),
            lot: Some(&lot.id),
            hold: Some(id),
            order: lot.order,
        };
        let from = if money { Book::Revenue } else { Book::TokenIssue };
        self.post(posting(from, book_of(lot.class), &lot.asset, part.amount));
        if lot.class == LotClass::Tokens {
            let amount = earned(&lot, lot.consumed + part.amount) - earned(&lot, lot.consumed);
            self.post(posting(Book::Revenue, Book::TokenLiability, &Asset::Cny, amount));
        }
        // What was lent is over and never paid: nobody has it, we lose that much less.
        let lost = grant.filter(|grant| grant.state == GrantState::WrittenOff);
        lots[place] = match lost {
            None => lot,
            Some(grant) => {
                self.post(posting(book_of(lot.class), Book::BadDebt, &lot.asset, part.amount));
                wallet.posted -= part.amount;
                let used = units::NanoCny::new(grant.used.get() - part.amount);
                self.ops.push(RowOp::Grant(Grant { used, ..grant }));
                Lot { rem: lot.rem - part.amount, voided: lot.voided + part.amount, ..lot }
            }
        };
        Ok(())
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
