//! Watching orders until they end: a lost notification is found by asking.
//!
//! The agenda is in memory. The books are read whole at the start, where several nodes share them every few seconds too, and
//! otherwise one order at a time, when its turn has come: whatever happened to it meanwhile, by a notification or on another
//! node, its row says.

use std::{collections::HashSet, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio_util::sync::CancellationToken;
use units::{OrderId, Timestamp};

use super::{QueryReport, TopUps};
use crate::{
    ledger::{GrantState, Order, OrderState},
    store::SubmitError,
};

/// How often the orders of other nodes are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(20);
/// At the end, questions that are under way are waited for this long.
const HEARD_OUT_MAX: Duration = Duration::from_secs(3);
/// If the store cannot be read, it is tried again after this.
const AFTER_TROUBLE: Duration = Duration::from_secs(5);

impl TopUps {
    /// Watches every unpaid order until `stop`.
    pub async fn watch(&self, stop: CancellationToken) {
        let mut asking = FuturesUnordered::new();
        let mut look = Some(self.clock.now());
        loop {
            let now = self.clock.now();
            if look.is_some_and(|at| at <= now) {
                look = match self.learn_all().await {
                    Ok(()) => self.store.is_shared().then(|| now.after(LOOK_EVERY)),
                    Err(error) => {
                        tracing::warn!(%error, "unpaid orders cannot be read");
                        Some(now.after(AFTER_TROUBLE))
                    }
                };
            }
            let turns = self.agenda.turns(now);
            self.observer.behind(turns.behind);
            for order in turns.orders {
                self.observer.asking();
                asking.push(self.turn(order));
            }
            let next = [turns.next, look].into_iter().flatten().min();
            tokio::select! {
                () = stop.cancelled() => break,
                () = self.fresh.notified() => {}
                Some(()) = asking.next() => {}
                () = self.wake(next) => {}
            }
        }
        // What is being asked is heard out, if it does not take long.
        let heard_out = async { while asking.next().await.is_some() {} };
        if tokio::time::timeout(HEARD_OUT_MAX, heard_out).await.is_err() {
            tracing::warn!("orders were still being asked about; the next run asks again");
        }
    }

    async fn wake(&self, at: Option<Timestamp>) {
        match at {
            Some(at) => self.clock.sleep_until(at).await,
            None => std::future::pending().await,
        }
    }

    async fn learn_all(&self) -> Result<(), SubmitError> {
        let orders = self.store.unpaid_orders().await?;
        let grants = self.store.unresolved_grants().await?;
        let active = grants.into_iter().filter(|grant| grant.state == GrantState::Active);
        let lent: HashSet<OrderId> = active.map(|grant| grant.order).collect();
        let runs = self.store.runs_alive().await?;
        self.agenda.learn_all(&orders, &lent, (&runs, self.store.epoch()), self.clock.now());
        Ok(())
    }

    /// Asks for one order, if it is still awaited.
    async fn turn(&self, id: OrderId) {
        let report = match self.store.order(id).await {
            Ok(Some(order)) if is_awaited(&order) => self.check(&order).await,
            Ok(_) => QueryReport::Over,
            Err(error) => {
                tracing::warn!(order = %id, %error, "an unpaid order cannot be read");
                QueryReport::Failed
            }
        };
        self.answered(id, &report);
        self.observer.queried(&report);
    }

    /// Takes down that an order's query came to this.
    pub(super) fn answered(&self, id: OrderId, report: &QueryReport) {
        let over = !matches!(report, QueryReport::Nothing | QueryReport::Failed);
        self.agenda.answered(id, over, self.clock.now());
    }

    /// Somebody looks at an order and waits for its payment: it is asked for more often as long as this is said now and then.
    pub fn seen(&self, order: &Order) {
        if is_awaited(order) && self.agenda.seen(order, self.clock.now()) {
            self.fresh.notify_one();
        }
    }

    /// Something was lent on an order: it is asked for more often until it ends.
    pub fn lent_on(&self, order: &Order) {
        if is_awaited(order) {
            self.agenda.waits(order, self.clock.now());
            self.fresh.notify_one();
        }
    }
}

const fn is_awaited(order: &Order) -> bool {
    matches!(order.state, OrderState::Created | OrderState::Pending)
}
