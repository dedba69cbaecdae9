//! Sending refunds and asking after them, one at a time.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;
use units::{AccountId, OrderId, RefundId, Timestamp};

use super::Refunds;
use crate::{
    channel::{ChannelError, NewRefund},
    ledger::{Body, Order, RefundItem, RefundItemState, RefundNews, Role},
    store::SubmitError,
    topup::Merchant,
};

/// Between any two refund calls.
const BETWEEN_CALLS: Duration = Duration::from_millis(200);
/// Between two refunds of one payment; WeChat Pay wants at least a minute.
const BETWEEN_SAME_ORDER: Duration = Duration::from_secs(61);
/// The first time an accepted refund is asked after.
const FIRST_QUERY: Duration = Duration::from_secs(10);
/// Later it is asked after at most this often.
const SLOWEST_QUERY: Duration = Duration::from_secs(1_800);
/// After an unclear answer, or one that says "later".
const AFTER_TROUBLE: Duration = Duration::from_secs(5);

/// When items may be touched again, and what was done last.
#[derive(Debug, Default)]
struct Agenda {
    due: HashMap<RefundId, (Timestamp, Duration)>,
    last_of_order: HashMap<OrderId, Timestamp>,
    last_call: Option<Timestamp>,
}

impl Refunds {
    /// Works until `stop`.
    pub async fn work(&self, stop: CancellationToken) {
        let mut agenda = Agenda::default();
        loop {
            let next = match self.pass(&mut agenda, &stop).await {
                Ok(next) => next,
                Err(error) => {
                    tracing::warn!(%error, "open refunds cannot be worked on");
                    Some(self.clock.now().after(AFTER_TROUBLE))
                }
            };
            let idle = async {
                match next {
                    Some(at) => self.clock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.fresh.notified() => {}
                () = idle => {}
            }
        }
    }

    /// Does what is due; when something is due next.
    async fn pass(
        &self,
        agenda: &mut Agenda,
        stop: &CancellationToken,
    ) -> Result<Option<Timestamp>, SubmitError> {
        let items = self.store.open_refund_items().await?;
        agenda.due.retain(|id, _| items.iter().any(|item| item.id == *id));
        for (order, sent_at) in items.iter().filter_map(|item| Some((item.order, item.sent_at?))) {
            // After a restart this is how the last sending is known.
            let last = agenda.last_of_order.entry(order).or_insert(sent_at);
            *last = sent_at.max(*last);
        }
        let mut in_flight: Vec<AccountId> =
            items.iter().filter(|item| item.state.is_in_flight()).map(|item| item.account).collect();
        let mut next: Option<Timestamp> = None;
        let mut at_latest = |at: Timestamp| next = Some(next.map_or(at, |next| next.min(at)));
        for item in items {
            if stop.is_cancelled() {
                break;
            }
            let now = self.clock.now();
            let wait_until = self.earliest(agenda, &item, now);
            if wait_until > now {
                at_latest(wait_until);
                continue;
            }
            match item.state {
                // One of a wallet at a time: the next goes when this one's acceptance is known.
                RefundItemState::Queued if in_flight.contains(&item.account) => continue,
                RefundItemState::Queued => {
                    in_flight.push(item.account);
                    let item = self.send(agenda, &item).await?;
                    if !item.state.is_in_flight() {
                        in_flight.retain(|account| *account != item.account);
                    }
                }
                // Nobody waits for its answer any more: a crash came between, or the answer could not be written down.
                RefundItemState::Sent => {
                    let item = self.report(&item, RefundNews::Unclear, None, None, None).await?;
                    self.ask_then_resend(agenda, &item).await?;
                }
                RefundItemState::Unknown => self.ask_then_resend(agenda, &item).await?,
                RefundItemState::Wait => drop(self.send(agenda, &item).await?),
                // A person acts on what did not arrive; what came of that, not every notice says.
                RefundItemState::Processing | RefundItemState::Abnormal => self.ask(agenda, &item).await?,
                _ => continue,
            }
            at_latest(self.clock.now().after(BETWEEN_CALLS));
        }
        Ok(next)
    }

    fn earliest(&self, agenda: &Agenda, item: &RefundItem, now: Timestamp) -> Timestamp {
        let own = match (agenda.due.get(&item.id), item.state) {
            (Some((due, _)), _) => *due,
            (None, RefundItemState::Processing | RefundItemState::Abnormal) => {
                item.sent_at.map_or(now, |sent| sent.after(FIRST_QUERY))
            }
            (None, _) => now,
        };
        let spaced = match item.state {
            RefundItemState::Queued | RefundItemState::Wait => self.spaced(agenda, item),
            _ => None,
        };
        spaced.map_or(own, |spaced| spaced.max(own))
    }

    /// When the next refund of the item's payment may be asked for.
    fn spaced(&self, agenda: &Agenda, item: &RefundItem) -> Option<Timestamp> {
        agenda.last_of_order.get(&item.order).map(|last| last.after(BETWEEN_SAME_ORDER))
    }

    /// Before every call, so that the distance holds between any two.
    async fn pause_between_calls(&self, agenda: &mut Agenda) {
        if let Some(last) = agenda.last_call {
            self.clock.sleep_until(last.after(BETWEEN_CALLS)).await;
        }
        agenda.last_call = Some(self.clock.now());
    }

    /// Sends an item: the intention is on disk before the call.
    async fn send(&self, agenda: &mut Agenda, item: &RefundItem) -> Result<RefundItem, SubmitError> {
        let Some((order, merchant)) = self.where_paid(agenda, item).await? else { return Ok(item.clone()) };
        let reason = self.store.refund(item.batch).await?.and_then(|(batch, _)| batch.reason);
        self.pause_between_calls(agenda).await;
        let sending = Body::RefundSending { item: item.id, batch: item.batch };
        let item = self.item_command(item, Role::System, sending).await?;
        agenda.last_of_order.insert(item.order, self.clock.now());
        let asked = NewRefund {
            transaction_id: item.payment.clone().or_else(|| order.transaction_id.clone()).unwrap_or_default(),
            out_refund_no: item.id.bare(),
            refund: item.amount,
            // A payment that was put aside goes back whole.
            total: if item.payment.is_some() { item.amount } else { order.amount },
            reason,
            notify_url: merchant.refund_notify_url(&order).to_owned(),
        };
        let answer = merchant.refund(&order, &asked).await;
        match answer {
            Ok(report) => match self.reported(&report, None).await {
                Ok(item) => Ok(item),
                Err(error) => self.unclear(agenda, &item, &error).await,
            },
            // An error's answer is not signed: before money is put back, WeChat Pay is asked in a way that is.
            Err(error @ (ChannelError::Refused { .. } | ChannelError::NotFound { .. })) => {
                self.confirm_refusal(agenda, &item, (&order, &merchant), &error).await
            }
            Err(error @ ChannelError::NotEnough { .. }) => {
                self.later(agenda, &item, &error);
                self.report(&item, RefundNews::Later, None, Some(error.to_string()), None).await
            }
            Err(error) => self.unclear(agenda, &item, &error).await,
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
    async fn ask_then_resend(&self, agenda: &mut Agenda, item: &RefundItem) -> Result<(), SubmitError> {
        let Some((order, merchant)) = self.where_paid(agenda, item).await? else { return Ok(()) };
        self.pause_between_calls(agenda).await;
        match merchant.query_refund(&order, &item.id.bare()).await {
            Ok(report) => {
                if let Err(error) = self.reported(&report, None).await {
                    self.later(agenda, item, &error);
                }
            }
            Err(error @ ChannelError::NotFound { .. }) => match self.spaced(agenda, item) {
                // Asked again then: it may have appeared by now.
                Some(at) if at > self.clock.now() => {
                    self.later(agenda, item, &error);
                    agenda.due.entry(item.id).and_modify(|(due, _)| *due = at.max(*due));
                }
                _ => drop(self.send(agenda, item).await?),
            },
            Err(error) => self.later(agenda, item, &error),
        }
        Ok(())
    }

    async fn ask(&self, agenda: &mut Agenda, item: &RefundItem) -> Result<(), SubmitError> {
        let Some((order, merchant)) = self.where_paid(agenda, item).await? else { return Ok(()) };
        self.pause_between_calls(agenda).await;
        let pause =
            agenda.due.get(&item.id).map_or(FIRST_QUERY, |(_, pause)| (*pause * 2).min(SLOWEST_QUERY));
        agenda.due.insert(item.id, (self.clock.now().after(pause), pause));
        match merchant.query_refund(&order, &item.id.bare()).await {
            Ok(report) => {
                if let Err(error) = self.reported(&report, None).await {
                    tracing::warn!(item = %item.id, %error, "a refund query led to nothing");
                }
            }
            Err(error) => tracing::warn!(item = %item.id, %error, "a refund query led to nothing"),
        }
        Ok(())
    }

    /// Leaves the item as it is and comes back to it.
    fn later(&self, agenda: &mut Agenda, item: &RefundItem, error: &dyn std::error::Error) {
        tracing::warn!(item = %item.id, %error, "a refund's outcome is not known yet");
        let pause =
            agenda.due.get(&item.id).map_or(AFTER_TROUBLE, |(_, pause)| (*pause * 2).min(SLOWEST_QUERY));
        agenda.due.insert(item.id, (self.clock.now().after(pause), pause));
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
            agenda.due.insert(item.id, (self.clock.now().after(SLOWEST_QUERY), SLOWEST_QUERY));
        }
        Ok(found)
    }
}
