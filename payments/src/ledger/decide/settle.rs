//! Ending a hold: what was used is taken from the lots in burn order, the rest of the hold is given back.

use units::{AccountId, NanoCny, RequestId};

use super::{Draft, Hold, Lot, Posting, Refusal, Reply, book_of};
use crate::ledger::{
    AccountRole, Asset, Book, EntryKind, HoldState, LotClass, RowOp, SettleEnd, Wallet, burn_order,
    split_charge,
};

impl Draft<'_> {
    pub(super) fn settle(
        &mut self,
        id: RequestId,
        account: AccountId,
        model: &str,
        end: &SettleEnd,
    ) -> Result<Reply, Refusal> {
        // The balances were loaded by the command's words, so they must be the hold's own.
        let own = |hold: &&Hold| hold.account == account && hold.model == model;
        let hold = self.rows.hold(id).filter(own).ok_or(Refusal::UnknownHold(id))?;
        if hold.state != HoldState::Open {
            // The first end counts; a repeat is told what it was.
            return Ok(Reply::Hold(Box::new(hold.clone())));
        }
        let mut ended = Hold { ended_at: Some(self.command.at), ..hold.clone() };
        match end {
            SettleEnd::Release => {
                ended.state = HoldState::Released;
                self.free(&ended)?;
            }
            SettleEnd::Charge { usage, estimated, extra } => {
                ended.state = HoldState::Settled;
                ended.usage = Some(*usage);
                ended.estimated = *estimated;
                let house = self.rows.account(hold.account).is_some_and(|a| a.role == AccountRole::House);
                if house {
                    ended.cost = hold.quote.rates_for(usage).charge(usage)?;
                    self.post_cost(&ended, Book::HouseUsage, EntryKind::Settle, ended.cost.get());
                } else {
                    let (tokens, cost) = split_charge(usage, hold.quote.rates_for(usage), hold.tokens_milli)?;
                    ended.cost_tokens_milli = tokens;
                    self.burn_tokens(&ended)?;
                    self.burn_money(&mut ended, cost, *extra)?;
                }
            }
        }
        self.ops.push(RowOp::Hold(Box::new(ended.clone())));
        Ok(Reply::Hold(Box::new(ended)))
    }

    /// Gives both legs of the hold back untouched.
    fn free(&mut self, hold: &Hold) -> Result<(), Refusal> {
        for (asset, amount) in
            [(Asset::Cny, hold.money.get()), (Asset::Tokens(hold.model.clone()), hold.tokens_milli)]
        {
            if amount > 0 {
                let mut wallet = self.rows.wallet(hold.account, &asset);
                wallet.held = wallet.held.checked_sub(amount).ok_or(Refusal::OutOfRange)?;
                self.put_wallet(wallet);
            }
        }
        Ok(())
    }

    fn burn_tokens(&mut self, hold: &Hold) -> Result<(), Refusal> {
        if hold.tokens_milli == 0 {
            return Ok(());
        }
        let asset = Asset::Tokens(hold.model.clone());
        let mut wallet = self.rows.wallet(hold.account, &asset);
        wallet.held = wallet.held.checked_sub(hold.tokens_milli).ok_or(Refusal::OutOfRange)?;
        let used = self.take(&mut wallet, hold.cost_tokens_milli)?;
        for (lot, amount) in used {
            self.post(Posting {
                kind: EntryKind::Settle,
                debit: book_of(lot.class),
                credit: Book::TokenIssue,
                asset: &asset,
                amount,
                account: Some(hold.account),
                lot: Some(&lot.id),
                hold: Some(hold.id),
                order: lot.order,
            });
            self.post(Posting {
                kind: EntryKind::TokenRevenue,
                debit: Book::TokenLiability,
                credit: Book::Revenue,
                asset: &Asset::Cny,
                amount: earned(&lot, lot.consumed) - earned(&lot, lot.consumed - amount),
                account: Some(hold.account),
                lot: Some(&lot.id),
                hold: Some(hold.id),
                order: lot.order,
            });
            self.ops.push(RowOp::Lot(lot));
        }
        self.put_wallet(wallet);
        Ok(())
    }

    fn burn_money(&mut self, hold: &mut Hold, cost: NanoCny, extra: NanoCny) -> Result<(), Refusal> {
        let mut wallet = self.rows.wallet(hold.account, &Asset::Cny);
        wallet.held = wallet.held.checked_sub(hold.money.get()).ok_or(Refusal::OutOfRange)?;
        // Beyond the hold only what no other hold is promised; the rest is our loss, never a debt.
        let ceiling = hold.money.get().saturating_add(extra.get().max(0));
        let payable = cost.get().min(ceiling).min(wallet.available().max(0));
        hold.cost = NanoCny::new(payable);
        hold.overrun = cost.minus(hold.cost)?;
        if payable == 0 && hold.money.get() == 0 && hold.overrun.get() == 0 {
            return Ok(());
        }
        let used = self.take(&mut wallet, payable)?;
        for (lot, amount) in used {
            self.post(Posting {
                kind: EntryKind::Settle,
                debit: book_of(lot.class),
                credit: Book::Revenue,
                asset: &Asset::Cny,
                amount,
                account: Some(hold.account),
                lot: Some(&lot.id),
                hold: Some(hold.id),
                order: lot.order,
            });
            self.ops.push(RowOp::Lot(lot));
        }
        self.put_wallet(wallet);
        self.post_cost(hold, Book::OverrunLoss, EntryKind::OverrunWriteoff, hold.overrun.get());
        Ok(())
    }

    /// Books `amount` as earned from one of our own books.
    fn post_cost(&mut self, hold: &Hold, debit: Book, kind: EntryKind, amount: i64) {
        self.post(Posting {
            kind,
            debit,
            credit: Book::Revenue,
            asset: &Asset::Cny,
            amount,
            account: Some(hold.account),
            lot: None,
            hold: Some(hold.id),
            order: None,
        });
    }

    /// Takes `amount` out of the balance's lots in burn order; each lot as it stands then, with what it gave.
    fn take(&self, wallet: &mut Wallet, amount: i64) -> Result<Vec<(Lot, i64)>, Refusal> {
        let mut left = amount;
        let mut used = Vec::new();
        for lot in burn_order(self.rows.lots_of(wallet.account, &wallet.asset)) {
            if left == 0 {
                break;
            }
            let part = lot.rem.min(left);
            left -= part;
            used.push((Lot { rem: lot.rem - part, consumed: lot.consumed + part, ..lot.clone() }, part));
        }
        if left > 0 {
            let account: AccountId = wallet.account;
            debug_assert!(false, "the lots of {account} hold less than its balance says");
            return Err(Refusal::OutOfRange);
        }
        wallet.posted -= amount;
        Ok(used)
    }
}

/// What of a payment for tokens is earned once `consumed` thousandths are used: rounded down, so that the parts sum
/// to the whole when all is used.
fn earned(lot: &Lot, consumed: i64) -> i64 {
    debug_assert_eq!(lot.class, LotClass::Tokens);
    let paid = i128::from(NanoCny::from(lot.paid_fen).get());
    i64::try_from(paid * i128::from(consumed) / i128::from(lot.orig.max(1))).unwrap_or(0)
}
