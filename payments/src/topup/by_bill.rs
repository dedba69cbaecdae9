//! What a bill says of an order is asked for once more before anything follows from it.

use std::sync::Arc;

use super::{Merchant, NewsError, PaidNews, TopUps};
use crate::{
    channel::{ChannelError, RefundReport, Trade},
    ledger::{CreditSource, Order},
    store::SubmitError,
};

/// What asking after an order came to that a bill has as paid.
#[derive(Debug)]
pub(crate) enum Confirmed {
    /// It is credited now.
    Credited(Box<Order>),
    /// It had been credited meanwhile.
    Known,
    /// It does not agree with its order: a person decides.
    PutAside,
    /// The channel says that it was not paid, in its own word for it.
    Denied(String),
    /// It could not be asked, or not be written down: later.
    Unclear(String),
}

/// Why it is not known what was paid.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The channel gave no clear answer.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// The ledger cannot be reached.
    #[error(transparent)]
    Store(#[from] SubmitError),
}

impl TopUps {
    /// Asks after an order that the bill has as paid, and credits it if the channel confirms that.
    pub(crate) async fn confirm(&self, order: &Order) -> Confirmed {
        let Some(merchant) = self.merchants.get(&order.merchant) else {
            return Confirmed::Unclear(format!("there is no merchant `{}` any more", order.merchant));
        };
        let trade = match merchant.query(order).await {
            Ok(trade) if trade.state.was_paid() => trade,
            Ok(trade) => return Confirmed::Denied(trade.state.as_str().to_owned()),
            Err(ChannelError::NotFound { code, .. }) => return Confirmed::Denied(code),
            Err(error) => return Confirmed::Unclear(error.to_string()),
        };
        match self.paid(&merchant, trade, CreditSource::Bill, None).await {
            Ok(PaidNews::Credited(order)) => Confirmed::Credited(order),
            Ok(PaidNews::Duplicate(_)) => Confirmed::Known,
            Ok(PaidNews::Quarantined(_) | PaidNews::StillQuarantined(_)) => Confirmed::PutAside,
            Err(NewsError::NotPaid { state, .. }) => Confirmed::Denied(state),
            Err(error) => Confirmed::Unclear(error.to_string()),
        }
    }

    /// Asks once more what was paid for an order, before a person decides about it: what the channel says now is what is put
    /// aside.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn ask_before_review(&self, order: &Order) -> Result<(), AskError> {
        let merchant = self.merchant_of(order)?;
        let trade = match merchant.query(order).await {
            Ok(trade) if trade.state.was_paid() => trade,
            Ok(_) | Err(ChannelError::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        match self.paid(&merchant, trade, CreditSource::Query, None).await {
            Err(NewsError::Store(error)) => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Asks after an order that we take for paid and the bill does not have.
    pub(crate) async fn asked_again(&self, order: &Order) -> Result<Trade, ChannelError> {
        self.merchant_of(order)?.query(order).await
    }

    /// Asks after a refund that the bill has and we do not.
    pub(crate) async fn foreign_refund(
        &self,
        order: &Order,
        out_refund_no: &str,
    ) -> Result<RefundReport, ChannelError> {
        self.merchant_of(order)?.query_refund(order, out_refund_no).await
    }

    fn merchant_of(&self, order: &Order) -> Result<Arc<Merchant>, ChannelError> {
        self.merchants.get(&order.merchant).ok_or_else(|| ChannelError::Misconfigured {
            code: "NO_MERCHANT".to_owned(),
            message: format!("there is no merchant `{}` any more", order.merchant),
            request_id: None,
        })
    }
}
