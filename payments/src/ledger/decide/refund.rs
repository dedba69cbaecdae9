//! Asking for money back: it leaves the lots when the refund is reserved.

use units::{AccountId, Fen, OrderId, RefundBatchId, RefundId};

use super::{Draft, Lot, Posting, Refusal, Reply, book_of};
use crate::ledger::{
    Account, Asset, Body, Book, Command, EntryKind, LotClass, PlannedItem, RefundBatch, RefundBatchState,
    RefundItem, RefundItemState, Refundable, Role, RowOp, plan_refund, refundable,
};

/// What is unused is there to be spent.
pub(super) fn all_withheld() -> Refusal {
    let what = "what is left earns the bonus that was used, or went back another way: it can be spent";
    Refusal::NothingRefundable(what.to_owned())
}

impl Draft<'_> {
    /// Why no refund of this account may begin now, if there is a reason. What else blocks refunds is added here.
    pub(super) fn refund_block(&self, account: &Account) -> Option<Refusal> {
        let debt =
            (account.debt.get() > 0).then_some(Refusal::InDebt { account: account.id, debt: account.debt });
        debt.or_else(|| self.rows.standing(account.id).live.map(Refusal::GrantLive))
    }

    /// The account, if money may go back to it. A stopped account cannot ask for it itself.
    pub(super) fn refund_account(&self, id: AccountId) -> Result<&Account, Refusal> {
        let account = self.rows.account(id).ok_or(Refusal::UnknownAccount(id))?;
        if account.stopped && self.command.actor.role == Role::Customer {
            return Err(Refusal::AccountStopped(id));
        }
        self.refund_block(account).map_or(Ok(account), Err)
    }

    pub(super) fn request_refund(&mut self) -> Result<Reply, Refusal> {
        let Body::RequestRefund {
            batch,
            account,
            asset,
            amount,
            granted,
            approve_above,
            order,
            reason,
            item_ids,
        } = &self.command.body
        else {
            return Err(Refusal::NotPositive);
        };
        if self.command.actor.role == Role::Operator {
            self.staff_with_reason()?;
        }
        self.refund_account(*account)?;
        if self.rows.batches.contains_key(batch) {
            return Err(Refusal::KeyReused);
        }
        let mut wallet = self.rows.wallet(*account, asset);
        let open = refundable(self.rows.lots_of(*account, asset), wallet.held, self.command.at);
        let open: Vec<_> = open
            .into_iter()
            .filter(|lot| order.is_none_or(|wanted| wanted == lot.order))
            .filter_map(|lot| self.rows.lots.get(&lot.lot).map(|row| (lot, row.class)))
            .collect();
        if open.is_empty() {
            return Err(Refusal::NothingRefundable("no payment has anything unused left".to_owned()));
        }
        if open.iter().all(|(lot, _)| lot.cap == Fen::ZERO) {
            return Err(all_withheld());
        }
        let plan = self.within_grant(&open, asset, *amount, *granted)?;
        if plan.len() > item_ids.len() {
            return Err(Refusal::OutOfRange);
        }
        let state = self.first_state(&plan, *approve_above)?;
        let mut items = Vec::with_capacity(plan.len());
        for (planned, &id) in plan.iter().zip(item_ids) {
            let lot = self.reserved(planned)?;
            wallet.posted -= planned.units;
            let item = RefundItem {
                units: planned.units,
                lot: Some(planned.lot.clone()),
                ..self.new_item(id, *batch, *account, planned.order, planned.amount)
            };
            self.post(Posting {
                kind: EntryKind::RefundReserve,
                debit: book_of(lot.class),
                credit: Book::WalletRefunding,
                asset,
                amount: item.units,
                account: Some(*account),
                lot: Some(&planned.lot),
                hold: None,
                order: Some(item.order),
            });
            self.align_bonus(&lot, &mut wallet)?;
            self.ops.push(RowOp::Lot(lot));
            self.ops.push(RowOp::Item(item.clone()));
            items.push(item);
        }
        self.put_wallet(wallet);
        self.new_batch(*batch, *account, (reason.clone(), state), items)
    }

    /// Where a request of that plan begins: an operator's large one takes another operator at once, a customer's waits for
    /// one.
    fn first_state(
        &self,
        plan: &[PlannedItem],
        approve_above: Option<Fen>,
    ) -> Result<RefundBatchState, Refusal> {
        let total = plan.iter().try_fold(Fen::ZERO, |sum, item| sum.plus(item.amount))?;
        if approve_above.is_none_or(|bound| total <= bound) {
            return Ok(RefundBatchState::Reserved);
        }
        match self.command.actor.role {
            Role::Customer => Ok(RefundBatchState::Waiting),
            Role::Operator => self.two_people().map(|_| RefundBatchState::Reserved),
            Role::System | Role::Channel => Ok(RefundBatchState::Reserved),
        }
    }

    pub(super) fn approve_refund(&mut self, id: RefundBatchId, account: AccountId) -> Result<Reply, Refusal> {
        if self.command.actor.role != Role::Operator {
            return Err(Refusal::NeedsOperator);
        }
        let why = Some(self.staff_with_reason()?.to_owned());
        let batch = self.rows.batches.get(&id).filter(|batch| batch.account == account);
        let batch = batch.ok_or(Refusal::UnknownBatch(id))?.clone();
        let items: Vec<RefundItem> = self.rows.items_of(id).cloned().collect();
        match batch.state {
            RefundBatchState::Waiting => {}
            // Said again, it is agreed to already.
            state if batch.approver.is_some() && state != RefundBatchState::Cancelled => {
                return Ok(Reply::Refund { batch: Box::new(batch), items });
            }
            state => return Err(Refusal::BatchState { batch: id, state }),
        }
        let approver = Some(self.command.actor.clone());
        let batch = RefundBatch { state: RefundBatchState::Reserved, why, approver, ..batch };
        self.ops.push(RowOp::Batch(batch.clone()));
        Ok(Reply::Refund { batch: Box::new(batch), items })
    }

    /// The lot as it stands once the item is reserved.
    fn reserved(&self, planned: &PlannedItem) -> Result<Lot, Refusal> {
        let lot = self.rows.lots.get(&planned.lot).ok_or(Refusal::OutOfRange)?;
        Ok(Lot {
            rem: lot.rem - planned.units,
            refunding: lot.refunding + planned.units,
            refunded_fen: lot.refunded_fen.plus(planned.amount)?,
            refunds: lot.refunds + 1,
            ..lot.clone()
        })
    }

    /// The plan, if no more leaves the balance (bonuses that freeze included) than admission set aside for it. "All"
    /// means all but what calls that are on their way to the ledger were admitted on; an amount that was named is
    /// refused instead of cut.
    fn within_grant(
        &self,
        open: &[(Refundable, LotClass)],
        asset: &Asset,
        amount: Option<Fen>,
        granted: i64,
    ) -> Result<Vec<PlannedItem>, Refusal> {
        let plan = plan_refund(open, amount)?;
        if self.leaves(&plan)? <= i128::from(granted) {
            return Ok(plan);
        }
        let in_flight = |part: &str| {
            Refusal::NothingRefundable(format!("calls in flight hold {part} of it: try again when they end"))
        };
        if *asset != Asset::Cny {
            return Err(in_flight("part"));
        }
        // The largest amount that fits: what leaves grows with it.
        let (mut fits, mut too_much) = (0, plan.iter().map(|item| item.amount.get()).sum::<i64>());
        while too_much - fits > 1 {
            let middle = fits + (too_much - fits) / 2;
            let leaves = self.leaves(&plan_refund(open, Some(Fen::new(middle)?))?)?;
            if leaves <= i128::from(granted) {
                fits = middle;
            } else {
                too_much = middle;
            }
        }
        let refundable = Fen::new(fits)?;
        match amount {
            Some(requested) => Err(Refusal::RefundTooMuch { requested, refundable }),
            None if fits == 0 => Err(in_flight("all")),
            None => Ok(plan_refund(open, Some(refundable))?),
        }
    }

    /// What a plan takes out of the balance, in its unit.
    fn leaves(&self, plan: &[PlannedItem]) -> Result<i128, Refusal> {
        plan.iter().try_fold(0, |sum, item| {
            let frozen = self.bonus_at_stake(&self.reserved(item)?);
            Ok(sum + i128::from(item.units) + i128::from(frozen))
        })
    }

    /// An item in its first state, out of no lot.
    pub(super) fn new_item(
        &self,
        id: RefundId,
        batch: RefundBatchId,
        account: AccountId,
        order: OrderId,
        amount: Fen,
    ) -> RefundItem {
        RefundItem {
            id,
            batch,
            account,
            order,
            lot: None,
            amount,
            units: 0,
            lines: Vec::new(),
            payment: None,
            state: RefundItemState::Queued,
            refund_id: None,
            detail: None,
            created_at: self.command.at,
            sent_at: None,
            ended_at: None,
        }
    }

    /// The request that these items make up; their rows are written already.
    pub(super) fn new_batch(
        &mut self,
        id: RefundBatchId,
        account: AccountId,
        (reason, state): (Option<String>, RefundBatchState),
        items: Vec<RefundItem>,
    ) -> Result<Reply, Refusal> {
        let amount = items.iter().try_fold(Fen::ZERO, |sum, item| sum.plus(item.amount))?;
        let created_at = self.command.at;
        let Command { actor, reason: why, approver, .. } = self.command;
        let why = why.clone().filter(|_| actor.role == Role::Operator);
        let (by, approver) = (Some(actor.clone()), approver.clone());
        let batch = RefundBatch { id, account, amount, reason, by, why, approver, state, created_at };
        self.ops.push(RowOp::Batch(batch.clone()));
        Ok(Reply::Refund { batch: Box::new(batch), items })
    }
}
