//! Ending a hold: what was used is taken from the lots in burn order, the rest of the hold is given back.

use units::{AccountId, NanoCny};

use super::{Draft, Hold, Lot, Posting, Refusal, Reply, book_of};
use crate::ledger::{
    Asset, Body, Book, EntryKind, HoldState, LotClass, LotUse, RowOp, SettleEnd, SettledBy, TokenLeg, Wallet,
    burn_order, split_charge,
};

impl Draft<'_> {
    pub(super) fn settle(&mut self) -> Result<Reply, Refusal> {
        let Body::Settle { id, account, key, tokens, by, end } = &self.command.body else {
            return Err(Refusal::NotPositive);
        };
        // The balances and budgets were loaded by the command's words, so they must be the hold's own.
        let own =
            |hold: &&Hold| hold.account == *account && hold.key == *key && hold.token_assets() == *tokens;
        let hold = self.rows.hold(*id).filter(own).ok_or(Refusal::UnknownHold(*id))?;
        match (hold.state, by) {
            (HoldState::Open, SettledBy::Owner { epoch }) if *epoch == hold.epoch => {}
            (HoldState::Open, _) => return Err(Refusal::HoldFenced(*id)),
            (HoldState::Orphan, SettledBy::Recovery) => {}
            // An owner who wakes late changes no charge.
            (_, SettledBy::Owner { epoch }) if hold.orphaned_at.is_some() && *epoch == hold.epoch => {
                return Ok(self.note_late(hold, end));
            }
            (HoldState::Orphan, SettledBy::Owner { .. }) => return Err(Refusal::HoldOrphaned(*id)),
            // The first end counts; a repeat is told what it was.
            (HoldState::Settled | HoldState::Released, _) => {
                return Ok(Reply::Hold(Box::new(hold.clone())));
            }
        }
        let mut ended = Hold { ended_at: Some(self.command.at), ..hold.clone() };
        match end {
            SettleEnd::NotSent if hold.dispatched => return Err(Refusal::HoldDispatched(*id)),
            SettleEnd::NotSent | SettleEnd::Release => {
                ended.state = HoldState::Released;
                self.free(&ended)?;
            }
            SettleEnd::Charge { usage, estimated, extra } => {
                ended.state = HoldState::Settled;
                ended.usage = Some(*usage);
                ended.estimated = *estimated;
                if self.is_house(hold.account) {
                    ended.cost = hold.quote.rates_for(usage).charge(usage)?;
                    self.post_cost(&ended, Book::HouseUsage, EntryKind::Settle, ended.cost.get());
                } else {
                    let split = split_charge(usage, hold.quote.rates_for(usage), &hold.legs)?;
                    ended.cost_tokens_milli = split.tokens_milli();
                    for (leg, burnt) in hold.legs.iter().zip(&split.legs) {
                        self.burn_tokens(&mut ended, leg, *burnt)?;
                    }
                    self.burn_money(&mut ended, split.money, *extra)?;
                }
            }
        }
        self.end_budgets(&ended);
        self.ops.push(RowOp::Hold(Box::new(ended.clone())));
        Ok(Reply::Hold(Box::new(ended)))
    }

    /// Keeps what an owner says after its hold was taken from it: our cost, nobody's charge. The first word counts.
    fn note_late(&mut self, hold: &Hold, end: &SettleEnd) -> Reply {
        let SettleEnd::Charge { usage, .. } = end else { return Reply::Hold(Box::new(hold.clone())) };
        if hold.late.is_some() {
            return Reply::Hold(Box::new(hold.clone()));
        }
        let hold = Hold { late: Some(*usage), ..hold.clone() };
        self.ops.push(RowOp::Hold(Box::new(hold.clone())));
        Reply::Hold(Box::new(hold))
    }

    /// Gives every leg of the hold back untouched.
    fn free(&mut self, hold: &Hold) -> Result<(), Refusal> {
        for leg in &hold.legs {
            let mut wallet = self.rows.wallet(hold.account, &leg.asset);
            wallet.held = wallet.held.checked_sub(leg.milli).ok_or(Refusal::OutOfRange)?;
            self.put_wallet(wallet);
        }
        if hold.money.get() > 0 {
            let mut wallet = self.rows.wallet(hold.account, &Asset::Cny);
            wallet.held = wallet.held.checked_sub(hold.money.get()).ok_or(Refusal::OutOfRange)?;
            self.close_money(hold, wallet, Vec::new());
        }
        Ok(())
    }

    fn burn_tokens(&mut self, hold: &mut Hold, leg: &TokenLeg, burnt: i64) -> Result<(), Refusal> {
        let asset = &leg.asset;
        let mut wallet = self.rows.wallet(hold.account, asset);
        wallet.held = wallet.held.checked_sub(leg.milli).ok_or(Refusal::OutOfRange)?;
        for (lot, amount) in self.take(&mut wallet, burnt)? {
            self.post_use(hold, &lot, amount, Book::TokenIssue);
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
            hold.used.push(LotUse { lot: lot.id.clone(), asset: asset.clone(), amount });
            self.ops.push(RowOp::Lot(lot));
        }
        self.put_wallet(wallet);
        Ok(())
    }

    fn burn_money(&mut self, hold: &mut Hold, cost: NanoCny, extra: NanoCny) -> Result<(), Refusal> {
        let mut wallet = self.rows.wallet(hold.account, &Asset::Cny);
        wallet.held = wallet.held.checked_sub(hold.money.get()).ok_or(Refusal::OutOfRange)?;
        // Beyond the hold only what no other hold is promised and the budgets allow; the rest is our loss, never a debt.
        let extra = extra.get().max(0).min(self.budget_room(hold));
        let ceiling = hold.money.get().saturating_add(extra);
        let payable = cost.get().min(ceiling).min(wallet.available().max(0));
        hold.cost = NanoCny::new(payable);
        hold.overrun = cost.minus(hold.cost)?;
        if payable == 0 && hold.money.get() == 0 && hold.overrun.get() == 0 {
            return Ok(());
        }
        let taken = self.take(&mut wallet, payable)?;
        for (lot, amount) in &taken {
            self.post_use(hold, lot, *amount, Book::Revenue);
            hold.used.push(LotUse { lot: lot.id.clone(), asset: Asset::Cny, amount: *amount });
        }
        self.close_money(hold, wallet, taken.into_iter().map(|(lot, _)| lot).collect());
        self.post_cost(hold, Book::OverrunLoss, EntryKind::OverrunWriteoff, hold.overrun.get());
        Ok(())
    }

    /// Writes the money balance and its lots as a hold leaves them. What the hold frees and a temporary grant that is
    /// over still has in it goes back to where it was lent from, before another call can be pledged it.
    fn close_money(&mut self, hold: &Hold, mut wallet: Wallet, mut changed: Vec<Lot>) {
        let mut freed = hold.money.get().saturating_sub(hold.cost.get()).max(0);
        let over: Vec<Lot> = self
            .rows
            .lots_of(hold.account, &Asset::Cny)
            .filter(|lot| lot.class == LotClass::Temp && lot.rem > 0)
            .filter(|lot| lot.expires_at.is_some_and(|end| end <= self.command.at))
            .cloned()
            .collect();
        for lot in over {
            let place = changed.iter().position(|other| other.id == lot.id);
            let lot = place.map_or(lot, |place| changed.swap_remove(place));
            let back = lot.rem.min(freed);
            freed -= back;
            changed.push(self.take_back(lot, back, &mut wallet));
        }
        self.ops.extend(changed.into_iter().map(RowOp::Lot));
        self.put_wallet(wallet);
    }

    /// Books what a call took out of a lot.
    fn post_use(&mut self, hold: &Hold, lot: &Lot, amount: i64, credit: Book) {
        self.post(Posting {
            kind: EntryKind::Settle,
            debit: book_of(lot.class),
            credit,
            asset: &lot.asset,
            amount,
            account: Some(hold.account),
            lot: Some(&lot.id),
            hold: Some(hold.id),
            order: lot.order,
        });
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
pub(super) fn earned(lot: &Lot, consumed: i64) -> i64 {
    debug_assert_eq!(lot.class, LotClass::Tokens);
    let paid = i128::from(NanoCny::from(lot.paid_fen).get());
    i64::try_from(paid * i128::from(consumed) / i128::from(lot.orig.max(1))).unwrap_or(0)
}
