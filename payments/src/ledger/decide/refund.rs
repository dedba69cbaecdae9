//! Refunds: money leaves the lots when a refund is reserved, and comes back to them if it does not happen.

use units::{Fen, NanoCny, RefundBatchId, RefundId};

use super::{Draft, Lot, Posting, Refusal, Reply, book_of};
use crate::ledger::{
    Asset, Body, Book, EntryKind, LotClass, NoticeResult, OrderState, PlannedItem, RefundBatch,
    RefundBatchState, RefundItem, RefundItemState, RefundNews, Refundable, RowOp, plan_refund, refundable,
};

/// The plan, if no more leaves the balance than admission set aside for it. "All" means all but what calls that are on
/// their way to the ledger were admitted on; an amount that was named is refused instead of cut.
fn within_grant(
    open: &[(Refundable, LotClass)],
    plan: Vec<PlannedItem>,
    asset: &Asset,
    amount: Option<Fen>,
    granted: i64,
) -> Result<Vec<PlannedItem>, Refusal> {
    let leaving: i128 = plan.iter().map(|item| i128::from(item.units)).sum();
    if leaving <= i128::from(granted) {
        return Ok(plan);
    }
    if *asset != Asset::Cny {
        return Err(Refusal::NothingRefundable(
            "calls in flight hold part of it: try again when they end".to_owned(),
        ));
    }
    let refundable = Fen::new(NanoCny::new(granted).floor_fen())?;
    match amount {
        None if refundable > Fen::ZERO => Ok(plan_refund(open, Some(refundable))?),
        None => Err(Refusal::NothingRefundable(
            "calls in flight hold all of it: try again when they end".to_owned(),
        )),
        Some(requested) => Err(Refusal::RefundTooMuch { requested, refundable }),
    }
}

