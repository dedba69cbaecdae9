//! Temporary grants: lent while a payment is under way, paid back by it, taken back without it.

use units::{AccountId, KeyId, NanoCny, OrderId, Timestamp};

use super::{Draft, Lot, Order, Posting, Refusal, Reply, book_of, new_lot};
use crate::ledger::{
    Account, AccountRole, ApiKey, Asset, Body, Book, Budget, BudgetPeriod, EntryKind, Grant, GrantBlock,
    GrantClaim, GrantStanding, GrantState, LotClass, OrderKind, OrderState, RowOp, Wallet, order::paid_lot,
};

impl Draft<'_> {
    pub(super) fn open_grant(&mut self) -> Result<Reply, Refusal> {
        let Body::OpenGrant { order: id, account, claim, caps } = &self.command.body else {
            return Err(Refusal::NotPositive);
        };
        let at = self.command.at;
        let order = self.rows.order(*id).filter(|order| order.account == *account);
        let order = order.ok_or(Refusal::UnknownOrder(*id))?;
        if let Some(grant) = self.rows.grant(*id) {
            return Ok(Reply::Grant(Box::new(grant.clone())));
        }
        let Account { role, flag, .. } = self.active_account(*account)?;
        let standing = self.rows.standing(*account);
        let amount = caps.amount(NanoCny::from(order.amount), standing.has_paid);
        let lasts = caps.lasts_secs.saturating_mul(1_000_000);
        let checks = [
            (
                order.state == OrderState::Pending && at < order.expires_at && !order.is_unwanted(),
                GrantBlock::NotPending,
            ),
            (order.kind == OrderKind::Wallet && *role == AccountRole::Customer, GrantBlock::NotMoney),
            (*claim == GrantClaim::Payer || caps.unclaimed, GrantBlock::Unclaimed),
            (!standing.barred, GrantBlock::Barred),
            (flag.is_none(), GrantBlock::Watched),
            (standing.live.is_none(), GrantBlock::Live),
            (standing.opened_on(at) < caps.per_day, GrantBlock::TooMany),
            (amount.get() > 0 && lasts > 0, GrantBlock::Nothing),
        ];
        if let Some((_, why)) = checks.into_iter().find(|(holds, _)| !holds) {
            return Err(Refusal::GrantRefused { order: *id, why });
        }
        let grant = Grant {
            order: *id,
            account: *account,
            amount,
            state: GrantState::Active,
            claim: *claim,
            opened_at: at,
            expires_at: Timestamp(at.0.saturating_add(lasts)),
            used: NanoCny::ZERO,
            resolved_at: None,
        };
        let asset = Asset::Cny;
        let mut lot = new_lot(Grant::lot(*id), *account, asset.clone(), LotClass::Temp, amount.get(), at);
        lot.order = Some(*id);
        lot.expires_at = Some(grant.expires_at);
        let mut wallet = self.rows.wallet(*account, &asset);
        wallet.posted = wallet.posted.checked_add(amount.get()).ok_or(Refusal::OutOfRange)?;
        self.post_lent(&lot, EntryKind::TempGrant, Book::TempReceivable, book_of(lot.class), amount.get());
        self.ops.push(RowOp::Lot(lot));
        self.put_wallet(wallet);
        self.ops.push(RowOp::Standing(standing.with(*id, at)));
        if let Some(key) = self.temporary_key(*id) {
            let key = ApiKey { expires_at: Some(grant.expires_at), ..key.clone() };
            self.limit_key(&key, amount);
            self.ops.push(RowOp::Key(key));
        }
        self.ops.push(RowOp::Grant(grant.clone()));
        Ok(Reply::Grant(Box::new(grant)))
    }

    /// The key of a grant spends nothing until the grant is opened, and then no more than was granted.
    pub(super) fn fence_temporary_key(&mut self, key: &ApiKey) -> Result<(), Refusal> {
        match key.grant {
            None => Ok(()),
            Some(order) if key.id == KeyId::of_order(order) && key.expires_at.is_some() => {
                self.limit_key(key, NanoCny::ZERO);
                Ok(())
            }
            Some(_) => {
                Err(Refusal::NotAllowed("a temporary key has its order's number and an end".to_owned()))
            }
        }
    }

    fn temporary_key(&self, order: OrderId) -> Option<&ApiKey> {
        self.rows.key(KeyId::of_order(order)).filter(|key| key.grant == Some(order))
    }

    fn limit_key(&mut self, key: &ApiKey, limit: NanoCny) {
        let (period, at) = (BudgetPeriod::Total, self.command.at);
        let found = self.rows.budgets_of(key.account, Some(key.id)).find(|budget| budget.period == period);
        if found.is_some_and(|budget| budget.limit == Some(limit)) {
            return;
        }
        let budget = match found {
            Some(budget) => Budget { limit: Some(limit), set_at: at, ..budget.clone() },
            None => Budget::new(key.account, Some(key.id), period, Some(limit), at),
        };
        self.ops.push(RowOp::Budget(Box::new(budget)));
    }

    /// The order failed or was closed: from here on nothing is lent on it and its key opens nothing. What was lent is
    /// taken back by [`Self::sweep_grant`], which knows the balance.
    pub(super) fn revoke_grant(&mut self, order: OrderId) {
        if let Some(grant) = self.rows.grant(order).filter(|grant| grant.state == GrantState::Active) {
            self.ops.push(RowOp::Grant(Grant { state: GrantState::Revoked, ..grant.clone() }));
        }
        self.revoke_temporary_key(order);
    }

    fn revoke_temporary_key(&mut self, order: OrderId) {
        if let Some(key) = self.temporary_key(order).filter(|key| key.revoked_at.is_none()) {
            let key = ApiKey { revoked_at: Some(self.command.at), ..key.clone() };
            self.ops.push(RowOp::Key(key));
        }
    }

    pub(super) fn sweep_grant(
        &mut self,
        order: OrderId,
        account: AccountId,
        granted: i64,
    ) -> Result<Reply, Refusal> {
        let found = self.rows.grant(order).filter(|grant| grant.account == account);
        let mut grant = found.ok_or(Refusal::UnknownGrant(order))?.clone();
        let at = self.command.at;
        let before = grant.clone();
        match grant.state {
            GrantState::Active if at < grant.expires_at => return Ok(Reply::Grant(Box::new(grant))),
            GrantState::Active => grant.state = GrantState::Expired,
            GrantState::Revoked | GrantState::Expired => {}
            GrantState::Converted | GrantState::WrittenOff => return Ok(Reply::Grant(Box::new(grant))),
        }
        if before.resolved_at.is_none() {
            let mut lot = self.rows.lots.get(&Grant::lot(order)).ok_or(Refusal::OutOfRange)?.clone();
            let mut wallet = self.rows.wallet(account, &Asset::Cny);
            // Only what no hold is promised; the rest when the holds end.
            let back = lot.rem.min(wallet.available()).min(granted).max(0);
            let ends = lot.expires_at.map_or(at, |end| end.min(at));
            let payment = self.rows.lots.get(&paid_lot(order)).cloned();
            if back > 0 || lot.expires_at != Some(ends) {
                lot.expires_at = Some(ends);
                lot = self.take_back(lot, back, &mut wallet);
                self.ops.push(RowOp::Lot(lot.clone()));
            }
            match payment {
                Some(mut payment) if lot.rem == 0 => {
                    grant = self.paid_back_by(grant, &lot, &mut payment, &mut wallet);
                    self.ops.push(RowOp::Lot(payment));
                    self.ops.push(RowOp::Standing(self.rows.standing(account).without(order)));
                }
                _ => self.resolve(&mut grant, &lot),
            }
            if wallet != self.rows.wallet(account, &Asset::Cny) {
                self.put_wallet(wallet);
            }
        }
        if let Some(key) = self.temporary_key(order).cloned() {
            self.limit_key(&key, NanoCny::ZERO);
            self.revoke_temporary_key(order);
        }
        if grant != before {
            self.ops.push(RowOp::Grant(grant.clone()));
        }
        Ok(Reply::Grant(Box::new(grant)))
    }

    /// Takes `amount` of what was lent back out of the balance; the lot as it stands then.
    pub(super) fn take_back(&mut self, lot: Lot, amount: i64, wallet: &mut Wallet) -> Lot {
        self.post_lent(&lot, EntryKind::TempRevoke, book_of(lot.class), Book::TempReceivable, amount);
        wallet.posted -= amount;
        Lot { rem: lot.rem - amount, voided: lot.voided + amount, ..lot }
    }

    /// What is over and back, or over and lost.
    fn resolve(&mut self, grant: &mut Grant, lot: &Lot) {
        if lot.rem > 0 {
            return;
        }
        let payable = self.rows.order(grant.order).is_some_and(|order| may_be_paid(order.state));
        let standing = self.rows.standing(grant.account).without(grant.order);
        let standing = if lot.consumed == 0 {
            standing
        } else if grant.state == GrantState::Revoked || !payable {
            self.post_lent(lot, EntryKind::TempWriteoff, Book::BadDebt, Book::TempReceivable, lot.consumed);
            grant.state = GrantState::WrittenOff;
            grant.used = NanoCny::new(lot.consumed);
            GrantStanding { barred: true, ..standing }
        } else {
            // The payment may still come.
            return;
        };
        grant.resolved_at = Some(self.command.at);
        self.ops.push(RowOp::Standing(standing));
    }

    /// Whoever has paid may be lent more, and again.
    pub(super) fn note_payer(&mut self, order: &Order) {
        let before = self.rows.standing(order.account);
        let standing = GrantStanding { has_paid: true, barred: false, ..before.clone().without(order.id) };
        if standing != before {
            self.ops.push(RowOp::Standing(standing));
        }
    }

    /// The order is paid: what was lent on it and used is moved onto the payment's lot, the rest goes back. It fits, since
    /// no more was lent than is to be paid; where a review credits less than that, what is beyond it is lost, and what
    /// open calls were promised of it stays until they end: then [`Self::sweep_grant`] comes here again.
    pub(super) fn pay_grant_back(
        &mut self,
        order: &Order,
        lot: &mut Lot,
        wallet: &mut Wallet,
    ) -> Result<(), Refusal> {
        let Some(grant) = self.rows.grant(order.id).filter(|grant| grant.state != GrantState::Converted)
        else {
            return Ok(());
        };
        let temp = self.rows.lots.get(&Grant::lot(order.id)).ok_or(Refusal::OutOfRange)?.clone();
        let grant = self.paid_back_by(grant.clone(), &temp, lot, wallet);
        if grant.resolved_at.is_none() {
            let standing = self.rows.standing(order.account);
            let standing = GrantStanding { has_paid: true, barred: false, live: Some(order.id), ..standing };
            self.ops.push(RowOp::Standing(standing));
        }
        self.ops.push(RowOp::Grant(grant));
        Ok(())
    }

    /// Moves what `temp` can give back, and what was used of it as far as `lot` has it; the grant as it stands then.
    fn paid_back_by(&mut self, grant: Grant, temp: &Lot, lot: &mut Lot, wallet: &mut Wallet) -> Grant {
        let paid = temp.consumed.min(lot.rem);
        let unused = temp.rem.min(wallet.available() - paid).max(0);
        let (pledged, lost) = (temp.rem - unused, temp.consumed - paid);
        let written_off = grant.state == GrantState::WrittenOff;
        let kind = EntryKind::TempWriteoff;
        if written_off {
            self.post_lent(temp, kind, Book::TempReceivable, Book::BadDebt, paid);
        } else if pledged == 0 {
            self.post_lent(temp, kind, Book::BadDebt, Book::TempReceivable, lost);
        }
        let kind = EntryKind::TempConvert;
        self.post_lent(temp, kind, book_of(temp.class), Book::TempReceivable, unused);
        self.post_lent(lot, kind, book_of(lot.class), Book::TempReceivable, paid);
        wallet.posted -= unused + paid;
        lot.rem -= paid;
        lot.consumed += paid;
        let at = self.command.at;
        let (voided, ends) = (temp.voided + unused + paid, temp.expires_at.map_or(at, |end| end.min(at)));
        let expires_at = if pledged > 0 { Some(ends) } else { temp.expires_at };
        self.ops.push(RowOp::Lot(Lot { rem: pledged, consumed: lost, voided, expires_at, ..temp.clone() }));
        let before = if written_off { 0 } else { grant.used.get() };
        if pledged > 0 {
            let state = if grant.state == GrantState::Active { GrantState::Expired } else { grant.state };
            return Grant { state, used: NanoCny::new(before + paid), ..grant };
        }
        let used = NanoCny::new(before + temp.consumed);
        Grant { state: GrantState::Converted, used, resolved_at: Some(at), ..grant }
    }

    fn post_lent(&mut self, lot: &Lot, kind: EntryKind, debit: Book, credit: Book, amount: i64) {
        self.post(Posting {
            kind,
            debit,
            credit,
            asset: &Asset::Cny,
            amount,
            account: Some(lot.account),
            lot: Some(&lot.id),
            hold: None,
            order: lot.order,
        });
    }
}

/// True while a payment of the order is awaited or has come.
const fn may_be_paid(state: OrderState) -> bool {
    matches!(
        state,
        OrderState::Created
            | OrderState::Pending
            | OrderState::Paid
            | OrderState::Review
            | OrderState::PartiallyRefunded
            | OrderState::Refunded
    )
}
