//! News of a payment, by notification or query: both take this path.

use units::{Fen, NanoCny, OrderId};

use super::{Merchant, TopUps};
use crate::{
    channel::Trade,
    ledger::{
        Actor, Body, Command, CreditSource, DebtSource, Order, OrderStep, Refusal, Reply, Role, StrangeNotice,
    },
    store::SubmitError,
};

/// What the news did. In each case it is on disk and may be acknowledged, except where it was quarantined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PaidNews {
    /// Credited the order, now.
    Credited(Box<Order>),
    /// The order was credited before.
    Duplicate(Box<Order>),
    /// The news does not agree with the order: a person decides; nothing was credited.
    Quarantined(Box<Order>),
    /// The same, which was found before: whoever has to know was told.
    StillQuarantined(Box<Order>),
}

/// Why the news did nothing.
#[derive(Debug, thiserror::Error)]
pub enum NewsError {
    /// We have no such order.
    #[error("no order {0}")]
    UnknownOrder(String),
    /// It does not say that anything was paid.
    #[error("order {out_trade_no} is {state}, not paid")]
    NotPaid {
        /// Which.
        out_trade_no: String,
        /// What it says.
        state: String,
    },
    /// It says "paid" without the number of the payment.
    #[error("order {0}: paid, but without a payment number")]
    NoTransaction(String),
    /// The ledger cannot be reached.
    #[error(transparent)]
    Store(#[from] SubmitError),
}

impl TopUps {
    /// Takes in the news that a trade was paid. `event` is the notification's id, if it was one.
    ///
    /// # Errors
    /// [`NewsError`]; nothing was credited.
    pub async fn paid(
        &self,
        merchant: &Merchant,
        trade: Trade,
        source: CreditSource,
        event: Option<String>,
    ) -> Result<PaidNews, NewsError> {
        let number = trade.out_trade_no.clone();
        let unknown = || NewsError::UnknownOrder(number.clone());
        let id = OrderId::from_bare(&number).map_err(|_| unknown())?;
        let order = self.store.order(id).await?.ok_or_else(unknown)?;
        if order.merchant != merchant.name {
            return Err(unknown());
        }
        if !trade.state.was_paid() {
            let state = trade.state.as_str().to_owned();
            return Err(NewsError::NotPaid { out_trade_no: number, state });
        }
        let transaction_id = trade.transaction_id.ok_or_else(|| NewsError::NoTransaction(number.clone()))?;
        let command = Command {
            key: format!("pay:{}:{transaction_id}", trade.mchid),
            actor: Actor { id: merchant.name.clone(), role: Role::Channel },
            reason: None,
            approver: None,
            at: self.clock.now(),
            body: Body::OrderPaid {
                order: id,
                account: order.account,
                asset: order.kind.asset(),
                transaction_id,
                // No amount is no agreement: it is compared like any other.
                total: trade.total.unwrap_or(Fen::ZERO),
                currency: trade.currency,
                mchid: trade.mchid,
                appid: trade.appid,
                payer: trade.payer,
                success_time: trade.success_time,
                source,
                event,
            },
        };
        match self.store.submit(command).await? {
            Reply::Order { order, step: OrderStep::StillQuarantined } => {
                Ok(PaidNews::StillQuarantined(order))
            }
            Reply::Order { order, step: OrderStep::Credited } => {
                self.settle_debt(&order).await?;
                Ok(PaidNews::Credited(order))
            }
            Reply::Order { order, step: OrderStep::Quarantined } => Ok(PaidNews::Quarantined(order)),
            Reply::Order { order, .. } => Ok(PaidNews::Duplicate(order)),
            _ => Err(NewsError::Store(SubmitError::Refused(Refusal::UnknownOrder(id)))),
        }
    }

    /// Writes down a genuine notification that is about nothing of ours. True if it was not there yet.
    ///
    /// # Errors
    /// [`SubmitError`]: then it is not on disk.
    pub async fn file(
        &self,
        merchant: &Merchant,
        event: &str,
        subject: &str,
        detail: &str,
    ) -> Result<bool, SubmitError> {
        let strange = StrangeNotice {
            id: event.to_owned(),
            merchant: merchant.name.clone(),
            subject: subject.to_owned(),
            detail: detail.to_owned(),
        };
        let command = Command {
            key: format!("notice:{event}"),
            actor: Actor { id: merchant.name.clone(), role: Role::Channel },
            reason: None,
            approver: None,
            at: self.clock.now(),
            body: Body::FileNotice(strange),
        };
        Ok(matches!(self.store.submit(command).await?, Reply::Done))
    }

    /// A new payment first settles what its account owes.
    async fn settle_debt(&self, order: &Order) -> Result<(), SubmitError> {
        let account = self.store.account(order.account).await?;
        if account.is_none_or(|account| account.debt == NanoCny::ZERO) {
            return Ok(());
        }
        let command = Command {
            key: format!("debt:{}", order.id),
            actor: Actor::system("topup"),
            reason: None,
            approver: None,
            at: self.clock.now(),
            body: Body::SettleDebt { account: order.account, from: DebtSource::Balance },
        };
        match self.store.submit(command).await {
            Ok(_) | Err(SubmitError::Refused(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
