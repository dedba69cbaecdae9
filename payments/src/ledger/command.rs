//! What may be asked of the ledger. Every command has a key; the same key with the same content is harmless, with
//! another content it is refused.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use units::{
    AccountId, Fen, KeyId, Livemode, NanoCny, OrderId, Percent, Rates, RefundBatchId, RefundId, RequestId,
    Timestamp, Tokens, Usage,
};

use super::{
    AccountRole, Adjustment, ApiKey, Asset, BudgetPeriod, ComparedDay, DebtSource, DifferenceCause,
    ExternalRefund, GateChange, GoodsRefund, GrantCaps, GrantClaim, LotUse, ManualPayout, NewCode, OrderKind,
    PackageOffer, PayBy, Prepay, Resolution, StrangeNotice, TokenLeg, entry::words,
};
use crate::prices::Tier;

words! {
    /// In what capacity somebody acts.
    Role {
        /// The account's own key.
        Customer = "customer",
        /// A person with the admin token.
        Operator = "operator",
        /// This process itself: recovery, queries, price publishing.
        System = "system",
        /// WeChat Pay, by a verified notification.
        Channel = "channel",
    }
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Their id: a key, a person, a part of this program.
    pub id: String,
    /// In what capacity.
    pub role: Role,
}

impl Actor {
    /// A part of this program.
    pub fn system(part: &str) -> Self {
        Self { id: part.to_owned(), role: Role::System }
    }
}

/// A keyed request to change the books.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Unique per intention.
    pub key: String,
    /// Who asks.
    pub actor: Actor,
    /// Why, where a person acts.
    pub reason: Option<String>,
    /// The second person, where two are needed.
    pub approver: Option<Actor>,
    /// When, by the clock of whoever asks.
    pub at: Timestamp,
    /// What.
    pub body: Body,
}

/// The price a hold is reckoned with and settled by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldQuote {
    /// Which version of the price list.
    pub price_version: String,
    /// The FX row behind it, for prices in another currency.
    pub fx_id: Option<String>,
    /// Nano-yuan per token, by class.
    pub rates: Rates,
    /// The prompt's size as reckoned: charged if the process dies and nothing better is known.
    pub input_estimate: Tokens,
    /// The off-peak window that applied when it was quoted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<String>,
    /// The tiers that the prompt may reach; `rates` counts below the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<Tier<Rates>>,
    /// The share of the price that is charged, where the answer comes from a cache: in `rates` and `tiers` it is taken
    /// already, and what bought tokens burn is reckoned by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_percent: Option<Percent>,
}

/// A rate of exchange as a source gave it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AcceptedRate {
    /// Which pair: `USD/CNY` is yuan per dollar.
    pub pair: String,
    /// Yuan per unit, in millionths.
    pub rate_micro: i64,
    /// Who says so.
    pub source: String,
    /// When they observed it, if they say.
    pub observed_at: Option<Timestamp>,
    /// When they were asked.
    pub fetched_at: Timestamp,
    /// Who else says so; needed where it is more than three per cent off the last.
    pub confirmed_by: Option<String>,
}

/// How a hold ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SettleEnd {
    /// Charge this.
    Charge {
        /// What was used.
        usage: Usage,
        /// True when the usage is our reckoning.
        estimated: bool,
        /// Money that may be taken beyond the hold: what admission could still set aside when the call ended. Named
        /// here, so that what the client was told is what the ledger charges.
        extra: NanoCny,
    },
    /// The upstream failed before any token: give everything back.
    Release,
    /// Nothing was sent upstream: give everything back. Refused once something may have been sent.
    NotSent,
}

/// Who ends a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SettledBy {
    /// The run of the process that opened it.
    Owner {
        /// Its epoch.
        epoch: i64,
    },
    /// Recovery, once it is an orphan.
    Recovery,
}

