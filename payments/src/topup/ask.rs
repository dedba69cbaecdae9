//! Asking WeChat Pay about one order, and what follows from the answer.

use super::{CreateError, Merchant, NewsError, PaidNews, TopUps, agenda::ends_at};
use crate::{
    channel::{ChannelError, Trade, TradeState},
    ledger::{Body, CLOSE_REQUESTED, CreditSource, Order, OrderState},
};

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
    /// It is awaited no more: nobody was asked.
    Over,
    /// WeChat Pay gave no clear answer.
    Failed,
}

impl TopUps {
    /// Asks WeChat Pay about one order now and carries out what follows.
    pub async fn check(&self, order: &Order) -> QueryReport {
        let Some(merchant) = self.merchants.get(&order.merchant) else { return QueryReport::Failed };
        match merchant.query(order).await {
            Ok(trade) if trade.state.was_paid() => self.found_paid(order, merchant, trade).await,
            Ok(trade) if matches!(trade.state, TradeState::Closed | TradeState::Revoked) => {
                self.closed(order, "query").await
            }
            Ok(_) if ends_at(order) <= self.clock.now() => self.close(order).await,
            Ok(_) => QueryReport::Nothing,
            // It never arrived there; once it has expired it never will.
            Err(ChannelError::NotFound { .. }) if ends_at(order) <= self.clock.now() => {
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
            event: CLOSE_REQUESTED.to_owned(),
            source: "api".to_owned(),
            detail: None,
        };
        match self.step(order.id, noted).await {
            // The watch closes it when it may be closed.
            Ok(order) if ends_at(&order) > self.clock.now() => {
                self.agenda.learn(&order, self.clock.now());
                self.fresh.notify_one();
                QueryReport::Nothing
            }
            Ok(order) => self.close(&order).await,
            Err(error) => trouble(order, &error),
        }
    }

    /// The payer says to have paid: noted once, and WeChat Pay is asked at once, unless it just was. From now on it is asked
    /// more often.
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
        self.agenda.waits(order, self.clock.now());
        if !self.agenda.may_ask(order, self.clock.now()) {
            self.fresh.notify_one();
            return QueryReport::Nothing;
        }
        let report = self.check(order).await;
        self.answered(order.id, &report);
        report
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
            Ok(PaidNews::StillQuarantined(_)) => QueryReport::Over,
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