impl Draft<'_> {
    pub(super) fn request_refund(&mut self) -> Result<Reply, Refusal> {
        let Body::RequestRefund { batch, account, asset, amount, granted, order, reason, item_ids } =
            &self.command.body
        else {
            return Err(Refusal::NotPositive);
        };
        self.active_account(*account)?;
        self.no_live_grant(*account)?;
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
        let plan = within_grant(&open, plan_refund(&open, *amount)?, asset, *amount, *granted)?;
        if plan.len() > item_ids.len() {
            return Err(Refusal::OutOfRange);
        }
        let mut total = Fen::ZERO;
        let mut items = Vec::with_capacity(plan.len());
        for (planned, &id) in plan.into_iter().zip(item_ids) {
            let lot = self.rows.lots.get(&planned.lot).ok_or(Refusal::OutOfRange)?;
            let lot = Lot {
                rem: lot.rem - planned.units,
                refunding: lot.refunding + planned.units,
                refunded_fen: lot.refunded_fen.plus(planned.amount)?,
                refunds: lot.refunds + 1,
                ..lot.clone()
            };
            wallet.posted -= planned.units;
            total = total.plus(planned.amount)?;
            let item = RefundItem {
                id,
                batch: *batch,
                account: *account,
                order: planned.order,
                lot: planned.lot,
                amount: planned.amount,
                units: planned.units,
                state: RefundItemState::Queued,
                refund_id: None,
                detail: None,
                created_at: self.command.at,
                sent_at: None,
                ended_at: None,
            };
            self.move_units(&item, &lot, EntryKind::RefundReserve, book_of(lot.class), Book::WalletRefunding);
            self.ops.push(RowOp::Lot(lot));
            self.ops.push(RowOp::Item(item.clone()));
            items.push(item);
        }
        self.put_wallet(wallet);
        let batch = RefundBatch {
            id: *batch,
            account: *account,
            amount: total,
            reason: reason.clone(),
            state: RefundBatchState::Running,
            created_at: self.command.at,
        };
        self.ops.push(RowOp::Batch(batch.clone()));
        Ok(Reply::Refund { batch: Box::new(batch), items })
    }

    pub(super) fn refund_sending(&mut self, id: RefundId, batch: RefundBatchId) -> Result<Reply, Refusal> {
        let item =
            self.rows.items.get(&id).filter(|item| item.batch == batch).ok_or(Refusal::UnknownItem(id))?;
        if !matches!(item.state, RefundItemState::Queued | RefundItemState::Sent) {
            return Err(Refusal::ItemState { item: id, state: item.state });
        }
        let item =
            RefundItem { state: RefundItemState::Sent, sent_at: Some(self.command.at), ..item.clone() };
        self.ops.push(RowOp::Item(item.clone()));
        Ok(Reply::Item(Box::new(item)))
    }

    pub(super) fn refund_reported(&mut self) -> Result<Reply, Refusal> {
        let Body::RefundReported { item: id, batch, account, asset, news, refund_id, detail, order, .. } =
            &self.command.body
        else {
            return Err(Refusal::NotPositive);
        };
        // The rows were loaded by the command's words, so they must be the item's own.
        let own = |item: &&RefundItem| {
            item.batch == *batch
                && item.account == *account
                && item.order == *order
                && self.rows.lots.get(&item.lot).is_some_and(|lot| lot.asset == *asset)
        };
        let item = self.rows.items.get(id).filter(own).ok_or(Refusal::UnknownItem(*id))?;
        let order = self.rows.order(*order).ok_or(Refusal::UnknownOrder(*order))?.clone();
        let next = match (item.state, news) {
            (RefundItemState::Queued, _) => return Err(Refusal::ItemState { item: *id, state: item.state }),
            (RefundItemState::Sent, RefundNews::Later) => RefundItemState::Sent,
            (RefundItemState::Sent, RefundNews::Refused) => RefundItemState::Refused,
            (RefundItemState::Sent, RefundNews::Processing) => RefundItemState::Processing,
            (RefundItemState::Abnormal, RefundNews::Processing) => RefundItemState::Processing,
            (RefundItemState::Sent | RefundItemState::Processing, RefundNews::Abnormal) => {
                RefundItemState::Abnormal
            }
            (
                RefundItemState::Sent | RefundItemState::Processing | RefundItemState::Abnormal,
                RefundNews::Success,
            ) => RefundItemState::Success,
            (
                RefundItemState::Sent | RefundItemState::Processing | RefundItemState::Abnormal,
                RefundNews::Closed,
            ) => RefundItemState::Closed,
            // An end absorbs whatever is said after it, and an older word changes nothing.
            _ => {
                self.file_notice(&order, NoticeResult::Duplicate, None);
                return Ok(Reply::Item(Box::new(item.clone())));
            }
        };
        let ended =
            matches!(next, RefundItemState::Success | RefundItemState::Closed | RefundItemState::Refused);
        let item = RefundItem {
            state: next,
            refund_id: refund_id.clone().or_else(|| item.refund_id.clone()),
            detail: detail.clone().or_else(|| item.detail.clone()),
            ended_at: ended.then_some(self.command.at),
            ..item.clone()
        };
        match next {
            RefundItemState::Success => self.refund_done(&item, order)?,
            RefundItemState::Closed | RefundItemState::Refused => self.refund_undone(&item)?,
            _ => self.file_notice(&order, NoticeResult::Applied, None),
        }
        self.ops.push(RowOp::Item(item.clone()));
        if ended {
            self.end_batch(&item);
        }
        Ok(Reply::Item(Box::new(item)))
    }

    fn refund_done(&mut self, item: &RefundItem, mut order: crate::ledger::Order) -> Result<(), Refusal> {
        let lot = self.rows.lots.get(&item.lot).ok_or(Refusal::OutOfRange)?;
        let lot =
            Lot { refunding: lot.refunding - item.units, refunded: lot.refunded + item.units, ..lot.clone() };
        let (kind, clearing) = (EntryKind::RefundDone, Book::WechatClearing);
        if lot.class == LotClass::Tokens {
            self.move_units(item, &lot, kind, Book::WalletRefunding, Book::TokenIssue);
            self.move_cash(item, kind, Book::TokenLiability, clearing);
        } else {
            self.move_units(item, &lot, kind, Book::WalletRefunding, clearing);
        }
        self.ops.push(RowOp::Lot(lot));
        order.refunded = order.refunded.plus(item.amount)?;
        order.state =
            if order.refunded == order.amount { OrderState::Refunded } else { OrderState::PartiallyRefunded };
        self.note(&mut order, "refunded", "wechat", Some(&item.amount.to_string()));
        self.file_notice(&order, NoticeResult::Applied, None);
        self.put_order(order);
        Ok(())
    }

    fn refund_undone(&mut self, item: &RefundItem) -> Result<(), Refusal> {
        let lot = self.rows.lots.get(&item.lot).ok_or(Refusal::OutOfRange)?;
        let lot = Lot {
            refunding: lot.refunding - item.units,
            rem: lot.rem + item.units,
            refunded_fen: lot.refunded_fen.minus(item.amount)?,
            ..lot.clone()
        };
        let mut wallet = self.rows.wallet(item.account, &lot.asset);
        wallet.posted = wallet.posted.checked_add(item.units).ok_or(Refusal::OutOfRange)?;
        self.move_units(item, &lot, EntryKind::RefundUndo, Book::WalletRefunding, book_of(lot.class));
        self.ops.push(RowOp::Lot(lot));
        self.put_wallet(wallet);
        Ok(())
    }

    fn end_batch(&mut self, item: &RefundItem) {
        let Some(batch) = self.rows.batches.get(&item.batch) else { return };
        let states: Vec<RefundItemState> = self
            .rows
            .items_of(item.batch)
            .map(|other| if other.id == item.id { item.state } else { other.state })
            .collect();
        let open = |state: &RefundItemState| {
            matches!(
                state,
                RefundItemState::Queued
                    | RefundItemState::Sent
                    | RefundItemState::Processing
                    | RefundItemState::Abnormal
            )
        };
        if states.iter().any(open) {
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
        self.move_between(item, &Asset::Cny, units::NanoCny::from(item.amount).get(), kind, debit, credit);
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
            lot: Some(&item.lot),
            hold: None,
            order: Some(item.order),
        });
    }
}
