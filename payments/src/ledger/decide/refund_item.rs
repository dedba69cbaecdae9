//! The life of a refund item: sent, asked after, arrived, or undone.

use units::{AccountId, Fen, NanoCny, OrderId, RefundBatchId, RefundId};

use super::{Draft, Lot, Posting, Refusal, Reply, book_of};
use crate::ledger::{
    Asset, Body, Book, EntryKind, LotClass, NoticeResult, Order, OrderKind, OrderState, RefundBatch,
    RefundBatchState, RefundItem, RefundItemState, RefundNews, Role, RowOp, SuspensePayment, SuspenseState,
    Wallet, refund_plan::NANO_PER_FEN,
};

/// What news does to an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// It stands so now.
    To(RefundItemState),
    /// It is an older word, or said again.
    Stale,
    /// It contradicts how the item ended: the bill will tell.
    Contradicts,
    /// It cannot be.
    Illegal,
}

/// Every legal edge. An answer or a query may find an item beyond "accepted" already, so what leads on from
/// `processing` leads on from where acceptance is awaited as well.
const fn turn(state: RefundItemState, news: RefundNews) -> Turn {
    use RefundItemState as S;
    use RefundNews as N;
    match (state, news) {
        (S::Sent | S::Unknown | S::Abnormal, N::Processing) => Turn::To(S::Processing),
        (S::Sent | S::Unknown | S::Processing | S::Abnormal, N::Success) => Turn::To(S::Success),
        (S::Sent | S::Unknown | S::Processing | S::Abnormal, N::Closed) => Turn::To(S::Closed),
        (S::Sent | S::Unknown | S::Processing, N::Abnormal) => Turn::To(S::Abnormal),
        (S::Sent, N::Refused) => Turn::To(S::Refused),
        (S::Sent, N::Later) => Turn::To(S::Wait),
        // WeChat Pay tells of it, though as far as we know it was not sent, or not taken: it is asked.
        (S::Sent | S::Queued | S::Wait, N::Unclear) => Turn::To(S::Unknown),
        (S::Processing, N::Processing)
        | (S::Abnormal, N::Abnormal)
        | (S::Wait, N::Later)
        | (S::Unknown, N::Unclear)
        | (S::Success, N::Processing | N::Abnormal | N::Success)
        | (S::Closed, N::Processing | N::Abnormal | N::Closed)
        | (S::Refused, N::Refused) => Turn::Stale,
        (S::Success | S::Closed | S::Refused | S::Cancelled, _) => Turn::Contradicts,
        (S::Queued | S::Wait | S::Unknown | S::Processing | S::Abnormal, _) => Turn::Illegal,
    }
}

