//! What is set aside for one call, and at its end what the call took.

use serde::{Deserialize, Serialize};
use units::{AccountId, KeyId, NanoCny, RequestId, Timestamp, Usage};

use super::{Asset, BudgetShare, HoldQuote, Weights, entry::words};

/// A call takes tokens of at most this many balances.
pub const LEGS_MAX: usize = 4;

words! {
    /// Where a hold stands.
    HoldState {
        /// Set aside; the call runs.
        Open = "open",
        /// Still set aside, but whoever held it is gone or overdue: only recovery ends it.
        Orphan = "orphan",
        /// Charged.
        Settled = "settled",
        /// Given back whole.
        Released = "released",
    }
}

impl HoldState {
    /// True while something is set aside.
    pub const fn is_held(self) -> bool {
        matches!(self, Self::Open | Self::Orphan)
    }
}

/// Tokens of one balance, set aside for a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenLeg {
    /// The balance.
    pub asset: Asset,
    /// Thousandths of a token.
    pub milli: i64,
    /// What a token of each class burns of them: as their terms say.
    pub weights: Weights,
}

/// What was taken out of one lot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LotUse {
    /// The lot.
    pub lot: String,
    /// Of what.
    pub asset: Asset,
    /// How much, in the asset's unit.
    pub amount: i64,
}

/// What is set aside for one call; at its end, what the call cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The call.
    pub id: RequestId,
    /// Who pays.
    pub account: AccountId,
    /// With which key.
    pub key: KeyId,
    /// Where it stands.
    pub state: HoldState,
    /// The model asked for.
    pub model: String,
    /// Money set aside.
    pub money: NanoCny,
    /// Tokens set aside, in the order in which they are burnt; money pays for what they do not cover.
    pub legs: Vec<TokenLeg>,
    /// The price it was reckoned with and will be settled by.
    pub quote: HoldQuote,
    /// Which run of which process opened it; nobody else may settle it while it is open.
    pub epoch: i64,
    /// True once something may have been sent upstream.
    pub dispatched: bool,
    /// Since when.
    pub opened_at: Timestamp,
    /// When it should have ended.
    pub deadline: Timestamp,
    /// Since when nobody answers for it.
    pub orphaned_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Money charged.
    pub cost: NanoCny,
    /// Tokens charged, in thousandths.
    pub cost_tokens_milli: i64,
    /// What the call cost beyond what could be charged.
    pub overrun: NanoCny,
    /// What was used.
    pub usage: Option<Usage>,
    /// True when the usage is our reckoning.
    pub estimated: bool,
    /// What was taken out of which lot, in the order it was taken.
    pub used: Vec<LotUse>,
    /// What of that was given back by corrections.
    pub corrected: Vec<LotUse>,
    /// The budgets it counts against.
    pub budgets: Vec<BudgetShare>,
    /// What its owner said it used, too late to be charged: our cost.
    pub late: Option<Usage>,
}

impl Hold {
    /// Tokens set aside in all, in thousandths.
    pub fn tokens_milli(&self) -> i64 {
        self.legs.iter().map(|leg| leg.milli).sum()
    }

    /// What is set aside of an asset.
    pub fn held_of(&self, asset: &Asset) -> i64 {
        match asset {
            Asset::Cny => self.money.get(),
            tokens => self.legs.iter().filter(|leg| leg.asset == *tokens).map(|leg| leg.milli).sum(),
        }
    }

    /// The balances its tokens lie in, in the order in which they are burnt.
    pub fn token_assets(&self) -> Vec<Asset> {
        self.legs.iter().map(|leg| leg.asset.clone()).collect()
    }

    /// What of a lot's part was not given back yet.
    pub fn uncorrected(&self, part: &LotUse) -> i64 {
        let back: i64 =
            self.corrected.iter().filter(|back| back.lot == part.lot).map(|back| back.amount).sum();
        part.amount - back
    }
}
