//! What people enter by hand, and what the bill brings.

use serde::{Deserialize, Serialize};
use units::{AccountId, Fen, OrderId, RefundBatchId, RefundId};

use super::{Asset, LineRefund, entry::words};

/// A correction of a balance. Its key is `adj:{ticket}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adjustment {
    /// Whose.
    pub account: AccountId,
    /// Of what.
    pub asset: Asset,
    /// How much more, or less, in the asset's unit.
    pub amount: i64,
    /// The ticket that asks for it.
    pub ticket: String,
}

impl Adjustment {
    /// The lot that more of something comes in.
    pub(crate) fn lot(&self) -> String {
        format!("adj:{}", self.ticket)
    }
}

words! {
    /// What settles a debt.
    DebtSource {
        /// Money the account paid since.
        Balance = "balance",
        /// We let it go.
        Adjustment = "adjustment",
    }
}

/// A refund that was not ours: found in the bill, started in WeChat Pay's own console. Its key is `xr:{refund_id}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalRefund {
    /// WeChat Pay's number of it.
    pub refund_id: String,
    /// Of which payment.
    pub order: OrderId,
    /// Whose.
    pub account: AccountId,
    /// The balance that payment filled.
    pub asset: Asset,
    /// How much.
    pub amount: Fen,
}

/// Money that a person paid back outside the channel, which no longer takes the payment's refunds. Its key is
/// `payout:{ticket}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManualPayout {
    /// Of which payment.
    pub order: OrderId,
    /// Whose.
    pub account: AccountId,
    /// The balance that payment filled.
    pub asset: Asset,
    /// How much.
    pub amount: Fen,
    /// The ticket that asks for it.
    pub ticket: String,
    /// What shows that it was paid: a bank's reference.
    pub evidence: String,
}

/// A wish to give back what was paid for goods, line by line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoodsRefund {
    /// Its id.
    pub batch: RefundBatchId,
    /// Its item's id.
    pub item: RefundId,
    /// The merchant.
    pub account: AccountId,
    /// Of which order.
    pub order: OrderId,
    /// How much of which line.
    pub lines: Vec<LineRefund>,
    /// Shown to the payer.
    pub reason: Option<String>,
}