/// Why nobody answers for a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stranded {
    /// The run of the process that opened it is over.
    EpochOver {
        /// Its epoch.
        epoch: i64,
    },
    /// Its deadline has passed.
    Overdue,
}

/// A new hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewHold {
    /// The call.
    pub id: RequestId,
    /// Who pays.
    pub account: AccountId,
    /// With which key.
    pub key: KeyId,
    /// The model asked for.
    pub model: String,
    /// Money.
    pub money: NanoCny,
    /// Tokens, in the order in which they are to be burnt.
    pub legs: Vec<TokenLeg>,
    /// The price.
    pub quote: HoldQuote,
    /// Which run of the process.
    pub epoch: i64,
    /// True if the call goes upstream without waiting for this hold to be on disk.
    pub dispatched: bool,
    /// When it should have ended at the latest.
    pub deadline: Timestamp,
}

/// How much of a charge goes back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Correction {
    /// All that has not gone back yet.
    Whole,
    /// A part of what was taken in one asset.
    Part {
        /// Which.
        asset: Asset,
        /// How much, in the asset's unit.
        amount: i64,
    },
}

/// Where the news of a payment came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CreditSource {
    /// A notification.
    Notify,
    /// An order query.
    Query,
    /// The channel's bill, confirmed by a query.
    Bill,
}

impl CreditSource {
    /// As it stands in timelines and metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Notify => "notify",
            Self::Query => "query",
            Self::Bill => "bill",
        }
    }
}

/// A new API key, without the key.
pub type NewKey = ApiKey;

