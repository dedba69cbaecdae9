//! Whose turn is it? Refunds are worked on by one node at a time, and there by one item after the other.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use tokio_util::sync::CancellationToken;
use units::{AccountId, OrderId, RefundId, Timestamp};

use super::Refunds;
use crate::{
    ledger::{RefundItem, RefundItemState, RefundNews},
    store::{Duty, SubmitError},
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
/// Where other nodes queue refunds too, or may leave theirs behind.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// When items may be touched again, and what was done last.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    due: HashMap<RefundId, (Timestamp, Duration)>,
    last_of_order: HashMap<OrderId, Timestamp>,
    /// Whose last sendings were looked up.
    known: HashSet<AccountId>,
    last_call: Option<Timestamp>,
}

impl Agenda {
    /// Of a node that begins: who did this before may have called a moment ago.
    fn beginning(last_call: Option<Timestamp>) -> Self {
        Self { last_call, ..Self::default() }
    }

    /// Comes back to an item later, each time twice as late, after `first` at first.
    fn again(&mut self, item: RefundId, first: Duration, now: Timestamp) {
        let pause = self.due.get(&item).map_or(first, |(_, pause)| (*pause * 2).min(SLOWEST_QUERY));
        self.due.insert(item, (now.after(pause), pause));
    }

    /// The same after an unclear answer.
    pub(super) fn after_trouble(&mut self, item: RefundId, now: Timestamp) {
        self.again(item, AFTER_TROUBLE, now);
    }

    /// The same of one that was accepted.
    pub(super) fn after_query(&mut self, item: RefundId, now: Timestamp) {
        self.again(item, FIRST_QUERY, now);
    }

    /// Comes back to an item as late as ever.
    pub(super) fn much_later(&mut self, item: RefundId, now: Timestamp) {
        self.due.insert(item, (now.after(SLOWEST_QUERY), SLOWEST_QUERY));
    }

    /// Comes back to an item not before `at`.
    pub(super) fn not_before(&mut self, item: RefundId, at: Timestamp) {
        self.due.entry(item).and_modify(|(due, _)| *due = at.max(*due));
    }

    /// A refund of the payment is sent now: the intention took a while to reach the disk.
    pub(super) fn sent(&mut self, order: OrderId, now: Timestamp) {
        self.last_of_order.insert(order, now);
        self.last_call = Some(now);
    }

    /// When the next refund of the payment may be asked for.
    pub(super) fn spaced(&self, order: OrderId) -> Option<Timestamp> {
        self.last_of_order.get(&order).map(|last| last.after(BETWEEN_SAME_ORDER))
    }

    fn earliest(&self, item: &RefundItem, now: Timestamp) -> Timestamp {
        let own = match (self.due.get(&item.id), item.state) {
            (Some((due, _)), _) => *due,
            (None, RefundItemState::Processing | RefundItemState::Abnormal) => {
                item.sent_at.map_or(now, |sent| sent.after(FIRST_QUERY))
            }
            (None, _) => now,
        };
        let spaced = match item.state {
            RefundItemState::Queued | RefundItemState::Wait => self.spaced(item.order),
            _ => None,
        };
        spaced.map_or(own, |spaced| spaced.max(own))
    }
}

