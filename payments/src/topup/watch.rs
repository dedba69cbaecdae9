//! Watching orders until they end: a lost notification is found by asking.

use std::{collections::HashMap, time::Duration};

use tokio_util::sync::CancellationToken;
use units::{OrderId, Timestamp};

use super::{CreateError, Merchant, NewsError, PaidNews, TopUps};
use crate::{
    channel::{ChannelError, Trade, TradeState},
    ledger::{Body, CreditSource, Order, OrderState},
    store::SubmitError,
};

/// An order is asked for this long after it was made known, then after twice, then four times as long, ...
const FIRST_QUERY: Duration = Duration::from_secs(5);
/// ... but never less often than this.
const SLOWEST_QUERY: Duration = Duration::from_secs(20);
/// If the store cannot be read, it is tried again after this.
const AFTER_TROUBLE: Duration = Duration::from_secs(5);

/// What one query came to, for metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueryReport {
    /// It credited this order.
    Credited(Box<Order>),
    /// It found this order closed.
    Closed(Box<Order>),
    /// It found a payment that does not agree with its order.
    Quarantined(Box<Order>),
    /// It found nothing new.
    Nothing,
    /// WeChat Pay gave no clear answer.
    Failed,
}

impl TopUps {
    /// Watches every unpaid order until `stop`.
    pub async fn watch(&self, stop: CancellationToken) {
        let mut rounds: HashMap<OrderId, Round> = HashMap::new();
        loop {
            let next = match self.pass(&mut rounds).await {
                Ok(next) => next,
                Err(error) => {
                    tracing::warn!(%error, "unpaid orders cannot be read");
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

    /// Asks for every order whose turn it is; when the next one's turn comes.
    async fn pass(&self, rounds: &mut HashMap<OrderId, Round>) -> Result<Option<Timestamp>, SubmitError> {
        let orders = self.store.unpaid_orders().await?;
        let now = self.clock.now();
        rounds.retain(|id, _| orders.iter().any(|order| order.id == *id));
        for order in orders {
            let round = rounds.entry(order.id).or_insert_with(|| Round::first(&order));
            if round.due <= now {
                *round = round.next(&order, now);
                let report = self.check(&order).await;
                self.observer.queried(&report);
            }
        }
        Ok(rounds.values().map(|round| round.due).min())
    }

    /// Asks WeChat Pay about one order now and carries out what follows.
    pub async fn check(&self, order: &Order) -> QueryReport {
        let Some(merchant) = self.merchants.get(&order.merchant) else { return QueryReport::Failed };
        match merchant.query(order).await {
            Ok(trade) if trade.state.was_paid() => self.found_paid(order, merchant, trade).await,
            Ok(trade) if matches!(trade.state, TradeState::Closed | TradeState::Revoked) => {
                self.closed(order, "query").await
            }
            Ok(_) if order.expires_at <= self.clock.now() => self.close(order).await,
            Ok(_) => QueryReport::Nothing,
            // It never arrived there; once it has expired it never will.
            Err(ChannelError::NotFound { .. }) if order.expires_at <= self.clock.now() => {
                self.closed(order, "query").await
            }
            Err(ChannelError::NotFound { .. }) => QueryReport::Nothing,
            Err(error) => trouble(order, &error),
        }
    }

    /// Closes an order because its customer no longer wants it; that it was asked for stands in its timeline.
    pub async fn cancel(&self, order: &Order) -> QueryReport {
        let noted = Body::OrderNoted {
            order: order.id,
            event: "close_requested".to_owned(),
            source: "api".to_owned(),
            detail: None,
        };
        match self.step(order.id, noted).await {
            Ok(order) => self.close(&order).await,
            Err(error) => trouble(order, &error),
        }
    }

    /// The payer says to have paid: noted once, and WeChat Pay is asked at once.
    pub async fn claimed(&self, order: &Order) -> QueryReport {
        if !order.timeline.iter().any(|step| step.event == "claimed") {
            let noted = Body::OrderNoted {
                order: order.id,
                event: "claimed".to_owned(),
                source: "api".to_owned(),
                detail: None,
            };
            if let Err(error) = self.step(order.id, noted).await {
                return trouble(order, &error);
            }
        }
        self.check(order).await
    }

    /// Closes an order nobody paid. A payment may win the race: closing is followed by a last look.
    ///
    /// The answer [`QueryReport::Nothing`] means that it is not settled yet; the watch goes on.
    pub async fn close(&self, order: &Order) -> QueryReport {
        let Some(merchant) = self.merchants.get(&order.merchant) else { return QueryReport::Failed };
        match merchant.close(order).await {
            Ok(()) | Err(ChannelError::AlreadyPaid { .. } | ChannelError::NotFound { .. }) => {}
            Err(error) => return trouble(order, &error),
        }
        match merchant.query(order).await {
            Ok(trade) if trade.state.was_paid() => self.found_paid(order, merchant, trade).await,
            Ok(trade) if matches!(trade.state, TradeState::Closed | TradeState::Revoked) => {
                self.closed(order, "close").await
            }
            Ok(_) => QueryReport::Nothing,
            Err(ChannelError::NotFound { .. }) => self.closed(order, "close").await,
            Err(error) => trouble(order, &error),
        }
    }

    async fn found_paid(&self, order: &Order, merchant: &Merchant, trade: Trade) -> QueryReport {
        match self.paid(merchant, trade, CreditSource::Query, None).await {
            Ok(PaidNews::Credited(order)) => QueryReport::Credited(order),
            Ok(PaidNews::Quarantined(order)) => QueryReport::Quarantined(order),
            Ok(PaidNews::Duplicate(_)) => QueryReport::Nothing,
            Err(error) => trouble(order, &error),
        }
    }

    async fn closed(&self, order: &Order, source: &str) -> QueryReport {
        let body = Body::OrderClosed { order: order.id, source: source.to_owned() };
        match self.step(order.id, body).await {
            Ok(order) if order.state == OrderState::Closed => QueryReport::Closed(Box::new(order)),
            Ok(_) => QueryReport::Nothing,
            Err(CreateError::Store(error)) => trouble(order, &NewsError::Store(error)),
            Err(error) => trouble(order, &error),
        }
    }
}

fn trouble(order: &Order, error: &dyn std::error::Error) -> QueryReport {
    tracing::warn!(order = %order.id, %error, "an order query led to nothing");
    QueryReport::Failed
}

/// When an order is asked for next, and how long the pause was.
#[derive(Debug, Clone, Copy)]
struct Round {
    due: Timestamp,
    pause: Duration,
}

impl Round {
    /// A new order is given time to be paid; one found at the start is asked for at once.
    fn first(order: &Order) -> Self {
        Self { due: order.created_at.after(FIRST_QUERY), pause: FIRST_QUERY }
    }

    fn next(self, order: &Order, now: Timestamp) -> Self {
        let pause = (self.pause * 2).min(SLOWEST_QUERY);
        let due = now.after(pause);
        // The end of an order is looked at on time.
        let due = if order.expires_at > now { due.min(order.expires_at) } else { due };
        Self { due, pause }
    }
}
