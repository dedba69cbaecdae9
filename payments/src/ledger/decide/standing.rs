//! May this account go on? Stopped, watched, closed.

use units::{AccountId, Fen, NanoCny};

use super::{Draft, Lot, Posting, Refusal, Reply, book_of, check::invalid};
use crate::ledger::{
    Account, AccountRole, Asset, Book, EntryKind, LotClass, RowOp, Wallet, out_of_channel, refundable,
};

impl Draft<'_> {
    pub(super) fn stop_account(&mut self, id: AccountId) -> Result<Reply, Refusal> {
        let reason = self.staff_with_reason()?.to_owned();
        let account = self.unclosed_account(id)?.clone();
        if account.stopped {
            return Ok(Reply::Account(Box::new(account)));
        }
        Ok(self.put_account(Account { stopped: true, stop_reason: Some(reason), ..account }))
    }

    pub(super) fn resume_account(&mut self, id: AccountId) -> Result<Reply, Refusal> {
        self.staff_with_reason()?;
        let account = self.unclosed_account(id)?.clone();
        if !account.stopped {
            return Ok(Reply::Account(Box::new(account)));
        }
        Ok(self.put_account(Account { stopped: false, stop_reason: None, ..account }))
    }

    pub(super) fn flag_account(&mut self, id: AccountId, flagged: bool) -> Result<Reply, Refusal> {
        let reason = self.staff_with_reason()?.to_owned();
        let account = self.unclosed_account(id)?.clone();
        let flag = flagged.then_some(reason);
        if flag == account.flag {
            return Ok(Reply::Account(Box::new(account)));
        }
        Ok(self.put_account(Account { flag, ..account }))
    }

    pub(super) fn put_account(&mut self, account: Account) -> Reply {
        self.ops.push(RowOp::Account(account.clone()));
        Reply::Account(Box::new(account))
    }

    /// Ends an account that has nothing left to hold, to refund or to be refunded. What cannot leave as cash stays here:
    /// gifts go back to where they came from, less than a fen is rounding.
    pub(super) fn close_account(&mut self, id: AccountId) -> Result<Reply, Refusal> {
        self.staff_with_reason()?;
        let account = self.unclosed_account(id)?.clone();
        if account.role == AccountRole::House {
            return Err(invalid("account", "our own account stays open"));
        }
        if account.debt.get() > 0 {
            return Err(Refusal::InDebt { account: id, debt: account.debt });
        }
        let mut wallets: Vec<Wallet> =
            self.rows.wallets().filter(|wallet| wallet.account == id).cloned().collect();
        wallets.sort_by(|a, b| a.asset.cmp(&b.asset));
        for wallet in &wallets {
            self.is_empty(wallet)?;
        }
        for mut wallet in wallets {
            let lots: Vec<Lot> = self.rows.lots_of(id, &wallet.asset).cloned().collect();
            for lot in lots {
                self.close_lot(lot);
            }
            if wallet.posted > 0 {
                wallet.posted = 0;
                self.put_wallet(wallet);
            }
        }
        let (stopped, closed_at) = (true, Some(self.command.at));
        Ok(self.put_account(Account { stopped, closed_at, ..account }))
    }

    fn is_empty(&self, wallet: &Wallet) -> Result<(), Refusal> {
        let (id, at) = (wallet.account, self.command.at);
        let lots = || self.rows.lots_of(id, &wallet.asset);
        let refuse = |what: &str| Err(Refusal::AccountNotEmpty { account: id, what: what.to_owned() });
        if wallet.held > 0 {
            return refuse("calls are running");
        }
        if lots().any(|lot| lot.refunding > 0) {
            return refuse("refunds are under way");
        }
        if lots().any(|lot| lot.class == LotClass::Temp && lot.rem > 0) {
            return refuse("something lent is not returned");
        }
        let (by_channel, by_hand) = (refundable(lots(), 0, at), out_of_channel(lots(), 0, at));
        if by_channel.iter().any(|lot| lot.cap > Fen::ZERO) {
            return refuse("there is money to refund");
        }
        if by_hand.iter().any(|lot| lot.cap > Fen::ZERO) {
            return refuse("there is money to pay back by hand");
        }
        if !(by_channel.is_empty() && by_hand.is_empty()) {
            return refuse("there is money that is no longer refunded: it is used, or adjusted, first");
        }
        Ok(())
    }

    fn close_lot(&mut self, lot: Lot) {
        let to = match lot.class {
            LotClass::Promo | LotClass::Bonus => Book::PromoCost,
            LotClass::Tokens => Book::TokenIssue,
            LotClass::Paid | LotClass::Temp => Book::Rounding,
        };
        self.post_close(&lot, &lot.asset, book_of(lot.class), to, lot.rem);
        self.post_close(&lot, &Asset::Cny, Book::TokenLiability, Book::Rounding, unearned(&lot));
        if lot.rem > 0 {
            self.ops.push(RowOp::Lot(Lot { rem: 0, voided: lot.voided + lot.rem, ..lot }));
        }
    }

    fn post_close(&mut self, lot: &Lot, asset: &Asset, debit: Book, credit: Book, amount: i64) {
        self.post(Posting {
            kind: EntryKind::CloseOut,
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

/// What of a payment for tokens was neither earned nor given back, in nano-yuan: fractions that rounding left.
fn unearned(lot: &Lot) -> i64 {
    if lot.class != LotClass::Tokens {
        return 0;
    }
    let paid = NanoCny::from(lot.paid_fen).get();
    let gone = worth(lot, lot.consumed) + worth(lot, lot.voided) + NanoCny::from(lot.refunded_fen).get();
    (paid - gone).max(0)
}

/// What so many of the lot's tokens were paid with, in nano-yuan, rounded down.
pub(super) fn worth(lot: &Lot, milli: i64) -> i64 {
    let paid = i128::from(NanoCny::from(lot.paid_fen).get());
    i64::try_from(paid * i128::from(milli) / i128::from(lot.orig.max(1))).unwrap_or(0)
}
