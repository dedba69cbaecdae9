//! What a day came to once the channel's bill lay beside it, and what did not agree.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use units::{Fen, NanoCny, OrderId, Timestamp};

use super::{Actor, entry::words};

/// Differences of one day that are written down: of a day with more, the rest is counted, and the day cannot be signed off.
pub const DIFFERENCES_MAX: usize = 5_000;

words! {
    /// Where a day stands.
    BillDayState {
        /// Somebody is at it; nothing was compared yet.
        Taken = "taken",
        /// Something does not agree, and nobody has said why.
        Differs = "differs",
        /// All agrees, or was explained.
        Agrees = "agrees",
        /// A person has said that it is settled.
        SignedOff = "signed_off",
    }
}

words! {
    /// Where a bill came from.
    BillSource {
        /// From the channel.
        Fetched = "fetched",
        /// From a file that a person brought.
        File = "file",
        /// The channel says that there was nothing on the day.
        NoTrade = "no_trade",
    }
}

words! {
    /// In which way ledger, orders and bill do not agree.
    DifferenceClass {
        /// Paid on the bill, and we wait for it.
        PaidInBillPendingLocally = "paid_in_bill_pending_locally",
        /// Another amount than the order's.
        AmountMismatch = "amount_mismatch",
        /// Paid by another payment than the one we have.
        OtherTransaction = "other_transaction",
        /// The ledger has taken in another amount than was paid.
        BookedOtherwise = "booked_otherwise",
        /// Paid, and no order of ours.
        MissingLocally = "missing_locally",
        /// We take it for paid, and the bill does not have it.
        MissingInBill = "missing_in_bill",
        /// Given back, and no refund of ours.
        RefundMissingLocally = "refund_missing_locally",
        /// Another amount than the refund's.
        RefundAmountMismatch = "refund_amount_mismatch",
        /// The ledger has set aside another amount than went back.
        RefundBookedOtherwise = "refund_booked_otherwise",
        /// We take it for accepted, and the bill does not have it.
        RefundMissingInBill = "refund_missing_in_bill",
        /// The bill has the same twice.
        RepeatedInBill = "repeated_in_bill",
        /// A row of a kind this product does not make.
        UnknownKind = "unknown_kind",
        /// A row that cannot be read.
        UnreadableRow = "unreadable_row",
        /// The merchant's account moved by another amount than the trade bill says.
        FlowAmountMismatch = "flow_amount_mismatch",
        /// The trade bill has it, and the merchant's account did not move.
        FlowMissing = "flow_missing",
        /// The merchant's account moved, and the trade bill does not have it.
        FlowUnexplained = "flow_unexplained",
        /// The fees are not those of the configured tiers.
        FeeOtherwise = "fee_otherwise",
        /// A fee was posted before, and this bill says another.
        FeeChanged = "fee_changed",
    }
}

words! {
    /// Where a difference stands.
    DifferenceState {
        /// Nobody has said why.
        Open = "open",
        /// Explained.
        Resolved = "resolved",
        /// A later comparison did not find it any more.
        Gone = "gone",
    }
}

words! {
    /// Why something did not agree.
    DifferenceCause {
        /// A notice was lost; the payment is credited.
        LostNotice = "lost_notice",
        /// A refund was made in the channel's console; it is booked.
        ConsoleRefund = "console_refund",
        /// It belongs to another system of the same merchant number.
        OtherSystem = "other_system",
        /// It stands on another day's bill.
        OtherDay = "other_day",
        /// The bill was wrong.
        BillWrong = "bill_wrong",
        /// We were wrong, and it was corrected.
        OursWrong = "ours_wrong",
        /// Somebody cheated.
        Fraud = "fraud",
        /// The channel's terms are others than configured.
        Terms = "terms",
        /// Something else, as the reason says.
        Other = "other",
    }
}

/// What a comparison found. Amounts are as each side has them; absent where it has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundDifference {
    /// In which way it does not agree.
    pub class: DifferenceClass,
    /// The merchant's number of the payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out_trade_no: Option<String>,
    /// The merchant's number of the refund.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out_refund_no: Option<String>,
    /// The channel's number of the payment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<String>,
    /// Our order, where it is one of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderId>,
    /// What the bill says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bill: Option<NanoCny>,
    /// What our order or refund says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<NanoCny>,
    /// What the ledger has booked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub booked: Option<NanoCny>,
    /// What else is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Why, where the comparison itself has put it right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healed: Option<DifferenceCause>,
}

impl FoundDifference {
    /// One of this class about nothing yet.
    pub const fn new(class: DifferenceClass) -> Self {
        Self {
            class,
            out_trade_no: None,
            out_refund_no: None,
            transaction_id: None,
            order: None,
            bill: None,
            local: None,
            booked: None,
            detail: None,
            healed: None,
        }
    }

    /// Its id on that day: the same whoever finds it again, another one where an amount is another.
    pub fn id(&self, mchid: &str, day: &str) -> String {
        let about = (
            (mchid, day, self.class),
            (&self.out_trade_no, &self.out_refund_no, &self.transaction_id),
            (self.bill, self.local, self.booked),
            // Of a row that cannot be read nothing else is known; elsewhere the words may change.
            self.detail.as_ref().filter(|_| self.class == DifferenceClass::UnreadableRow),
        );
        // Serialising cannot fail: plain data.
        let hash = Sha256::digest(serde_json::to_vec(&about).unwrap_or_default());
        format!("diff_{}", base16ct::lower::encode_string(&hash[..10]))
    }