impl Draft<'_> {
    pub(super) fn refund_sending(&mut self, id: RefundId, batch: RefundBatchId) -> Result<Reply, Refusal> {
        let item =
            self.rows.items.get(&id).filter(|item| item.batch == batch).ok_or(Refusal::UnknownItem(id))?;
        // An item whose answer is awaited must be asked after first: only then is it known not to have arrived.
        if !matches!(item.state, RefundItemState::Queued | RefundItemState::Unknown | RefundItemState::Wait) {
            return Err(Refusal::ItemState { item: id, state: item.state });
        }
        let of = self.rows.batches.get(&batch).ok_or(Refusal::UnknownBatch(batch))?;
        if of.state == RefundBatchState::Waiting {
            return Err(Refusal::BatchState { batch, state: of.state });
        }
        let item =
            RefundItem { state: RefundItemState::Sent, sent_at: Some(self.command.at), ..item.clone() };
        self.ops.push(RowOp::Item(item.clone()));
        self.begin_batch(batch);
        Ok(Reply::Item(Box::new(item)))
    }

    /// What may have reached WeChat Pay is not taken back any more.
    fn begin_batch(&mut self, batch: RefundBatchId) {
        if let Some(batch) = self.rows.batches.get(&batch).filter(|b| b.state == RefundBatchState::Reserved) {
            self.ops.push(RowOp::Batch(RefundBatch { state: RefundBatchState::Running, ..batch.clone() }));
        }
    }

    pub(super) fn refund_reported(&mut self) -> Result<Reply, Refusal> {
        let Body::RefundReported {
            item: id,
            batch,
            account,
            asset,
            news,
            refund_id,
            detail,
            order,
            payment,
            ..
        } = &self.command.body
        else {
            return Err(Refusal::NotPositive);
        };
        // The rows were loaded by the command's words, so they must be the item's own.
        let lot_asset = |item: &RefundItem| match &item.lot {
            Some(lot) => self.rows.lots.get(lot).map(|lot| lot.asset.clone()),
            None => Some(Asset::Cny),
        };
        let own = |item: &&RefundItem| {
            item.batch == *batch
                && item.account == *account
                && item.order == *order
                && item.payment == *payment
                && lot_asset(item).as_ref() == Some(asset)
        };
        let item = self.rows.items.get(id).filter(own).ok_or(Refusal::UnknownItem(*id))?;
        let order = self.rows.order(*order).ok_or(Refusal::UnknownOrder(*order))?.clone();
        let of = self.rows.batches.get(batch).ok_or(Refusal::UnknownBatch(*batch))?;
        let next = match turn(item.state, *news) {
            // What waits for an operator to agree goes nowhere, whoever tells of it.
            Turn::To(_) if of.state == RefundBatchState::Waiting => {
                return Err(Refusal::BatchState { batch: *batch, state: of.state });
            }
            Turn::To(next) => next,
            Turn::Illegal => return Err(Refusal::ItemState { item: *id, state: item.state }),
            Turn::Stale => {
                self.file_notice(&order, NoticeResult::Duplicate, None);
                let mut item = item.clone();
                // The answer to the call itself may come after a notice of what it led to.
                if item.detail.is_none() && detail.is_some() {
                    item.detail.clone_from(detail);
                    self.ops.push(RowOp::Item(item.clone()));
                }
                return Ok(Reply::Item(Box::new(item)));
            }
            Turn::Contradicts => {
                let words = format!("said to be {news}, ended as {}", item.state);
                self.file_notice(&order, NoticeResult::Rejected, Some(&words));
                return Ok(Reply::Item(Box::new(item.clone())));
            }
        };
        let item = RefundItem {
            state: next,
            refund_id: refund_id.clone().or_else(|| item.refund_id.clone()),
            // What kept it back before it was taken is over.
            detail: detail.clone().or_else(|| item.detail.clone().filter(|_| !item.state.is_in_flight())),
            ended_at: next.is_end().then_some(self.command.at),
            ..item.clone()
        };
        self.file_notice(&order, NoticeResult::Applied, None);
        match next {
            RefundItemState::Success => self.refund_done(&item, order)?,
            RefundItemState::Closed | RefundItemState::Refused => {
                let mut wallet = self.rows.wallet(*account, asset);
                self.refund_undone(&item, &order, &mut wallet)?;
                if item.lot.is_some() {
                    self.put_wallet(wallet);
                }
            }
            RefundItemState::Unknown => self.begin_batch(item.batch),
            _ => {}
        }
        self.ops.push(RowOp::Item(item.clone()));
        if next.is_end() {
            self.end_batch(&item);
        }
        Ok(Reply::Item(Box::new(item)))
    }

    pub(super) fn cancel_refund(
        &mut self,
        id: RefundBatchId,
        account: AccountId,
        asset: &Asset,
        orders: &[OrderId],
        payments: &[String],
    ) -> Result<Reply, Refusal> {
        let why = match self.command.actor.role {
            Role::Operator => Some(self.staff_with_reason()?.to_owned()),
            _ => None,
        };
        let batch = self.rows.batches.get(&id).filter(|batch| batch.account == account);
        let batch = batch.ok_or(Refusal::UnknownBatch(id))?.clone();
        let items: Vec<RefundItem> = self.rows.items_of(id).cloned().collect();
        match batch.state {
            RefundBatchState::Waiting | RefundBatchState::Reserved => {}
            RefundBatchState::Cancelled => return Ok(Reply::Refund { batch: Box::new(batch), items }),
            state => return Err(Refusal::BatchState { batch: id, state }),
        }
        let mut wallet = self.rows.wallet(account, asset);
        let mut cancelled = Vec::with_capacity(items.len());
        for item in items {
            if item.state != RefundItemState::Queued {
                return Err(Refusal::ItemState { item: item.id, state: item.state });
            }
            let order = self.rows.order(item.order).filter(|_| orders.contains(&item.order));
            let order = order.ok_or(Refusal::UnknownOrder(item.order))?.clone();
            // The rows were loaded by the command's words, so they must be the items' own.
            if let Some(number) = item.payment.as_ref().filter(|number| !payments.contains(number)) {
                return Err(Refusal::UnknownPayment(number.clone()));
            }
            let state = RefundItemState::Cancelled;
            let item = RefundItem { state, ended_at: Some(self.command.at), ..item };
            self.refund_undone(&item, &order, &mut wallet)?;
            self.ops.push(RowOp::Item(item.clone()));
            cancelled.push(item);
        }
        if cancelled.iter().any(|item| item.lot.is_some()) {
            self.put_wallet(wallet);
        }
        let why = why.or(batch.why);
        let batch = RefundBatch { state: RefundBatchState::Cancelled, why, ..batch };
        self.ops.push(RowOp::Batch(batch.clone()));
        Ok(Reply::Refund { batch: Box::new(batch), items: cancelled })
    }

    /// The payer has it.
    fn refund_done(&mut self, item: &RefundItem, mut order: Order) -> Result<(), Refusal> {
        let kind = EntryKind::RefundDone;
        if let Some(put_aside) = self.put_aside(item) {
            self.move_cash(item, kind, Book::Suspense, Book::WechatClearing);
            let state = SuspenseState::Refunded;
            self.ops.push(RowOp::Suspense(SuspensePayment { state, ..put_aside }));
            self.note(&mut order, "refunded", "wechat", Some(&item.amount.to_string()));
            self.put_order(order);
            return Ok(());
        }
        match &item.lot {
            Some(lot) => {
                let lot = self.rows.lots.get(lot).ok_or(Refusal::OutOfRange)?;
                let lot = Lot {
                    refunding: lot.refunding - item.units,
                    refunded: lot.refunded + item.units,
                    ..lot.clone()
                };
                if lot.class == LotClass::Tokens {
                    self.move_units(item, &lot, kind, Book::WalletRefunding, Book::TokenIssue);
                    self.move_cash(item, kind, Book::TokenLiability, Book::WechatClearing);
                } else {
                    self.move_units(item, &lot, kind, Book::WalletRefunding, Book::WechatClearing);
                    let mut wallet = self.rows.wallet(item.account, &lot.asset);
                    self.align_bonus(&lot, &mut wallet)?;
                    if wallet != self.rows.wallet(item.account, &lot.asset) {
                        self.put_wallet(wallet);
                    }
                }
                self.ops.push(RowOp::Lot(lot));
            }
            None => self.move_cash(item, kind, Book::Sales, Book::WechatClearing),
        }
        self.paid_back(&mut order, item.amount, "refunded", "wechat", &item.amount.to_string())?;
        self.put_order(order);
        Ok(())
    }

    /// Counts what went back of an order's payment.
    pub(super) fn paid_back(
        &self,
        order: &mut Order,
        amount: Fen,
        event: &str,
        source: &str,
        detail: &str,
    ) -> Result<(), Refusal> {
        order.refunded = order.refunded.plus(amount)?.min(order.amount);
        order.state =
            if order.refunded == order.amount { OrderState::Refunded } else { OrderState::PartiallyRefunded };
        self.note(order, event, source, Some(detail));
        Ok(())
    }

    /// It did not happen: what it took is put back where it came from.
    fn refund_undone(
        &mut self,
        item: &RefundItem,
        order: &Order,
        wallet: &mut Wallet,
    ) -> Result<(), Refusal> {
        if let Some(put_aside) = self.put_aside(item) {
            let state = SuspenseState::Open;
            self.ops.push(RowOp::Suspense(SuspensePayment { state, ..put_aside }));
            return Ok(());
        }
        let Some(lot) = &item.lot else {
            let mut order = order.clone();
            if let OrderKind::Goods { lines, .. } = &mut order.kind {
                for back in &item.lines {
                    let line = lines.get_mut(back.line).ok_or(Refusal::OutOfRange)?;
                    line.refunded = line.refunded.minus(back.amount)?;
                }
            }
            self.put_order(order);
            return Ok(());
        };
        let lot = self.rows.lots.get(lot).ok_or(Refusal::OutOfRange)?;
        let lot = Lot {
            refunding: lot.refunding - item.units,
            rem: lot.rem + item.units,
            refunded_fen: self.back_without(lot, item, order)?,
            ..lot.clone()
        };
        wallet.posted = wallet.posted.checked_add(item.units).ok_or(Refusal::OutOfRange)?;
        self.move_units(item, &lot, EntryKind::RefundUndo, Book::WalletRefunding, book_of(lot.class));
        self.align_bonus(&lot, wallet)?;
        self.ops.push(RowOp::Lot(lot));
        Ok(())
    }

    /// What of the payment went back or is on its way, once the item is not. Reckoned anew from what arrived: a refund that
    /// the bill told of meanwhile may have counted as this one, since no payment gives back more than it was.
    fn back_without(&self, lot: &Lot, item: &RefundItem, order: &Order) -> Result<Fen, Refusal> {
        let without = lot.refunded_fen.minus(item.amount)?;
        if lot.class != LotClass::Paid {
            return Ok(without);
        }
        let going = Fen::new((lot.refunding - item.units) / NANO_PER_FEN).map_err(|_| Refusal::OutOfRange)?;
        Ok(without.max(order.refunded.plus(going)?.min(lot.paid_fen)))
    }

    /// The payment in suspense that the item gives back, if it is one.
    fn put_aside(&self, item: &RefundItem) -> Option<SuspensePayment> {
        item.payment.as_ref().and_then(|number| self.rows.suspense(number)).cloned()
    }

    fn end_batch(&mut self, item: &RefundItem) {
        let Some(batch) = self.rows.batches.get(&item.batch) else { return };
        let states: Vec<RefundItemState> = self
            .rows
            .items_of(item.batch)
            .map(|other| if other.id == item.id { item.state } else { other.state })
            .collect();
        if !states.iter().all(|state| state.is_end()) {
            return;
        }
        let all = states.iter().all(|state| *state == RefundItemState::Success);
        let state = if all { RefundBatchState::Done } else { RefundBatchState::Partial };
        self.ops.push(RowOp::Batch(RefundBatch { state, ..batch.clone() }));
    }

    /// Moves what the item takes out of the lot, in the lot's asset.
    fn move_units(&mut self, item: &RefundItem, lot: &Lot, kind: EntryKind, debit: Book, credit: Book) {
        self.move_between(item, &lot.asset, item.units, kind, debit, credit);
    }

    /// Moves the item's cash.
    fn move_cash(&mut self, item: &RefundItem, kind: EntryKind, debit: Book, credit: Book) {
        self.move_between(item, &Asset::Cny, NanoCny::from(item.amount).get(), kind, debit, credit);
    }

    fn move_between(
        &mut self,
        item: &RefundItem,
        asset: &Asset,
        amount: i64,
        kind: EntryKind,
        debit: Book,
        credit: Book,
    ) {
        self.post(Posting {
            kind,
            debit,
            credit,
            asset,
            amount,
            account: Some(item.account),
            lot: item.lot.as_deref(),
            hold: None,
            order: Some(item.order),
        });
    }
}