/// A new order, as frozen before WeChat Pay hears of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewOrder {
    /// Its id.
    pub id: OrderId,
    /// Whose books it moves: who tops up, or the merchant whose goods are sold.
    pub account: AccountId,
    /// What it buys.
    pub kind: OrderKind,
    /// What is to be paid.
    pub amount: Fen,
    /// What is given with the payment; only with yuan.
    pub bonus: NanoCny,
    /// Which configured merchant.
    pub merchant: String,
    /// That merchant's number.
    pub mchid: String,
    /// That merchant's app.
    pub appid: String,
    /// Whether that merchant's money is real.
    pub livemode: Livemode,
    /// How it is put to WeChat Pay.
    #[serde(default, skip_serializing_if = "PayBy::is_unsaid")]
    pub pay_by: Box<PayBy>,
    /// Until when it can be paid.
    pub expires_at: Timestamp,
    /// The account has fewer unpaid orders than this before it; any number where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_max: Option<u32>,
    /// What the caller asked for, in a form of its own: the test for "the same order again", since id, price and end
    /// are chosen anew each time.
    pub request: String,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// Opens an account.
    OpenAccount {
        /// Its id.
        id: AccountId,
        /// Whether its money is real.
        livemode: Livemode,
        /// What people call it.
        name: String,
        /// What it is for.
        role: AccountRole,
    },
    /// Gives an account a key.
    AddKey(NewKey),
    /// Refuses a key from now on.
    RevokeKey {
        /// Whose.
        account: AccountId,
        /// Which.
        key: KeyId,
    },
    /// Gives an account money that nobody paid.
    GrantPromo {
        /// To whom.
        account: AccountId,
        /// How much.
        amount: NanoCny,
        /// Until when.
        expires_at: Option<Timestamp>,
    },
    /// Sets money and tokens aside for a call.
    Hold(NewHold),
    /// The call goes upstream now.
    Dispatch {
        /// The call.
        id: RequestId,
        /// Who pays.
        account: AccountId,
    },
    /// Sets more money aside for a call that runs.
    Extend {
        /// The call.
        id: RequestId,
        /// Who pays.
        account: AccountId,
        /// With which key.
        key: KeyId,
        /// How much it shall be in all. Naming the end and not the step makes a repeat harmless.
        to: NanoCny,
    },
    /// Nobody answers for a hold any more: from now on only recovery ends it.
    Orphan {
        /// The call.
        id: RequestId,
        /// Who pays.
        account: AccountId,
        /// Why.
        why: Stranded,
    },
    /// Ends a hold.
    Settle {
        /// The call.
        id: RequestId,
        /// Who pays.
        account: AccountId,
        /// With which key.
        key: KeyId,
        /// The token balances it holds on, as the hold has them.
        tokens: Vec<Asset>,
        /// Who ends it.
        by: SettledBy,
        /// How.
        end: SettleEnd,
    },
    /// Gives a wrong charge back to where it was taken from, the last part first. Two operators and a reason.
    CorrectCharge {
        /// The call.
        id: RequestId,
        /// Who paid.
        account: AccountId,
        /// With which key.
        key: KeyId,
        /// What it took, as the hold has it.
        used: Vec<LotUse>,
        /// How much goes back.
        what: Correction,
    },
    /// Sets, changes or lifts a budget. What was counted so far stays.
    SetBudget {
        /// Whose money.
        account: AccountId,
        /// The key whose calls count; every call of the account where absent.
        key: Option<KeyId>,
        /// For how long.
        period: BudgetPeriod,
        /// At most this much; absent, it only counts.
        limit: Option<NanoCny>,
    },
    /// Lends while the payment of an order is under way.
    OpenGrant {
        /// The order.
        order: OrderId,
        /// To whom.
        account: AccountId,
        /// On whose word.
        claim: GrantClaim,
        /// What the operator allows.
        caps: GrantCaps,
    },
    /// Moves a grant on: by the time, by what became of its order and of the calls that use it.
    SweepGrant {
        /// The order.
        order: OrderId,
        /// To whom.
        account: AccountId,
        /// What admission set aside for it, in nano-yuan: no more is taken back, since calls that were admitted on the
        /// rest may still be on their way to the ledger.
        granted: i64,
    },
    /// Writes an order down, before WeChat Pay hears of it.
    CreateOrder(NewOrder),
    /// WeChat Pay accepted the order.
    OrderPrepaid {
        /// Which.
        order: OrderId,
        /// What its payer gets.
        #[serde(rename = "code_url")]
        prepay: Prepay,
        /// What WeChat Pay's support finds the call by.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request_id: Option<String>,
    },
    /// WeChat Pay refused the order.
    OrderFailed {
        /// Which.
        order: OrderId,
        /// Why.
        detail: String,
    },
    /// WeChat Pay says the order is paid. The command's rows decide whether that agrees with what was stored.
    OrderPaid {
        /// Which.
        order: OrderId,
        /// For whom.
        account: AccountId,
        /// The balance it would fill.
        asset: super::Asset,
        /// WeChat Pay's number of the payment.
        transaction_id: String,
        /// What WeChat Pay says was ordered.
        total: Fen,
        /// In what currency; WeChat Pay leaves it out for yuan.
        currency: Option<String>,
        /// To which merchant.
        mchid: String,
        /// For which app.
        appid: String,
        /// Who paid.
        payer: Option<String>,
        /// When.
        success_time: Option<Timestamp>,
        /// How we know.
        source: CreditSource,
        /// The notification's event id, if it was one.
        event: Option<String>,
    },
    /// The order can no longer be paid.
    OrderClosed {
        /// Which.
        order: OrderId,
        /// Who says so.
        source: String,
    },
    /// A step worth remembering that changes nothing.
    OrderNoted {
        /// Which.
        order: OrderId,
        /// What.
        event: String,
        /// Who says so.
        source: String,
        /// Evidence.
        detail: Option<String>,
    },
    /// Reserves a refund of unused money and splits it into items.
    RequestRefund {
        /// Its id.
        batch: RefundBatchId,
        /// For whom.
        account: AccountId,
        /// Out of which balance.
        asset: super::Asset,
        /// How much; all that can be refunded where absent.
        amount: Option<Fen>,
        /// What admission set aside for it, in the asset's unit: no more may leave the balance, since calls that were
        /// admitted on the rest may still be on their way to the ledger.
        granted: i64,
        /// More than this takes a second person: where an operator asks another one, where a customer does an operator.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        approve_above: Option<Fen>,
        /// Only this order, where given.
        order: Option<OrderId>,
        /// Shown to the payer.
        reason: Option<String>,
        /// Ids for the items, at least as many as there can be: chosen by the caller, since deciding has no chance.
        item_ids: Vec<RefundId>,
    },
    /// Sets what keeps orders from being made.
    SetGate(GateChange),
    /// An operator agrees to a request to refund that waits for it.
    ApproveRefund {
        /// Which.
        batch: RefundBatchId,
        /// For whom.
        account: AccountId,
    },
    /// The item is about to be sent: written before the call, so that a crash in between is known.
    RefundSending {
        /// Which.
        item: RefundId,
        /// Part of which request.
        batch: RefundBatchId,
    },
    /// What WeChat Pay says of the item.
    RefundReported {
        /// Which.
        item: RefundId,
        /// Part of which request.
        batch: RefundBatchId,
        /// Of which payment.
        order: OrderId,
        /// For whom.
        account: AccountId,
        /// Out of which balance.
        asset: super::Asset,
        /// What it says.
        news: RefundNews,
        /// WeChat Pay's number of it.
        refund_id: Option<String>,
        /// Why.
        detail: Option<String>,
        /// The notification's event id, if it was one.
        event: Option<String>,
        /// The payment's number, where the item gives back one that was put aside.
        payment: Option<String>,
    },
    /// Takes a request to refund back, of which nothing was sent yet.
    CancelRefund {
        /// Which.
        batch: RefundBatchId,
        /// For whom.
        account: AccountId,
        /// Out of which balance.
        asset: super::Asset,
        /// The payments that its items are of.
        orders: Vec<OrderId>,
        /// The payments that were put aside and that its items would have given back.
        payments: Vec<String>,
    },
    /// Gives back what was paid for goods.
    RefundGoods(GoodsRefund),
    /// Takes back what of a bonus its payment no longer earns and open holds kept it from giving up before.
    SweepBonus {
        /// Whose.
        account: AccountId,
        /// Which payment's.
        order: OrderId,
    },
    /// Remembers a genuine notification that is about nothing of ours.
    FileNotice(StrangeNotice),
    /// Decides about an order under review: an operator, a reason, a second person.
    ResolveReview(Resolution),
    /// Books a refund that the bill knows and we do not.
    ExtRefund(ExternalRefund),
    /// Settles what an account owes, as far as it goes.
    SettleDebt {
        /// Whose.
        account: AccountId,
        /// With what; to let it go takes an operator, a reason and a second person.
        from: DebtSource,
    },
    /// Books what WeChat Pay keeps, as its bill says. The key is `fee:{bill_row}`.
    PostFee {
        /// Which row of which bill.
        bill_row: String,
        /// How much; below zero where a refund brought it back.
        amount: NanoCny,
    },
    /// Takes a day of a merchant number for a while, so that only one node compares it.
    TakeBillDay {
        /// Merchant number.
        mchid: String,
        /// The day in Beijing, e.g. `2025-10-08`.
        day: String,
        /// Until when, within a day.
        until: Timestamp,
    },
    /// Writes down what comparing a day with the channel's bill found.
    RecordBillDay(Box<ComparedDay>),
    /// Says why something did not agree: an operator, a reason.
    ResolveDifference {
        /// Which.
        difference: String,
        /// Of which merchant number.
        mchid: String,
        /// Of which day.
        day: String,
        /// Why, in a word.
        cause: DifferenceCause,
        /// What shows it.
        evidence: Option<String>,
    },
    /// Says that a day is settled: an operator, and a second one if the first explained any of it.
    SignOffBillDay {
        /// Merchant number.
        mchid: String,
        /// The day in Beijing.
        day: String,
    },
    /// Books what a person paid back by hand: an operator, a reason, a second person.
    ManualPayout(ManualPayout),
    /// Ends a promotion whose time is over, as far as no open hold needs it.
    ExpireLot {
        /// Whose.
        account: AccountId,
        /// Of what.
        asset: super::Asset,
        /// Which.
        lot: String,
        /// What of it had expired before: a repeat finds more and does nothing.
        expired: i64,
    },
    /// Makes a credit code.
    CreateCode(NewCode),
    /// Redeems a credit code.
    RedeemCode {
        /// For whom.
        account: AccountId,
        /// The code's digest.
        digest: String,
        /// The campaign the code is part of.
        campaign: String,
    },
    /// Makes a credit code void; what it gave stays given.
    VoidCode {
        /// The code's digest.
        digest: String,
    },
    /// Corrects a balance: an operator, a reason, a second person.
    Adjust(Adjustment),
    /// Stops an account: it neither spends nor tops up nor redeems.
    StopAccount {
        /// Which.
        account: AccountId,
    },
    /// Lets a stopped account go on.
    ResumeAccount {
        /// Which.
        account: AccountId,
    },
    /// Has an account watched, or no longer.
    FlagAccount {
        /// Which.
        account: AccountId,
        /// Whether it is watched from now on.
        flagged: bool,
    },
    /// Closes an account for good.
    CloseAccount {
        /// Which.
        account: AccountId,
    },
    /// Offers a version of a package; the version before it is sold no longer.
    DefinePackage(PackageOffer),
    /// Takes a version of a package from sale.
    RetirePackage {
        /// Which package.
        id: String,
        /// Which version.
        version: i64,
    },
    /// Saves the draft of a price list, in the place of one that was there. A list begins with its first draft.
    SavePriceDraft {
        /// Which list.
        list: String,
        /// A [`Document`](crate::prices::Document) as JSON.
        document: String,
    },
    /// Throws the draft away.
    DeletePriceDraft {
        /// Which list's.
        list: String,
    },
    /// Makes the draft a version. Needs a reason.
    PublishPrices {
        /// Which list's.
        list: String,
        /// The draft that was looked at: refused if another one was saved since.
        source_hash: String,
        /// From when on it counts: now where absent, never before now.
        valid_from: Option<Timestamp>,
        /// The pairs that its prices are converted with, whose rates are noted beside it.
        pairs: Vec<String>,
    },
    /// Says by which list an account buys. Needs a reason.
    AssignPriceList {
        /// Which account.
        account: AccountId,
        /// Which list; the default one where absent.
        list: Option<String>,
    },
    /// Writes down a rate that a source gave.
    AcceptRate(AcceptedRate),
    /// Fixes a rate by hand. Needs a reason.
    PinRate {
        /// Which pair.
        pair: String,
        /// Yuan per unit, in millionths.
        rate_micro: i64,
        /// When it ends by itself.
        until: Option<Timestamp>,
    },
    /// Throws old rates of a pair away that nothing names: of those up to `to`, and behind the last time, these.
    PruneRates {
        /// Which pair.
        pair: String,
        /// Up to which number it was looked.
        to: i64,
        /// Which go.
        gone: Vec<i64>,
    },
    /// Lets the sources speak again. Needs a reason.
    UnpinRate {
        /// Which pair.
        pair: String,
    },
}