    /// What does not agree, in yuan: how far the sides are apart, or all of it where one has nothing.
    pub fn unmatched(&self) -> NanoCny {
        let [bill, local, booked] = [self.bill, self.local, self.booked].map(|side| side.map(NanoCny::get));
        let ours = booked.filter(|_| local == bill).or(local);
        let apart = bill.unwrap_or(0).saturating_sub(ours.unwrap_or(0)).saturating_abs();
        NanoCny::new(apart)
    }
}

/// Why a difference is one no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DifferenceResolution {
    /// What the reason is, in a word.
    pub cause: DifferenceCause,
    /// Who says so.
    pub by: Actor,
    /// Why, in their words.
    pub reason: String,
    /// What shows it: a ticket, a document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// One thing that did not agree on a day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BillDifference {
    /// See [`FoundDifference::id`].
    pub id: String,
    /// Merchant number.
    pub mchid: String,
    /// The bill's day in Beijing, e.g. `2025-10-08`.
    pub day: String,
    /// What was found.
    pub found: FoundDifference,
    /// Where it stands.
    pub state: DifferenceState,
    /// Since when it is known.
    pub opened_at: Timestamp,
    /// Why it is one no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<DifferenceResolution>,
    /// When a comparison first did not find it any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gone_at: Option<Timestamp>,
}

/// What a day's bill came to, and how much of it agrees.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BillSums {
    /// Rows of the trade bill, those that cannot be read among them.
    pub rows: i64,
    /// Payments.
    pub payments: i64,
    /// What they come to.
    pub paid: Fen,
    /// Refunds.
    pub refunds: i64,
    /// What they come to.
    pub refunded: Fen,
    /// What the channel keeps, less what it gave back of that.
    pub fees: NanoCny,
    /// What it would keep of the same payments by the configured tiers.
    pub fees_expected: NanoCny,
    /// Payments on which bill, orders and ledger agree.
    pub payments_matched: i64,
    /// What they come to.
    pub paid_matched: Fen,
    /// Refunds on which the three agree.
    pub refunds_matched: i64,
    /// What they come to.
    pub refunded_matched: Fen,
    /// Movements on the fund flow bill; absent where there was none to compare.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub movements: Option<i64>,
    /// What of the day's last minutes only one of the two bills has: the other is to have it on the next day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub carried: Vec<Carried>,
}

/// A payment or a refund close to midnight that only one of the day's bills has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    /// True where the account has moved and the row of the trade bill is awaited; false where it is the other way round.
    pub moved: bool,
    /// The channel's number of the payment, or of the refund.
    pub number: String,
    /// The channel's number of the payment.
    pub transaction_id: String,
    /// The number of the order.
    pub out_trade_no: Option<String>,
    /// The number of the refund, where it is one.
    pub out_refund_no: Option<String>,
    /// What moves, in fen: what leaves is negative.
    pub amount: i64,
    /// What the channel keeps of it, in fen, less what it gives back; 0 where nothing has moved yet.
    pub fee: i64,
    /// True where something else does not agree about it, and was told of on its day: that it is not found is no news.
    pub told: bool,
}

/// A person's word that a day is settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignOff {
    /// Who.
    pub by: Actor,
    /// Who agreed, where somebody was named: another person than `by`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approver: Option<Actor>,
    /// When.
    pub at: Timestamp,
    /// What they say.
    pub reason: Option<String>,
}

/// Who is at a day, so that no other node begins it too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BillDayTaken {
    /// Who.
    pub by: String,
    /// Until when they are taken to be at it.
    pub until: Timestamp,
}

/// A day of a merchant number, laid beside the channel's bill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BillDay {
    /// Merchant number: both APIs of it have one bill.
    pub mchid: String,
    /// The day in Beijing, e.g. `2025-10-08`.
    pub day: String,
    /// Where it stands.
    pub state: BillDayState,
    /// Where the bill came from; absent before there was one.
    pub source: Option<BillSource>,
    /// SHA-256 of the trade bill that was compared last, in lower-case hex.
    pub sha256: Option<String>,
    /// What it came to.
    pub sums: BillSums,
    /// What was found, by class, whatever became of it.
    pub found: BTreeMap<DifferenceClass, i64>,
    /// Differences beyond those that are written down.
    pub unlisted: i64,
    /// How many differences are open.
    pub open: i64,
    /// What is open, in yuan: the sum of how far the sides are apart.
    pub unmatched: NanoCny,
    /// How often it was compared.
    pub runs: i64,
    /// Who compared it last.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
    /// Who is at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken: Option<BillDayTaken>,
    /// Who said that it is settled, oldest first: what a later comparison finds opens it again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signed: Vec<SignOff>,
}

/// A day as a comparison found it. The command's key names the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ComparedDay {
    /// Merchant number.
    pub mchid: String,
    /// The day in Beijing, e.g. `2025-10-08`.
    pub day: String,
    /// Where the bill came from.
    pub source: BillSource,
    /// SHA-256 of the trade bill, in lower-case hex; of none where there was no trade.
    pub sha256: Option<String>,
    /// What it came to.
    pub sums: BillSums,
    /// What does not agree: [`DIFFERENCES_MAX`] at most.
    pub differences: Vec<FoundDifference>,
    /// How many more there are.
    pub unlisted: i64,
}
