//! What follows from a command? Rows before, rows after; or a refusal that changes nothing.

mod account;
mod adjust;
mod bill_day;
mod bonus;
mod budget;
mod check;
mod correct;
mod credit;
mod debt;
mod external;
mod fx;
mod gate;
mod goods;
mod grant;
mod hold;
mod order;
mod package;
mod pay;
mod prices;
mod promo;
mod refund;
mod refund_item;
mod review;
mod settle;
mod standing;

pub use self::{
    fx::{FxRefusal, is_near},
    prices::PriceRefusal,
};

use serde::{Deserialize, Serialize};
use units::{
    AccountId, Fen, KeyId, NanoCny, OrderId, Overflow, RefundBatchId, RefundId, RequestId, Timestamp,
};

use super::{
    Account, Asset, BillDay, Body, Book, Budget, Command, DifferenceState, Entry, EntryKind, FxRate, Gate,
    Grant, GrantBlock, Hold, Lot, LotClass, Order, OrderState, OverBudget, PlanError, PriceList,
    PriceVersion, RefundBatch, RefundBatchState, RefundItem, RefundItemState, RowOp, Rows, SuspenseState,
    Wallet,
};

/// What a command leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The rows as they shall stand, in the order they came about.
    pub ops: Vec<RowOp>,
    /// What the caller is told.
    pub reply: Reply,
}

/// What the caller of a command is told; stored with it, so that a repeat is told the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Done; there is nothing more to say.
    Done,
    /// It had been done before by another way; nothing changed.
    Already,
    /// The account.
    Account(Box<Account>),
    /// The hold as it stands now.
    Hold(Box<Hold>),
    /// The order as it stands now.
    Order {
        /// The order.
        order: Box<Order>,
        /// What this command did to it.
        step: OrderStep,
    },
    /// The request to refund, reserved.
    Refund {
        /// The request.
        batch: Box<RefundBatch>,
        /// Its items.
        items: Vec<RefundItem>,
    },
    /// The refund item as it stands now.
    Item(Box<RefundItem>),
    /// The budget as it stands now.
    Budget(Box<Budget>),
    /// The temporary grant as it stands now.
    Grant(Box<Grant>),
    /// The lot as it stands now.
    Lot(Box<Lot>),
    /// The gate as it stands now.
    Gate(Box<Gate>),
    /// The price list as it stands now.
    PriceList(Box<PriceList>),
    /// The version that was published.
    PriceVersion(Box<PriceVersion>),
    /// The rate that was written down.
    FxRate(Box<FxRate>),
    /// The day of a merchant number as it stands now.
    BillDay(Box<BillDay>),
}

/// What a command did to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrderStep {
    /// Moved it on.
    Moved,
    /// Nothing: it was there already.
    Unchanged,
    /// Credited its payment.
    Credited,
    /// Found a payment that does not agree with it; nothing was credited.
    Quarantined,
    /// Nothing: this very payment was put aside before.
    StillQuarantined,
}