words! {
    /// What WeChat Pay can say of a refund.
    RefundNews {
        /// Accepted.
        Processing = "processing",
        /// Arrived.
        Success = "success",
        /// Did not happen.
        Closed = "closed",
        /// Left us, did not arrive.
        Abnormal = "abnormal",
        /// Refused at once.
        Refused = "refused",
        /// Not executed for now, the merchant's balance is too low: the same number again later.
        Later = "later",
        /// No answer, or one that leaves open what was done.
        Unclear = "unclear",
    }
}

impl Command {
    /// SHA-256 over what is asked (not when, nor by whom): the test for "the same command again".
    pub fn payload_hash(&self) -> [u8; 32] {
        let asked = match &self.body {
            Body::CreateOrder(order) => serde_json::to_vec(&("order", order.account, &order.request)),
            Body::RequestRefund { account, asset, amount, order, reason, .. } => {
                serde_json::to_vec(&("refund", account, asset, amount, order, reason))
            }
            // Which pairs are looked up follows from the draft, which is gone when the command comes again.
            Body::PublishPrices { list, source_hash, valid_from, .. } => {
                serde_json::to_vec(&("publish", list, source_hash, valid_from))
            }
            // Ids are chosen anew each time; the wish is the rest.
            Body::RefundGoods(GoodsRefund { account, order, lines, reason, .. }) => {
                serde_json::to_vec(&("refund_goods", account, order, lines, reason))
            }
            Body::ResolveReview(Resolution { order, transaction_id, verdict, .. }) => {
                serde_json::to_vec(&("resolve", order, transaction_id, verdict))
            }
            body => serde_json::to_vec(body),
        };
        // Serialising cannot fail: plain data, string keys.
        Sha256::digest(asked.unwrap_or_default()).into()
    }

