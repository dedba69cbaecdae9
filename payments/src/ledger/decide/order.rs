//! Orders: every legal step, and the credit that belongs to one of them.

use units::{Fen, NanoCny, OrderId};

use super::{Draft, OrderStep, Posting, Refusal, Reply, book_of, new_lot};
use crate::ledger::{
    Asset, Body, Book, EntryKind, LotClass, NewOrder, Notice, NoticeResult, Order, OrderKind, OrderState,
    RowOp, TimelineEvent,
};

/// An order's timeline keeps its first and its latest steps; what is between is dropped beyond this many.
const TIMELINE_MAX: usize = 60;

impl Draft<'_> {
    fn find_order(&self, id: OrderId) -> Result<Order, Refusal> {
        self.rows.order(id).cloned().ok_or(Refusal::UnknownOrder(id))
    }

    pub(super) fn put_order(&mut self, order: Order) -> Order {
        self.ops.push(RowOp::Order(Box::new(order.clone())));
        order
    }

    pub(super) fn note(&self, order: &mut Order, event: &str, source: &str, detail: Option<&str>) {
        if order.timeline.len() >= TIMELINE_MAX {
            order.timeline.remove(TIMELINE_MAX / 2);
        }
        order.timeline.push(TimelineEvent {
            at: self.command.at,
            event: event.to_owned(),
            source: source.to_owned(),
            detail: detail.map(str::to_owned),
        });
    }

    pub(super) fn create_order(&mut self, new: &NewOrder) -> Result<Reply, Refusal> {
        if self.rows.order(new.id).is_some() {
            return Err(Refusal::OrderExists(new.id));
        }
        let account = self.active_account(new.account)?;
        if account.livemode != new.livemode {
            return Err(Refusal::LivemodeMismatch);
        }
        new.amount.at_least_one().map_err(|_| Refusal::NotPositive)?;
        if let OrderKind::Tokens { tokens, .. } = &new.kind {
            // What could not be credited must not be paid for.
            let milli = tokens.checked_mul(1_000).ok_or(Refusal::OutOfRange)?;
            if milli <= 0 {
                return Err(Refusal::NotPositive);
            }
        }
        let mut order = Order {
            id: new.id,
            account: new.account,
            livemode: new.livemode,
            kind: new.kind.clone(),
            amount: new.amount,
            state: OrderState::Created,
            merchant: new.merchant.clone(),
            mchid: new.mchid.clone(),
            appid: new.appid.clone(),
            code_url: None,
            transaction_id: None,
            payer: None,
            lot: None,
            refunded: Fen::ZERO,
            created_at: self.command.at,
            expires_at: new.expires_at,
            paid_at: None,
            timeline: Vec::new(),
        };
        self.note(&mut order, "created", "api", None);
        let order = self.put_order(order);
        Ok(Reply::Order { order: Box::new(order), step: OrderStep::Moved })
    }

    pub(super) fn order_prepaid(&mut self, id: OrderId, code_url: &str) -> Result<Reply, Refusal> {
        let mut order = self.find_order(id)?;
        if order.state != OrderState::Created {
            return Ok(Reply::Order { order: Box::new(order), step: OrderStep::Unchanged });
        }
        order.state = OrderState::Pending;
        order.code_url = Some(code_url.to_owned());
        self.note(&mut order, "pending", "wechat", None);
        let order = self.put_order(order);
        Ok(Reply::Order { order: Box::new(order), step: OrderStep::Moved })
    }

    pub(super) fn order_failed(&mut self, id: OrderId, detail: &str) -> Result<Reply, Refusal> {
        let mut order = self.find_order(id)?;
        if order.state != OrderState::Created {
            return Err(Refusal::OrderState { order: id, state: order.state });
        }
        order.state = OrderState::Failed;
        self.note(&mut order, "failed", "wechat", Some(detail));
        self.revoke_grant(id);
        let order = self.put_order(order);
        Ok(Reply::Order { order: Box::new(order), step: OrderStep::Moved })
    }

    pub(super) fn order_closed(&mut self, id: OrderId, source: &str) -> Result<Reply, Refusal> {
        let mut order = self.find_order(id)?;
        // A payment that won the race stays one, and a repeat changes nothing.
        if !matches!(order.state, OrderState::Created | OrderState::Pending) {
            return Ok(Reply::Order { order: Box::new(order), step: OrderStep::Unchanged });
        }
        order.state = OrderState::Closed;
        self.note(&mut order, "closed", source, None);
        self.revoke_grant(id);
        let order = self.put_order(order);
        Ok(Reply::Order { order: Box::new(order), step: OrderStep::Moved })
    }

    pub(super) fn order_noted(
        &mut self,
        id: OrderId,
        event: &str,
        source: &str,
        detail: Option<&str>,
    ) -> Result<Reply, Refusal> {
        let mut order = self.find_order(id)?;
        self.note(&mut order, event, source, detail);
        let order = self.put_order(order);
        Ok(Reply::Order { order: Box::new(order), step: OrderStep::Moved })
    }

    /// WeChat Pay says "paid": credits once, or puts the order aside for a person if anything differs from what was
    /// stored when it was created.
    pub(super) fn order_paid(&mut self) -> Result<Reply, Refusal> {
        let Body::OrderPaid { order: id, transaction_id, payer, success_time, source, event, .. } =
            &self.command.body
        else {
            return Err(Refusal::NotPositive);
        };
        let mut order = self.find_order(*id)?;
        if let Some(difference) = self.difference(&order) {
            return Ok(self.quarantine(order, &difference));
        }
        if self.rows.transactions.get(transaction_id).is_some_and(|owner| owner != id) {
            return Ok(self.quarantine(order, &format!("payment {transaction_id} belongs to another order")));
        }
        match order.state {
            OrderState::Paid | OrderState::PartiallyRefunded | OrderState::Refunded => {
                if order.transaction_id.as_deref() != Some(transaction_id) {
                    return Ok(self.quarantine(order, &format!("a second payment, {transaction_id}")));
                }
                self.file_notice(&order, NoticeResult::Duplicate, None);
                return Ok(Reply::Order { order: Box::new(order), step: OrderStep::Unchanged });
            }
            OrderState::Review => {
                let why = "the order is put aside for a person";
                self.file_notice(&order, NoticeResult::Rejected, Some(why));
                return Ok(Reply::Order { order: Box::new(order), step: OrderStep::Quarantined });
            }
            // A payment is a payment, also when its news overtook ours or came after we closed the order.
            OrderState::Created | OrderState::Pending | OrderState::Closed | OrderState::Failed => {}
        }
        if matches!(order.state, OrderState::Closed | OrderState::Failed) {
            self.note(&mut order, "late", source.as_str(), None);
        }
        order.state = OrderState::Paid;
        order.transaction_id = Some(transaction_id.clone());
        order.payer.clone_from(payer);
        order.paid_at = Some(success_time.unwrap_or(self.command.at));
        self.note(&mut order, "paid", source.as_str(), Some(transaction_id));
        self.credit(&mut order)?;
        let evidence = event.as_deref();
        self.note(&mut order, "credited", source.as_str(), evidence);
        self.file_notice(&order, NoticeResult::Applied, None);
        let order = self.put_order(order);
        Ok(Reply::Order { order: Box::new(order), step: OrderStep::Credited })
    }

    /// What differs between the news and what was stored, in words; `None` if all agrees.
    fn difference(&self, order: &Order) -> Option<String> {
        let Body::OrderPaid { account, asset, total, currency, mchid, appid, .. } = &self.command.body else {
            return None;
        };
        let currency = currency.as_deref().unwrap_or("CNY");
        let checks = [
            (
                *account == order.account && *asset == asset_of(&order.kind),
                "the command names another balance".to_owned(),
            ),
            (*mchid == order.mchid, format!("merchant {mchid}, ordered at {}", order.mchid)),
            (*appid == order.appid, format!("app {appid}, ordered at {}", order.appid)),
            (*total == order.amount, format!("amount {total} yuan, ordered {} yuan", order.amount)),
            (currency == "CNY", format!("currency {currency}, ordered CNY")),
        ];
        checks.into_iter().find(|(agrees, _)| !agrees).map(|(_, words)| words)
    }

    /// Nothing is credited; an order that waits for its payment is put aside, one that has it stays as it is.
    fn quarantine(&mut self, mut order: Order, difference: &str) -> Reply {
        let known = order
            .timeline
            .iter()
            .any(|step| step.event == "review" && step.detail.as_deref() == Some(difference));
        if !known {
            if matches!(
                order.state,
                OrderState::Created | OrderState::Pending | OrderState::Closed | OrderState::Failed
            ) {
                order.state = OrderState::Review;
            }
            let source = match &self.command.body {
                Body::OrderPaid { source, .. } => source.as_str(),
                _ => "system",
            };
            self.note(&mut order, "review", source, Some(difference));
            order = self.put_order(order);
        }
        self.file_notice(&order, NoticeResult::Rejected, Some(difference));
        Reply::Order { order: Box::new(order), step: OrderStep::Quarantined }
    }

    /// Remembers a notification, once.
    pub(super) fn file_notice(&mut self, order: &Order, result: NoticeResult, detail: Option<&str>) {
        let (Body::OrderPaid { event, .. } | Body::RefundReported { event, .. }) = &self.command.body else {
            return;
        };
        let Some(event) = event.as_ref().filter(|event| !self.rows.notices.contains_key(*event)) else {
            return;
        };
        self.ops.push(RowOp::Notice(Notice {
            id: event.clone(),
            merchant: order.merchant.clone(),
            subject: order.id.to_string(),
            result,
            detail: detail.map(str::to_owned),
            at: self.command.at,
        }));
    }

    fn credit(&mut self, order: &mut Order) -> Result<(), Refusal> {
        let paid = NanoCny::from(order.amount).get();
        let asset = asset_of(&order.kind);
        let (class, units, cash_book) = match &order.kind {
            OrderKind::Wallet => (LotClass::Paid, paid, book_of(LotClass::Paid)),
            OrderKind::Tokens { tokens, .. } => {
                let milli = tokens.checked_mul(1_000).ok_or(Refusal::OutOfRange)?;
                (LotClass::Tokens, milli, Book::TokenLiability)
            }
        };
        let at = order.paid_at.unwrap_or(self.command.at);
        let mut lot =
            new_lot(format!("pay:{}", order.id.bare()), order.account, asset.clone(), class, units, at);
        lot.order = Some(order.id);
        lot.paid_fen = order.amount;
        let mut wallet = self.rows.wallet(order.account, &asset);
        wallet.posted = wallet.posted.checked_add(units).ok_or(Refusal::OutOfRange)?;
        let posting = |kind, debit, credit, asset, amount| Posting {
            kind,
            debit,
            credit,
            asset,
            amount,
            account: Some(order.account),
            lot: Some(&lot.id),
            hold: None,
            order: Some(order.id),
        };
        self.post(posting(EntryKind::PayCredit, Book::WechatClearing, cash_book, &Asset::Cny, paid));
        if class == LotClass::Tokens {
            self.post(posting(EntryKind::TokenGrant, Book::TokenIssue, Book::WalletTokens, &asset, units));
        }
        order.lot = Some(lot.id.clone());
        self.pay_grant_back(order, &mut lot, &mut wallet)?;
        self.ops.push(RowOp::Lot(lot));
        self.put_wallet(wallet);
        Ok(())
    }
}

/// The balance an order fills.
pub(super) fn asset_of(kind: &OrderKind) -> Asset {
    match kind {
        OrderKind::Wallet => Asset::Cny,
        OrderKind::Tokens { model, .. } => Asset::Tokens(model.clone()),
    }
}