/// Why a command changes nothing. A business answer: trying again will not help until something else changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[allow(missing_docs, reason = "each variant's message says what it is; the fields are the figures in it")]
pub enum Refusal {
    #[error("no account {0}")]
    UnknownAccount(AccountId),
    #[error("account {0} exists already")]
    AccountExists(AccountId),
    #[error("account {0} is stopped")]
    AccountStopped(AccountId),
    #[error("no key {0}")]
    UnknownKey(KeyId),
    #[error("the key exists already")]
    KeyExists,
    #[error("the account's money is not of the same kind (live or demo)")]
    LivemodeMismatch,
    #[error("available {available}, required {required} of {asset}")]
    Insufficient { asset: Asset, available: i64, required: i64 },
    #[error("the amount must be positive")]
    NotPositive,
    #[error("the amount is out of range")]
    OutOfRange,
    #[error("no hold {0}")]
    UnknownHold(RequestId),
    #[error("hold {0} exists already with another content")]
    HoldExists(RequestId),
    #[error("hold {0} has ended")]
    HoldEnded(RequestId),
    #[error("hold {0} is an orphan: only recovery ends it")]
    HoldOrphaned(RequestId),
    #[error("hold {0} is open: only the run that opened it ends it")]
    HoldFenced(RequestId),
    #[error("hold {0} may have been sent upstream: it is not given back as if it were not")]
    HoldDispatched(RequestId),
    #[error("hold {0} still has an owner whose time is not over")]
    NotStranded(RequestId),
    #[error("the quote is incomplete: {0}")]
    QuoteIncomplete(String),
    #[error("the deadline has passed already")]
    DeadlinePassed,
    #[error("tokens of {asset} cannot pay: {what}")]
    LegRefused { asset: Asset, what: String },
    #[error("key {0} is revoked or over")]
    KeyOver(KeyId),
    #[error("{0}")]
    OverBudget(Box<OverBudget>),
    #[error("not allowed: {0}")]
    NotAllowed(String),
    #[error("call {hold}: {left} of {asset} can go back, {asked} were asked for")]
    CorrectionTooMuch { hold: RequestId, asset: Asset, left: i64, asked: i64 },
    #[error("no temporary grant of order {0}")]
    UnknownGrant(OrderId),
    #[error("order {order}: {why}")]
    GrantRefused { order: OrderId, why: GrantBlock },
    #[error("a temporary grant of order {0} is not resolved: nothing is refunded until it is")]
    GrantLive(OrderId),
    #[error("no order {0}")]
    UnknownOrder(OrderId),
    #[error("order {0} exists already")]
    OrderExists(OrderId),
    #[error("order {order} is {state}")]
    OrderState { order: OrderId, state: OrderState },
    #[error("order {order}: {what}")]
    PaymentMismatch { order: OrderId, what: String },
    #[error("nothing can be refunded: {0}")]
    NothingRefundable(String),
    #[error("{refundable} yuan can be refunded, {requested} yuan were asked for")]
    RefundTooMuch { requested: Fen, refundable: Fen },
    #[error("no refund item {0}")]
    UnknownItem(RefundId),
    #[error("refund item {item} is {state}")]
    ItemState { item: RefundId, state: RefundItemState },
    #[error("no refund {0}")]
    UnknownBatch(RefundBatchId),
    #[error("the command's key was used before with another content")]
    KeyReused,
    #[error("`{field}` will not do: {what}")]
    Invalid { field: String, what: String },
    #[error("only an operator may do this")]
    NeedsOperator,
    #[error("`reason` is missing: say why")]
    NeedsReason,
    #[error("`approver` is missing: another operator must agree")]
    NeedsApprover,
    #[error("account {0} is closed")]
    AccountClosed(AccountId),
    #[error("account {account} cannot be closed: {what}")]
    AccountNotEmpty { account: AccountId, what: String },
    #[error("account {account} owes {debt} yuan")]
    InDebt { account: AccountId, debt: NanoCny },
    #[error("account {0} owes nothing")]
    NoDebt(AccountId),
    #[error("the account has {max} unpaid orders, as many as it may")]
    TooManyOpenOrders { max: u32 },
    #[error("the balance would be {balance} yuan, the most is {cap} yuan")]
    WalletCap { cap: NanoCny, balance: NanoCny },
    #[error("no lot {0}")]
    UnknownLot(String),
    #[error("lot {lot} does not end before {}", at.0)]
    NotDue { lot: String, at: Timestamp },
    #[error("no such code")]
    UnknownCode,
    #[error("the code exists already with another content")]
    CodeExists,
    #[error("the code is void")]
    CodeVoid,
    #[error("the code has ended")]
    CodeExpired { until: Timestamp },
    #[error("the code is used up")]
    CodeUsedUp,
    #[error("the account has redeemed a code of {campaign} already")]
    CodeRedeemed { campaign: String },
    #[error("no package {id} of version {version}")]
    UnknownPackage { id: String, version: i64 },
    #[error("package {id} exists in version {version} with another content")]
    PackageExists { id: String, version: i64 },
    #[error("package {id} is not sold any more in version {version}")]
    PackageRetired { id: String, version: i64 },
    #[error("no payment {0} was put aside for this order")]
    UnknownPayment(String),
    #[error("payment {payment} is {state}")]
    PaymentState { payment: String, state: SuspenseState },
    #[error("refund {batch} is {state}")]
    BatchState { batch: RefundBatchId, state: RefundBatchState },
    #[error("no difference {0}")]
    UnknownDifference(String),
    #[error("difference {difference} is {state}")]
    DifferenceState { difference: String, state: DifferenceState },
    #[error("merchant {mchid} was not compared with a bill of {day}")]
    UnknownBillDay { mchid: String, day: String },
    #[error("{day} of merchant {mchid} has {open} open differences: resolve them first")]
    BillDayOpen { mchid: String, day: String, open: i64 },
    #[error("the decision does not add up: {0}")]
    DoesNotAddUp(String),
    #[error(transparent)]
    Prices(PriceRefusal),
    #[error(transparent)]
    Fx(FxRefusal),
}

