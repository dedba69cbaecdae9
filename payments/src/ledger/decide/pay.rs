//! The news that an order is paid: credited once, or put aside for a person.

use units::{Fen, NanoCny};

use super::{Draft, OrderStep, Posting, Refusal, Reply, check::text};
use crate::ledger::{
    Asset, Body, Book, CreditSource, EntryKind, Notice, NoticeResult, Order, OrderState, RowOp,
    StrangeNotice, SuspensePayment, SuspenseState, TimelineEvent,
};

/// The event of an order that waits for a person already, and of whose payment something else is said.
const REVIEW_AGAIN: &str = "review_again";

impl Draft<'_> {
    /// WeChat Pay says "paid": credits once, or puts the payment aside for a person if anything differs from what was
    /// stored when the order was created.
    pub(super) fn order_paid(&mut self) -> Result<Reply, Refusal> {
        let Body::OrderPaid { order: id, transaction_id, payer, success_time, source, event, .. } =
            &self.command.body
        else {
            return Err(Refusal::NotPositive);
        };
        let mut order = self.find_order(*id)?;
        if let Some(difference) = self.difference(&order) {
            return self.quarantine(order, &difference);
        }
        if self.rows.transactions.get(transaction_id).is_some_and(|owner| owner != id) {
            return self.quarantine(order, &format!("payment {transaction_id} belongs to another order"));
        }
        if let Some(aside) = self.rows.suspense(transaction_id).filter(|aside| aside.order != *id) {
            return self
                .quarantine(order, &format!("payment {transaction_id} was put aside for {}", aside.order));
        }
        match order.state {
            OrderState::Paid | OrderState::PartiallyRefunded | OrderState::Refunded => {
                if order.transaction_id.as_deref() != Some(transaction_id) {
                    return self.quarantine(order, &format!("a second payment, {transaction_id}"));
                }
                self.file_notice(&order, NoticeResult::Duplicate, None);
                return Ok(Reply::Order { order: Box::new(order), step: OrderStep::Unchanged });
            }
            OrderState::Review | OrderState::Voided | OrderState::Failed => {
                let difference = format!("payment {transaction_id}, but the order is {}", order.state);
                return self.quarantine(order, &difference);
            }
            // A payment is a payment, also when its news overtook ours or came after we closed the order.
            OrderState::Created | OrderState::Pending | OrderState::Closed => {}
        }
        let as_it_was = order.clone();
        if order.state == OrderState::Closed {
            self.note(&mut order, "late", source.as_str(), None);
        }
        order.state = OrderState::Paid;
        order.transaction_id = Some(transaction_id.clone());
        order.payer.clone_from(payer);
        order.paid_at = Some(success_time.unwrap_or(self.command.at));
        self.note(&mut order, "paid", source.as_str(), Some(transaction_id));
        if let Err(refusal) = self.credit(&mut order, Book::WechatClearing) {
            // It was paid all the same: the money waits for a person.
            self.ops.clear();
            return self.quarantine(as_it_was, &format!("it cannot be credited: {refusal}"));
        }
        let evidence = event.as_deref();
        self.note(&mut order, "credited", source.as_str(), evidence);
        self.file_notice(&order, NoticeResult::Applied, None);
        let order = self.put_order(order);
        Ok(Reply::Order { order: Box::new(order), step: OrderStep::Credited })
    }

    /// What differs between the news and what was stored, in words; `None` if all agrees.
    fn difference(&self, order: &Order) -> Option<String> {
        let Body::OrderPaid { account, asset, total, currency, mchid, appid, transaction_id, .. } =
            &self.command.body
        else {
            return None;
        };
        let currency = currency.as_deref().unwrap_or("CNY");
        let checks = [
            (
                *account == order.account && *asset == order.kind.asset(),
                "the command names another balance".to_owned(),
            ),
            (*mchid == order.mchid, format!("merchant {mchid}, ordered at {}", order.mchid)),
            (*appid == order.appid, format!("app {appid}, ordered at {}", order.appid)),
            (*total == order.amount, format!("amount {total} yuan, ordered {} yuan", order.amount)),
            // It cannot be booked, so that only these words say which payment it is.
            (currency == "CNY", format!("currency {currency}, ordered CNY (payment {transaction_id})")),
        ];
        checks.into_iter().find(|(agrees, _)| !agrees).map(|(_, words)| words)
    }

    /// Nothing is credited; the money waits in suspense. An order that waits for its payment is put aside, one that
    /// has it, or came to another end, stays as it is.
    fn quarantine(&mut self, mut order: Order, difference: &str) -> Result<Reply, Refusal> {
        // The same payment was put aside before, whatever differed then.
        let Body::OrderPaid { transaction_id, .. } = &self.command.body else {
            return Err(Refusal::NotPositive);
        };
        let told = |step: &&TimelineEvent| matches!(step.event.as_str(), "review" | REVIEW_AGAIN);
        let named = format!("payment {transaction_id}");
        let names = |detail: &String| detail.contains(&named);
        let aside = self.rows.suspense(transaction_id).is_some_and(|aside| aside.order == order.id)
            || order.timeline.iter().filter(told).any(|step| step.detail.as_ref().is_some_and(names));
        self.suspend(&order, difference);
        let known = order.timeline.iter().filter(told).any(|step| step.detail.as_deref() == Some(difference));
        if !known {
            if matches!(order.state, OrderState::Created | OrderState::Pending | OrderState::Closed) {
                order.state = OrderState::Review;
            }
            let source = match &self.command.body {
                Body::OrderPaid { source, .. } => source.as_str(),
                _ => "system",
            };
            // Why a person was asked stays what it was.
            let event = if aside { REVIEW_AGAIN } else { "review" };
            self.note(&mut order, event, source, Some(difference));
            order = self.put_order(order);
        }
        self.file_notice(&order, NoticeResult::Rejected, Some(difference));
        let step = if known || aside { OrderStep::StillQuarantined } else { OrderStep::Quarantined };
        Ok(Reply::Order { order: Box::new(order), step })
    }

    /// Books the payment in suspense, once. An amount that is missing or not in yuan cannot be booked, and one that is
    /// credited to an order already was.
    fn suspend(&mut self, order: &Order, difference: &str) {
        let Body::OrderPaid { transaction_id, total, currency, payer, success_time, source, .. } =
            &self.command.body
        else {
            return;
        };
        let foreign = currency.as_deref().is_some_and(|currency| currency != "CNY");
        if foreign || *total == Fen::ZERO || self.rows.transactions.contains_key(transaction_id) {
            return;
        }
        if let Some(aside) = self.rows.suspense(transaction_id).cloned() {
            // What WeChat Pay answers to our own question counts for more than what somebody sent.
            let asked = matches!(source, CreditSource::Query | CreditSource::Bill);
            if asked && aside.order == order.id && aside.state == SuspenseState::Open {
                self.move_suspense(order, NanoCny::from(*total).get() - NanoCny::from(aside.amount).get());
                if aside.amount != *total {
                    self.ops.push(RowOp::Suspense(SuspensePayment { amount: *total, ..aside }));
                }
            }
            return;
        }
        self.move_suspense(order, NanoCny::from(*total).get());
        self.ops.push(RowOp::Suspense(SuspensePayment {
            transaction_id: transaction_id.clone(),
            order: order.id,
            amount: *total,
            payer: payer.clone(),
            paid_at: success_time.unwrap_or(self.command.at),
            difference: difference.to_owned(),
            state: SuspenseState::Open,
            created_at: self.command.at,
        }));
    }

    /// So much more waits for a person, in nano-yuan; less where it is negative.
    fn move_suspense(&mut self, order: &Order, more: i64) {
        let (debit, credit) = match more {
            0 => return,
            1.. => (Book::WechatClearing, Book::Suspense),
            _ => (Book::Suspense, Book::WechatClearing),
        };
        self.post(Posting {
            kind: EntryKind::Suspense,
            debit,
            credit,
            asset: &Asset::Cny,
            amount: more.abs(),
            account: None,
            lot: None,
            hold: None,
            order: Some(order.id),
        });
    }

    /// Remembers a genuine notification that is about nothing of ours, once.
    pub(super) fn file_strange(&mut self, strange: &StrangeNotice) -> Result<Reply, Refusal> {
        text("id", &strange.id)?;
        if self.rows.notices.contains_key(&strange.id) {
            return Ok(Reply::Already);
        }
        self.ops.push(RowOp::Notice(Notice {
            id: strange.id.clone(),
            merchant: strange.merchant.clone(),
            subject: strange.subject.clone(),
            result: NoticeResult::Unused,
            detail: Some(strange.detail.clone()),
            at: self.command.at,
        }));
        Ok(Reply::Done)
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
}
