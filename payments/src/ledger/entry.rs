//! One movement between two books: debit, credit, one positive amount, so that it cannot fail to balance.

use serde::{Deserialize, Serialize};
use units::{AccountId, OrderId, RequestId, Timestamp};

use super::Asset;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name { $($(#[$vdoc])* #[serde(rename = $word)] $variant),* }

        impl $name {
            /// The word as it stands in rows and answers.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }

            /// Every one there is.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = String;

            fn from_str(s: &str) -> Result<Self, String> {
                match s {
                    $($word => Ok(Self::$variant),)*
                    other => Err(format!(concat!("`{}` is no ", stringify!($name)), other)),
                }
            }
        }
    };
}
pub(crate) use words;

words! {
    /// A book money can stand in: the customer's side (`w:`) or the house's.
    Book {
        /// Paid by the customer.
        WalletPaid = "w:paid",
        /// Given, tied to nothing.
        WalletPromo = "w:promo",
        /// Given with a payment.
        WalletBonus = "w:bonus",
        /// Tokens bought.
        WalletTokens = "w:tokens",
        /// Lent while a payment is under way.
        WalletTemp = "w:temp",
        /// Spent, and found refunded in WeChat Pay's bill: owed to us.
        WalletDebt = "w:debt",
        /// Set aside for a refund under way.
        WalletRefunding = "w:refunding",
        /// What WeChat Pay holds for us.
        WechatClearing = "wx:clearing",
        /// Earned.
        Revenue = "revenue",
        /// What promotions cost.
        PromoCost = "promo_cost",
        /// Tokens issued against payments, in thousandths of a token.
        TokenIssue = "token_issue",
        /// Payments for tokens not used yet, in yuan.
        TokenLiability = "token_liability",
        /// Used beyond a hold and not payable.
        OverrunLoss = "overrun_loss",
        /// Our own calls.
        HouseUsage = "house_usage",
        /// Payments that agree with no order.
        Suspense = "suspense",
        /// Corrections by hand.
        Adjust = "adjust",
        /// Lent to payers whose payment is awaited.
        TempReceivable = "temp_receivable",
        /// Lent, used and never paid.
        BadDebt = "bad_debt",
        /// What WeChat Pay keeps for itself.
        WechatFee = "wx:fee",
        /// Goods sold for a merchant.
        Sales = "sales",
        /// Less than a fen, left when an account was closed.
        Rounding = "rounding",
        /// Paid back by hand, from elsewhere than WeChat Pay.
        Payout = "payout",
    }
}

impl Book {
    /// True for the books that make up a balance: what lies in its lots and is not on its way out.
    pub const fn is_spendable(self) -> bool {
        matches!(
            self,
            Self::WalletPaid | Self::WalletPromo | Self::WalletBonus | Self::WalletTokens | Self::WalletTemp
        )
    }
}

words! {
    /// Why an entry was made.
    EntryKind {
        /// A payment arrived.
        PayCredit = "pay_credit",
        /// A promotion.
        PromoGrant = "promo_grant",
        /// Tokens credited for a payment.
        TokenGrant = "token_grant",
        /// A call was used.
        Settle = "settle",
        /// A call used more than was held and than the account has.
        OverrunWriteoff = "overrun_writeoff",
        /// Tokens used: the payment behind them is earned.
        TokenRevenue = "token_revenue",
        /// Money leaves the lots for a refund.
        RefundReserve = "refund_reserve",
        /// The refund reached the payer.
        RefundDone = "refund_done",
        /// The refund did not happen.
        RefundUndo = "refund_undo",
        /// A payment that agrees with no order.
        Suspense = "suspense",
        /// A correction by hand.
        Adjust = "adjust",
        /// Lent while a payment is under way.
        TempGrant = "temp_grant",
        /// The payment came: what was lent went back.
        TempConvert = "temp_convert",
        /// What was lent and not used was taken back.
        TempRevoke = "temp_revoke",
        /// What was lent and used was never paid; the other way round where it was paid after all.
        TempWriteoff = "temp_writeoff",
        /// A wrong charge went back to where it was taken from.
        ChargeCorrection = "charge_correction",
        /// Given with a payment.
        BonusGrant = "bonus_grant",
        /// Part of a bonus, set aside while its payment is being refunded.
        BonusFreeze = "bonus_freeze",
        /// Part of a bonus, taken back: its payment was refunded.
        BonusVoid = "bonus_void",
        /// Part of a bonus that was used before the bill told of a refund of its payment: charged as a debt.
        BonusOwed = "bonus_owed",
        /// Part of a bonus, given back: its payment was not refunded after all.
        BonusUnfreeze = "bonus_unfreeze",
        /// A promotion ended.
        Expire = "expire",
        /// A refund found in WeChat Pay's bill.
        ExtRefund = "ext_refund",
        /// What was owed is settled.
        DebtSettled = "debt_settled",
        /// What WeChat Pay keeps, as its bill says.
        Fee = "fee",
        /// Paid back by hand.
        ManualPayout = "manual_payout",
        /// What was left when an account was closed.
        CloseOut = "close_out",
    }
}

/// One line of the journal. Append-only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The key of the command that made it.
    pub tx: String,
    /// Why.
    pub kind: EntryKind,
    /// Taken from.
    pub debit: Book,
    /// Given to.
    pub credit: Book,
    /// Of what.
    pub asset: Asset,
    /// How much; positive.
    pub amount: i64,
    /// Whose, if a customer is concerned.
    pub account: Option<AccountId>,
    /// Out of or into which lot.
    pub lot: Option<String>,
    /// For which call.
    pub hold: Option<RequestId>,
    /// For which order.
    pub order: Option<OrderId>,
    /// When: never before the line before it.
    pub at: Timestamp,
    /// Its number among the lines of its account and asset, from 1. Given when it is applied.
    pub n: i64,
    /// What the account could spend or set aside of the asset after it. Given when it is applied.
    pub balance: i64,
}

impl Entry {
    /// By how much the line changed what the account could spend or set aside, in the asset's unit.
    pub const fn movement(&self) -> i64 {
        match (self.debit.is_spendable(), self.credit.is_spendable()) {
            (false, true) => self.amount,
            (true, false) => -self.amount,
            _ => 0,
        }
    }
}