impl Refusal {
    /// False where only who asked, and how, was not right: the same key may ask again, properly. Any other refusal is
    /// the answer to its key for ever.
    pub const fn settles_the_key(&self) -> bool {
        !matches!(
            self,
            Self::NeedsOperator | Self::NeedsReason | Self::NeedsApprover | Self::TooManyOpenOrders { .. }
        )
    }
}

impl From<Overflow> for Refusal {
    fn from(_: Overflow) -> Self {
        Self::OutOfRange
    }
}

impl From<PlanError> for Refusal {
    fn from(error: PlanError) -> Self {
        match error {
            PlanError::Zero => Self::NotPositive,
            PlanError::TooMuch { requested, refundable } => Self::RefundTooMuch { requested, refundable },
        }
    }
}

/// Decides one command against the rows it named. Pure.
///
/// # Errors
/// A [`Refusal`]; nothing changes then.
pub fn decide(rows: &Rows, command: &Command) -> Result<Decision, Refusal> {
    let mut draft = Draft { rows, command, ops: Vec::new() };
    let reply = match &command.body {
        Body::OpenAccount { id, livemode, name, role } => draft.open_account(*id, *livemode, name, *role)?,
        Body::AddKey(key) => draft.add_key(key)?,
        Body::RevokeKey { account, key } => draft.revoke_key(*account, *key)?,
        Body::GrantPromo { account, amount, expires_at } => {
            draft.grant_promo(*account, *amount, *expires_at)?
        }
        Body::Hold(new) => draft.hold(new)?,
        Body::Dispatch { id, account } => draft.dispatch(*id, *account)?,
        Body::Extend { id, account, key, to } => draft.extend(*id, *account, *key, *to)?,
        Body::Orphan { id, account, why } => draft.orphan(*id, *account, *why)?,
        Body::Settle { .. } => draft.settle()?,
        Body::CorrectCharge { .. } => draft.correct_charge()?,
        Body::SetBudget { account, key, period, limit } => {
            draft.set_budget(*account, *key, *period, *limit)?
        }
        Body::OpenGrant { .. } => draft.open_grant()?,
        Body::SweepGrant { order, account, granted } => draft.sweep_grant(*order, *account, *granted)?,
        Body::CreateOrder(order) => draft.create_order(order)?,
        Body::OrderPrepaid { order, prepay, request_id } => {
            draft.order_prepaid(*order, prepay, request_id.as_deref())?
        }
        Body::OrderFailed { order, detail } => draft.order_failed(*order, detail)?,
        Body::OrderPaid { .. } => draft.order_paid()?,
        Body::OrderClosed { order, source } => draft.order_closed(*order, source)?,
        Body::OrderNoted { order, event, source, detail } => {
            draft.order_noted(*order, event, source, detail.as_deref())?
        }
        Body::RequestRefund { .. } => draft.request_refund()?,
        Body::SetGate(change) => draft.set_gate(change)?,
        Body::ApproveRefund { batch, account } => draft.approve_refund(*batch, *account)?,
        Body::RefundSending { item, batch } => draft.refund_sending(*item, *batch)?,
        Body::RefundReported { .. } => draft.refund_reported()?,
        Body::CancelRefund { batch, account, asset, orders, payments } => {
            draft.cancel_refund(*batch, *account, asset, orders, payments)?
        }
        Body::RefundGoods(wish) => draft.refund_goods(wish)?,
        Body::SweepBonus { account, order } => draft.sweep_bonus(*account, *order)?,
        Body::FileNotice(strange) => draft.file_strange(strange)?,
        Body::ResolveReview(about) => draft.resolve_review(about)?,
        Body::ExtRefund(found) => draft.ext_refund(found)?,
        Body::SettleDebt { account, from } => draft.settle_debt(*account, *from)?,
        Body::PostFee { bill_row, amount } => draft.post_fee(bill_row, *amount)?,
        Body::TakeBillDay { mchid, day, until } => draft.take_bill_day(mchid, day, *until)?,
        Body::RecordBillDay(compared) => draft.record_bill_day(compared)?,
        Body::ResolveDifference { difference, mchid, day, cause, evidence } => {
            draft.resolve_difference((mchid, day, difference), *cause, evidence.as_deref())?
        }
        Body::SignOffBillDay { mchid, day } => draft.sign_off_bill_day(mchid, day)?,
        Body::ManualPayout(paid) => draft.manual_payout(paid)?,
        Body::ExpireLot { account, asset, lot, expired } => {
            draft.expire_lot(*account, asset, lot, *expired)?
        }
        Body::CreateCode(new) => draft.create_code(new)?,
        Body::RedeemCode { account, digest, campaign } => draft.redeem_code(*account, digest, campaign)?,
        Body::VoidCode { digest } => draft.void_code(digest)?,
        Body::Adjust(change) => draft.adjust(change)?,
        Body::StopAccount { account } => draft.stop_account(*account)?,
        Body::ResumeAccount { account } => draft.resume_account(*account)?,
        Body::FlagAccount { account, flagged } => draft.flag_account(*account, *flagged)?,
        Body::CloseAccount { account } => draft.close_account(*account)?,
        Body::DefinePackage(offer) => draft.define_package(offer)?,
        Body::RetirePackage { id, version } => draft.retire_package(id, *version)?,
        Body::SavePriceDraft { list, document } => draft.save_price_draft(list, document)?,
        Body::DeletePriceDraft { list } => draft.delete_price_draft(list)?,
        Body::PublishPrices { list, source_hash, valid_from, pairs } => {
            draft.publish_prices(list, source_hash, *valid_from, pairs)?
        }
        Body::AssignPriceList { account, list } => draft.assign_price_list(*account, list.as_deref())?,
        Body::AcceptRate(rate) => draft.accept_rate(rate)?,
        Body::PinRate { pair, rate_micro, until } => draft.pin_rate(pair, *rate_micro, *until)?,
        Body::PruneRates { pair, to, gone } => draft.prune_rates(pair, *to, gone)?,
        Body::UnpinRate { pair } => draft.unpin_rate(pair)?,
    };
    Ok(Decision { ops: draft.ops, reply })
}

