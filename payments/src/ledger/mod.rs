//! Ledger: who owns what?
//!
//! Commands in, row changes out. [`decide`] is pure: it knows no SQL, no clock and no randomness, so the same commands
//! give the same rows on every store. Double entry in nano-yuan (and in thousandths of a token for token balances);
//! what was paid lies in lots, which are used up in a fixed order and refunded by what is left of them.
//!
//! Touches `units` and the pure `prices` only.

mod asset;
mod bill_day;
mod budget;
mod burn;
mod code;
mod command;
mod decide;
mod entry;
mod gate;
mod grant;
mod hands;
mod hold;
mod hold_quote;
mod needs;
mod order;
mod package;
mod pay_by;
mod price_rows;
mod refund;
mod refund_plan;
mod refund_rest;
mod review;
mod rows;
mod terms;
mod tokens;
mod view;

pub use asset::{Asset, UnknownAsset};
pub use bill_day::{
    BillDay, BillDayState, BillDayTaken, BillDifference, BillSource, BillSums, Carried, ComparedDay,
    DIFFERENCES_MAX, DifferenceCause, DifferenceClass, DifferenceResolution, DifferenceState,
    FoundDifference, SignOff,
};
pub use budget::{Budget, BudgetPeriod, BudgetShare, OverBudget, Tally};
pub use burn::{burn_order, pledges};
pub use code::{CreditCode, NewCode};
pub use command::{
    AcceptedRate, Actor, Body, Command, Correction, CreditSource, HoldQuote, NewHold, NewKey, NewOrder,
    RefundNews, Role, SettleEnd, SettledBy, Stranded,
};
pub use decide::{Decision, FxRefusal, OrderStep, PriceRefusal, Refusal, Reply, decide, is_near};
pub use entry::{Book, Entry, EntryKind};
pub use gate::{Gate, GateChange, GateScope, GateState};
pub use grant::{Grant, GrantBlock, GrantCaps, GrantClaim, GrantStanding, GrantState};
pub use hands::{Adjustment, DebtSource, ExternalRefund, GoodsRefund, ManualPayout};
pub use hold::{Hold, HoldState, LEGS_MAX, LotUse, TokenLeg};
pub use order::{CLOSE_REQUESTED, GoodsLine, Order, OrderKind, OrderState, PREPAID_ANEW, TimelineEvent};
pub use package::{Package, PackageOffer};
pub use pay_by::{PayApi, PayBy, PaySign, PayWay, Prepay};
pub use price_rows::{FxNoted, FxPair, FxRate, PriceAssignment, PriceDraft, PriceList, PriceVersion};
pub use refund::{LineRefund, RefundBatch, RefundBatchState, RefundItem, RefundItemState};
pub use refund_plan::{
    BonusShare, PlanError, PlannedItem, Refundable, out_of_channel, plan_refund, refundable,
};
pub use refund_rest::{StayReason, Staying, staying};
pub use review::{Resolution, SuspensePayment, SuspenseState, Verdict};
pub use rows::{Account, AccountRole, ApiKey, Lot, LotClass, Notice, NoticeResult, StrangeNotice, Wallet};
pub use terms::{TokenTerms, Weights};
pub use tokens::{Split, split_charge, weight_milli};
pub use view::{Needs, RowOp, Rows};