impl Refunds {
    /// Works until `stop`.
    pub async fn work(&self, stop: CancellationToken) {
        let mut agenda = None;
        loop {
            let next = match self.turn(&mut agenda, &stop).await {
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

    /// Does what is due, if this node is the one that does it; when to look again.
    ///
    /// What another node does is left alone for as long as that node lives. What a dead one left half done is taken for
    /// abandoned, and asked after first. A node that lost its lease can write no intention down, so it sends nothing more; what
    /// it had sent before that ends long before its lease does.
    async fn turn(
        &self,
        agenda: &mut Option<Agenda>,
        stop: &CancellationToken,
    ) -> Result<Option<Timestamp>, SubmitError> {
        let shared = self.store.is_shared();
        if shared && self.merchants.is_empty() {
            // Another node has those whose keys this one lacks.
            return Ok(None);
        }
        if !self.store.has_duty(Duty::Refunds).await? {
            *agenda = None;
            self.observer.open(&[], self.clock.now());
            return Ok(Some(self.clock.now().after(LOOK_AGAIN)));
        }
        let agenda = agenda.get_or_insert_with(|| Agenda::beginning(shared.then(|| self.clock.now())));
        let next = self.pass(agenda, stop).await?;
        let look_again = shared.then(|| self.clock.now().after(LOOK_AGAIN));
        Ok(match (next, look_again) {
            (Some(next), Some(again)) => Some(next.min(again)),
            (next, again) => next.or(again),
        })
    }

    /// Does what is due; when something is due next.
    async fn pass(
        &self,
        agenda: &mut Agenda,
        stop: &CancellationToken,
    ) -> Result<Option<Timestamp>, SubmitError> {
        let items = self.store.open_refund_items().await?;
        self.observer.open(&items, self.clock.now());
        agenda.due.retain(|id, _| items.iter().any(|item| item.id == *id));
        self.learn_last_sendings(agenda, &items).await?;
        let mut in_flight: Vec<AccountId> =
            items.iter().filter(|item| item.state.is_in_flight()).map(|item| item.account).collect();
        let mut next: Option<Timestamp> = None;
        let mut at_latest = |at: Timestamp| next = Some(next.map_or(at, |next| next.min(at)));
        for item in items {
            if stop.is_cancelled() {
                break;
            }
            let now = self.clock.now();
            let wait_until = agenda.earliest(&item, now);
            if wait_until > now {
                at_latest(wait_until);
                continue;
            }
            // One of a wallet at a time: the next goes when this one's acceptance is known.
            if item.state == RefundItemState::Queued && in_flight.contains(&item.account) {
                continue;
            }
            match self.move_on(agenda, &item).await {
                Ok(now_is) if item.state == RefundItemState::Queued && now_is.is_in_flight() => {
                    in_flight.push(item.account);
                }
                Ok(_) => {}
                // It stands otherwise than it did a moment ago: a notice came, or it was taken back. The others go on.
                Err(SubmitError::Refused(refusal)) => {
                    tracing::warn!(item = %item.id, %refusal, "a refund has moved meanwhile");
                    agenda.after_trouble(item.id, self.clock.now());
                    in_flight.push(item.account);
                }
                Err(error) => return Err(error),
            }
            at_latest(self.clock.now().after(BETWEEN_CALLS));
        }
        Ok(next)
    }

    /// Sends an item or asks after it; where it stands then.
    async fn move_on(&self, agenda: &mut Agenda, item: &RefundItem) -> Result<RefundItemState, SubmitError> {
        match item.state {
            RefundItemState::Queued | RefundItemState::Wait => {
                self.send(agenda, item).await.map(|item| item.state)
            }
            // Nobody waits for its answer any more: a crash came between, or the answer could not be written down.
            RefundItemState::Sent => {
                let item = self.report(item, RefundNews::Unclear, None, None, None).await?;
                self.ask_then_resend(agenda, &item).await.map(|()| item.state)
            }
            RefundItemState::Unknown => self.ask_then_resend(agenda, item).await.map(|()| item.state),
            // A person acts on what did not arrive; what came of that, not every notice says.
            RefundItemState::Processing | RefundItemState::Abnormal => {
                self.ask(agenda, item).await.map(|()| item.state)
            }
            RefundItemState::Success
            | RefundItemState::Closed
            | RefundItemState::Refused
            | RefundItemState::Cancelled => Ok(item.state),
        }
    }

    /// When the payments of these items were last sent a refund of, by this run, an earlier one, or another node.
    async fn learn_last_sendings(
        &self,
        agenda: &mut Agenda,
        items: &[RefundItem],
    ) -> Result<(), SubmitError> {
        let now = self.clock.now();
        let still_counts = |last: &Timestamp| last.after(BETWEEN_SAME_ORDER) > now;
        agenda.last_of_order.retain(|_, last| still_counts(last));
        agenda.known.retain(|account| items.iter().any(|item| item.account == *account));
        for item in items.iter().filter(|item| !matches!(item.state, RefundItemState::Processing)) {
            if agenda.known.insert(item.account) {
                let sent = self.store.refunds_sent(item.account).await?;
                for (order, at) in sent.into_iter().filter(|(_, at)| still_counts(at)) {
                    let last = agenda.last_of_order.entry(order).or_insert(at);
                    *last = at.max(*last);
                }
            }
        }
        Ok(())
    }

    /// Before every call, so that the distance holds between any two.
    pub(super) async fn pause_between_calls(&self, agenda: &mut Agenda) {
        if let Some(last) = agenda.last_call {
            self.clock.sleep_until(last.after(BETWEEN_CALLS)).await;
        }
        agenda.last_call = Some(self.clock.now());
    }
}