/// A decision in the making: the rows as they were, and what becomes of them. A row that a decision changes twice is
/// read from `ops` the second time, so each helper hands the changed row on instead.
struct Draft<'a> {
    rows: &'a Rows,
    command: &'a Command,
    ops: Vec<RowOp>,
}

impl Draft<'_> {
    fn put_wallet(&mut self, wallet: Wallet) {
        self.ops.push(RowOp::Wallet(wallet));
    }

    /// Writes one line of the journal. An amount of zero is no movement and leaves no line.
    fn post(&mut self, posting: Posting<'_>) {
        if posting.amount == 0 {
            return;
        }
        self.ops.push(RowOp::Entry(Entry {
            tx: self.command.key.clone(),
            kind: posting.kind,
            debit: posting.debit,
            credit: posting.credit,
            asset: posting.asset.clone(),
            amount: posting.amount,
            account: posting.account,
            lot: posting.lot.map(str::to_owned),
            hold: posting.hold,
            order: posting.order,
            at: self.command.at,
            n: 0,
            balance: 0,
        }));
    }
}

/// What [`Draft::post`] is told.
struct Posting<'a> {
    kind: EntryKind,
    debit: Book,
    credit: Book,
    asset: &'a Asset,
    amount: i64,
    account: Option<AccountId>,
    lot: Option<&'a str>,
    hold: Option<RequestId>,
    order: Option<OrderId>,
}

/// The customer's book a lot stands in.
const fn book_of(class: LotClass) -> Book {
    match class {
        LotClass::Promo => Book::WalletPromo,
        LotClass::Tokens => Book::WalletTokens,
        LotClass::Paid => Book::WalletPaid,
        LotClass::Bonus => Book::WalletBonus,
        LotClass::Temp => Book::WalletTemp,
    }
}

/// A lot as it comes in.
fn new_lot(id: String, account: AccountId, asset: Asset, class: LotClass, orig: i64, at: Timestamp) -> Lot {
    Lot {
        id,
        account,
        asset,
        class,
        order: None,
        orig,
        rem: orig,
        consumed: 0,
        refunding: 0,
        refunded: 0,
        expired: 0,
        voided: 0,
        paid_fen: Fen::ZERO,
        refunded_fen: Fen::ZERO,
        refunds: 0,
        created_at: at,
        expires_at: None,
    }
}

/// The nano-yuan of an amount that must be positive.
fn positive(amount: NanoCny) -> Result<i64, Refusal> {
    if amount.get() > 0 { Ok(amount.get()) } else { Err(Refusal::NotPositive) }
}
