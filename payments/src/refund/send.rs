//! What one item says to WeChat Pay, and what its answer does to it.

use std::sync::Arc;

use super::{Refunds, work::Agenda};
use crate::{
    channel::{ChannelError, NewRefund},
    ledger::{Body, Order, RefundItem, RefundNews, Role},
    store::SubmitError,
    topup::Merchant,
};

impl Refunds {
    /// Sends an item: the intention is on disk before the call.
    pub(super) async fn send(
        &self,
        agenda: &mut Agenda,
        item: &RefundItem,
    ) -> Result<RefundItem, SubmitError> {
        let Some((order, merchant)) = self.where_paid(agenda, item).await? else { return Ok(item.clone()) };
        let reason = self.store.refund(item.batch).await?.and_then(|(batch, _)| batch.reason);
        self.pause_between_calls(agenda).await;
        let sending = Body::RefundSending { item: item.id, batch: item.batch };
        let item = self.item_command(item, Role::System, sending).await?;
        agenda.sent(item.order, self.clock.now());
        // What it comes to now is told anew, be it the same as before.
        let _ = self.told.is_new(&item);
        let asked = NewRefund {
            transaction_id: item.payment.clone().or_else(|| order.transaction_id.clone()).unwrap_or_default(),
            out_refund_no: item.id.bare(),
            refund: item.amount,
            // A payment that was put aside goes back whole.
            total: if item.payment.is_some() { item.amount } else { order.amount },
            reason,
            notify_url: merchant.refund_notify_url(&order).to_owned(),
        };
        match merchant.refund(&order, &asked).await {
            Ok(report) => match self.reported(&report, None).await {
                Ok(item) => Ok(item),
                Err(error) => self.unclear(agenda, &item, &error).await,
            },
            // An error's answer is not signed: before money is put back, WeChat Pay is asked in a way that is.
            Err(error @ (ChannelError::Refused { .. } | ChannelError::NotFound { .. })) => {
                self.confirm_refusal(agenda, &item, (&order, &merchant), &error).await
            }
            Err(error) if error.lacks_permission() => {
                self.observer.misconfigured(&item, &error);
                self.confirm_refusal(agenda, &item, (&order, &merchant), &error).await
            }
            Err(error @ ChannelError::NotEnough { .. }) => {
                self.later(agenda, &item, &error);
                self.report(&item, RefundNews::Later, None, Some(error.to_string()), None).await
            }
            Err(error) => {
                self.tell_if_misconfigured(&item, &error);
                self.unclear(agenda, &item, &error).await
            }
        }
    }

    /// What was done is not known: written down, so that the next thing is to ask.
    async fn unclear(
        &self,
        agenda: &mut Agenda,
        item: &RefundItem,
        error: &(dyn std::error::Error + Sync),
    ) -> Result<RefundItem, SubmitError> {
        self.later(agenda, item, error);
        self.report(item, RefundNews::Unclear, None, None, None).await
    }

    async fn confirm_refusal(
        &self,
        agenda: &mut Agenda,
        item: &RefundItem,
        (order, merchant): (&Order, &Merchant),
        refusal: &ChannelError,
    ) -> Result<RefundItem, SubmitError> {
        self.pause_between_calls(agenda).await;
        match merchant.query_refund(order, &item.id.bare()).await {
            Ok(report) => match self.reported(&report, None).await {
                Ok(item) => Ok(item),
                Err(error) => self.unclear(agenda, item, &error).await,
            },
            Err(ChannelError::NotFound { .. }) => {
                self.report(item, RefundNews::Refused, None, Some(refusal.to_string()), None).await
            }
            Err(error) => self.unclear(agenda, item, &error).await,
        }
    }

    /// What became of an item whose answer is unknown? Only if WeChat Pay does not know it is it sent again, under the
    /// same number.
    pub(super) async fn ask_then_resend(
        &self,
        agenda: &mut Agenda,
        item: &RefundItem,
    ) -> Result<(), SubmitError> {
        let Some((order, merchant)) = self.where_paid(agenda, item).await? else { return Ok(()) };
        self.pause_between_calls(agenda).await;
        match merchant.query_refund(&order, &item.id.bare()).await {
            Ok(report) => {
                if let Err(error) = self.reported(&report, None).await {
                    self.later(agenda, item, &error);
                }
            }
            Err(error @ ChannelError::NotFound { .. }) => match agenda.spaced(item.order) {
                // Asked again then: it may have appeared by now.
                Some(at) if at > self.clock.now() => {
                    self.later(agenda, item, &error);
                    agenda.not_before(item.id, at);
                }
                _ => drop(self.send(agenda, item).await?),
            },
            Err(error) => {
                self.tell_if_misconfigured(item, &error);
                self.later(agenda, item, &error);
            }
        }
        Ok(())
    }

    /// What became of an item that was accepted, or could not be delivered? Each time twice as late, for as long as it takes.
    pub(super) async fn ask(&self, agenda: &mut Agenda, item: &RefundItem) -> Result<(), SubmitError> {
        let Some((order, merchant)) = self.where_paid(agenda, item).await? else { return Ok(()) };
        self.pause_between_calls(agenda).await;
        agenda.after_query(item.id, self.clock.now());
        match merchant.query_refund(&order, &item.id.bare()).await {
            Ok(report) => {
                if let Err(error) = self.reported(&report, None).await {
                    tracing::warn!(item = %item.id, %error, "a refund query led to nothing");
                }
            }
            Err(error) => {
                self.tell_if_misconfigured(item, &error);
                tracing::warn!(item = %item.id, %error, "a refund query led to nothing");
            }
        }
        Ok(())
    }

    /// Leaves the item as it is and comes back to it.
    fn later(&self, agenda: &mut Agenda, item: &RefundItem, error: &dyn std::error::Error) {
        tracing::warn!(item = %item.id, %error, "a refund's outcome is not known yet");
        agenda.after_trouble(item.id, self.clock.now());
    }

    fn tell_if_misconfigured(&self, item: &RefundItem, error: &ChannelError) {
        if matches!(error, ChannelError::Misconfigured { .. }) {
            self.observer.misconfigured(item, error);
        }
    }

    /// The payment behind an item and the merchant that took it. Without them nothing can be sent: said, and left.
    async fn where_paid(
        &self,
        agenda: &mut Agenda,
        item: &RefundItem,
    ) -> Result<Option<(Order, Arc<Merchant>)>, SubmitError> {
        let order = self.store.order(item.order).await?;
        let found =
            order.and_then(|order| self.merchants.get(&order.merchant).map(|merchant| (order, merchant)));
        if found.is_none() {
            tracing::error!(item = %item.id, "the merchant that took this payment is not configured");
            agenda.much_later(item.id, self.clock.now());
        }
        Ok(found)
    }
}