    /// True where the row itself remembers that the command was carried out, so that none is stored beside it: the
    /// row's state makes a repeat harmless, also one that tells the same news from another source.
    pub const fn remembered_by_its_row(&self) -> bool {
        match self.body {
            Body::Hold(_)
            | Body::Dispatch { .. }
            | Body::Extend { .. }
            | Body::Orphan { .. }
            | Body::Settle { .. }
            | Body::OpenGrant { .. }
            | Body::OrderPrepaid { .. }
            | Body::OrderFailed { .. }
            | Body::OrderPaid { .. }
            | Body::OrderClosed { .. }
            | Body::OrderNoted { .. }
            | Body::RefundSending { .. }
            | Body::RefundReported { .. }
            | Body::CancelRefund { .. }
            | Body::ApproveRefund { .. }
            // The notification's own row.
            | Body::SetGate(GateChange { event: Some(_), .. })
            | Body::SweepBonus { .. }
            | Body::FileNotice(_)
            | Body::ExpireLot { .. }
            | Body::PruneRates { .. }
            | Body::TakeBillDay { .. }
            | Body::AcceptRate(_) => true,
            Body::RefundGoods(_)
            | Body::ResolveReview(_)
            | Body::ExtRefund(_)
            | Body::SettleDebt { .. }
            | Body::PostFee { .. }
            | Body::RecordBillDay(_)
            | Body::ResolveDifference { .. }
            | Body::SignOffBillDay { .. }
            | Body::ManualPayout(_)
            | Body::CreateCode(_)
            | Body::RedeemCode { .. }
            | Body::VoidCode { .. }
            | Body::Adjust(_)
            | Body::StopAccount { .. }
            | Body::ResumeAccount { .. }
            | Body::FlagAccount { .. }
            | Body::CloseAccount { .. }
            | Body::DefinePackage(_)
            | Body::RetirePackage { .. }
            | Body::OpenAccount { .. }
            | Body::AddKey(_)
            | Body::RevokeKey { .. }
            | Body::GrantPromo { .. }
            | Body::CreateOrder(_)
            | Body::RequestRefund { .. }
            | Body::SetGate(GateChange { event: None, .. })
            | Body::CorrectCharge { .. }
            | Body::SweepGrant { .. }
            | Body::SetBudget { .. }
            | Body::SavePriceDraft { .. }
            | Body::DeletePriceDraft { .. }
            | Body::PublishPrices { .. }
            | Body::AssignPriceList { .. }
            | Body::PinRate { .. }
            | Body::UnpinRate { .. } => false,
        }
    }
}
