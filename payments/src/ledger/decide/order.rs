//! Orders until they are paid: made, made known, failed, closed.

use units::{Fen, NanoCny, OrderId};

use super::{Draft, OrderStep, Refusal, Reply, check::invalid};
use crate::ledger::{
    Asset, CLOSE_REQUESTED, NewOrder, Order, OrderKind, OrderState, PREPAID_ANEW, PackageOffer, PayBy,
    Prepay, RowOp, TimelineEvent, TokenTerms,
};

/// A balance that can be topped up holds at most this much.
pub(super) const WALLET_CAP: NanoCny = NanoCny::from_yuan(10_000_000);

/// An order's timeline keeps its first and its latest steps; what is between is dropped beyond this many.
const TIMELINE_MAX: usize = 60;

impl Draft<'_> {
    pub(super) fn find_order(&self, id: OrderId) -> Result<Order, Refusal> {
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
        // Who owes may pay: it is how the debt is settled.
        let account = self.open_account_row(new.account)?;
        if account.livemode != new.livemode {
            return Err(Refusal::LivemodeMismatch);
        }
        new.amount.at_least_one().map_err(|_| Refusal::NotPositive)?;
        if let Some(max) = new.open_max {
            let open = self.rows.orders_payable(new.account, self.command.at);
            if u32::try_from(open).is_ok_and(|open| open >= max) {
                return Err(Refusal::TooManyOpenOrders { max });
            }
        }
        if new.bonus.is_negative() || (new.bonus.get() > 0 && new.kind != OrderKind::Wallet) {
            return Err(invalid("bonus", "only a payment for yuan comes with a bonus"));
        }
        match &new.kind {
            OrderKind::Wallet => self.fits_the_wallet(new)?,
            OrderKind::Tokens { model, tokens, rate, terms, .. } => {
                self.sells_tokens(new.amount, model, *tokens, *rate, terms)?;
            }
            OrderKind::Package { offer } => self.sells_package(new.amount, offer)?,
            OrderKind::Goods { lines, buyer, refunds, .. } => {
                self.sells_goods(new.amount, lines, *buyer, *refunds, new.livemode)?;
            }
        }
        let mut order = Order {
            id: new.id,
            account: new.account,
            livemode: new.livemode,
            kind: new.kind.clone(),
            amount: new.amount,
            bonus: new.bonus,
            state: OrderState::Created,
            merchant: new.merchant.clone(),
            mchid: new.mchid.clone(),
            appid: new.appid.clone(),
            pay_by: PayBy::clone(&new.pay_by),
            prepay: None,
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

    fn fits_the_wallet(&self, new: &NewOrder) -> Result<(), Refusal> {
        let posted = NanoCny::new(self.rows.wallet(new.account, &Asset::Cny).posted);
        let balance = posted.plus(NanoCny::from(new.amount))?.plus(new.bonus)?;
        if balance > WALLET_CAP {
            return Err(Refusal::WalletCap { cap: WALLET_CAP, balance });
        }
        Ok(())
    }

    /// What could not be credited must not be paid for.
    fn sells_tokens(
        &self,
        amount: Fen,
        model: &str,
        tokens: i64,
        rate: i64,
        terms: &TokenTerms,
    ) -> Result<(), Refusal> {
        let milli = tokens.checked_mul(1_000).ok_or(Refusal::OutOfRange)?;
        if milli <= 0 || rate <= 0 {
            return Err(Refusal::NotPositive);
        }
        if NanoCny::from(amount).get() / rate != tokens {
            return Err(invalid("tokens", "it is not what the amount buys at the rate"));
        }
        if !terms.pays_for(model) {
            return Err(invalid("terms", "the tokens would not pay for their own model"));
        }
        self.terms_agree(terms)
    }

    fn sells_package(&self, amount: Fen, offer: &PackageOffer) -> Result<(), Refusal> {
        let unknown = || Refusal::UnknownPackage { id: offer.id.clone(), version: offer.version };
        let known = self.rows.package(&offer.id, offer.version).ok_or_else(unknown)?;
        if known.offer != *offer {
            return Err(unknown());
        }
        if known.retired_at.is_some() {
            return Err(Refusal::PackageRetired { id: offer.id.clone(), version: offer.version });
        }
        if amount != offer.price {
            return Err(invalid("amount", &format!("the package costs {} yuan", offer.price)));
        }
        self.terms_agree(&offer.terms(self.command.at))
    }

    /// Terms never change: where a balance has some, these are the same.
    pub(super) fn terms_agree(&self, terms: &TokenTerms) -> Result<(), Refusal> {
        let burns = terms.weights;
        if [burns.input, burns.cached_input, burns.cache_write, burns.output].iter().any(|&weight| weight < 0)
        {
            return Err(invalid("weights", "a token cannot burn less than nothing"));
        }
        match self.rows.terms(&terms.id) {
            Some(known) if known.models != terms.models || known.weights != terms.weights => {
                Err(invalid("terms", "the balance has other terms"))
            }
            _ => Ok(()),
        }
    }

    pub(super) fn order_prepaid(
        &mut self,
        id: OrderId,
        prepay: &Prepay,
        request_id: Option<&str>,
    ) -> Result<Reply, Refusal> {
        let mut order = self.find_order(id)?;
        let is_new = match order.state {
            OrderState::Created => true,
            // Each code kills the one before: what is shown is the latest.
            OrderState::Pending if order.prepay.as_ref() != Some(prepay) => false,
            _ => return Ok(Reply::Order { order: Box::new(order), step: OrderStep::Unchanged }),
        };
        order.state = OrderState::Pending;
        order.prepay = Some(prepay.clone());
        let event = if is_new { "pending" } else { PREPAID_ANEW };
        let evidence = request_id.map(|id| format!("Request-ID {id}"));
        self.note(&mut order, event, "wechat", evidence.as_deref());
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
        if event == CLOSE_REQUESTED {
            // Nothing is lent on what nobody wants to pay, however long it takes to close it.
            self.revoke_grant(id);
        }
        let order = self.put_order(order);
        Ok(Reply::Order { order: Box::new(order), step: OrderStep::Moved })
    }
}
