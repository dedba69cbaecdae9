//! A person decides about a payment that was put aside.

use units::{Fen, NanoCny};

use super::{Draft, OrderStep, Refusal, Reply, check::invalid};
use crate::ledger::{
    Book, Order, OrderKind, OrderState, RefundBatchState, RefundItem, Resolution, RowOp, SuspensePayment,
    SuspenseState, Verdict,
};

impl Draft<'_> {
    pub(super) fn resolve_review(&mut self, about: &Resolution) -> Result<Reply, Refusal> {
        let reason = self.two_people()?.to_owned();
        let order = self.find_order(about.order)?;
        if order.account != about.account || order.kind.asset() != about.asset {
            return Err(Refusal::UnknownOrder(about.order));
        }
        let payment = match &about.transaction_id {
            Some(number) => Some(self.open_payment(&order, number)?),
            None => None,
        };
        match (about.verdict, payment) {
            (Verdict::Credit, Some(payment)) => self.credit_reviewed(order, payment, &reason),
            (Verdict::Credit, None) => Err(invalid("transaction_id", "what is credited must be named")),
            (Verdict::Void, Some(payment)) => self.void_payment(order, payment, about, reason),
            (Verdict::Void, None) if order.state == OrderState::Review => {
                let order = self.void_order(order, &reason);
                Ok(Reply::Order { order: Box::new(order), step: OrderStep::Moved })
            }
            (Verdict::Void, None) => Err(Refusal::OrderState { order: order.id, state: order.state }),
        }
    }

    fn open_payment(&self, order: &Order, number: &str) -> Result<SuspensePayment, Refusal> {
        let payment = self.rows.suspense(number).filter(|payment| payment.order == order.id);
        let payment = payment.ok_or_else(|| Refusal::UnknownPayment(number.to_owned()))?;
        if payment.state != SuspenseState::Open {
            return Err(Refusal::PaymentState { payment: number.to_owned(), state: payment.state });
        }
        Ok(payment.clone())
    }

    /// What was paid is credited; where that is another amount than was ordered, the order says so from now on.
    fn credit_reviewed(
        &mut self,
        mut order: Order,
        payment: SuspensePayment,
        reason: &str,
    ) -> Result<Reply, Refusal> {
        if order.state != OrderState::Review {
            return Err(Refusal::OrderState { order: order.id, state: order.state });
        }
        if payment.amount != order.amount {
            self.amend(&mut order, payment.amount)?;
        }
        order.state = OrderState::Paid;
        order.transaction_id = Some(payment.transaction_id.clone());
        order.payer.clone_from(&payment.payer);
        order.paid_at = Some(payment.paid_at);
        self.note(&mut order, "paid", "operator", Some(reason));
        self.credit(&mut order, Book::Suspense)?;
        self.ops.push(RowOp::Suspense(SuspensePayment { state: SuspenseState::Credited, ..payment }));
        let order = self.put_order(order);
        Ok(Reply::Order { order: Box::new(order), step: OrderStep::Credited })
    }

    /// What the order buys for `paid` instead of its own amount.
    fn amend(&self, order: &mut Order, paid: Fen) -> Result<(), Refusal> {
        match &mut order.kind {
            OrderKind::Wallet => {
                // A bonus is earned by the whole payment; more than was promised it never is.
                let share = i128::from(order.bonus.get()) * i128::from(paid.get())
                    / i128::from(order.amount.get().max(1));
                let share = NanoCny::new(i64::try_from(share).unwrap_or(i64::MAX));
                order.bonus = order.bonus.min(share);
            }
            OrderKind::Tokens { tokens, rate, .. } => {
                *tokens = NanoCny::from(paid).get() / (*rate).max(1);
                if *tokens == 0 {
                    return Err(invalid("verdict", "what was paid buys no whole token: it can only go back"));
                }
            }
            OrderKind::Package { .. } | OrderKind::Goods { .. } => {
                let what = "what was paid is not the price: it can only go back";
                return Err(invalid("verdict", what));
            }
        }
        self.note(order, "amended", "operator", Some(&format!("{paid} yuan paid, {} ordered", order.amount)));
        order.amount = paid;
        Ok(())
    }

    /// The whole payment goes back, as one refund like any other; the order is void, whatever comes of that.
    fn void_payment(
        &mut self,
        order: Order,
        payment: SuspensePayment,
        about: &Resolution,
        reason: String,
    ) -> Result<Reply, Refusal> {
        if self.rows.batches.contains_key(&about.batch) {
            return Err(Refusal::KeyReused);
        }
        let item = RefundItem {
            payment: Some(payment.transaction_id.clone()),
            ..self.new_item(about.item, about.batch, about.account, order.id, payment.amount)
        };
        if order.state == OrderState::Review {
            self.void_order(order, &reason);
        }
        self.ops.push(RowOp::Suspense(SuspensePayment { state: SuspenseState::Refunding, ..payment }));
        self.ops.push(RowOp::Item(item.clone()));
        self.new_batch(about.batch, about.account, (None, RefundBatchState::Reserved), vec![item])
    }

    fn void_order(&mut self, mut order: Order, reason: &str) -> Order {
        order.state = OrderState::Voided;
        self.note(&mut order, "voided", "operator", Some(reason));
        self.put_order(order)
    }
}
