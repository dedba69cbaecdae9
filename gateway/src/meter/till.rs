//! What we ask of a ledger, and nothing more.

use std::{future::Future, pin::Pin};

use units::{AccountId, KeyId, Livemode, NanoCny, RequestId, Timestamp, Tokens, Usage};

use crate::{chat::Outcome, plan::Quote};

/// A boxed future that may be sent between threads.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A ledger as the meter sees it.
pub trait Till: Send + Sync + std::fmt::Debug {
    /// Sets the ceiling aside in memory, before anything is sent upstream, or refuses. Never waits for a disk, but may
    /// have to read an account that was not seen before.
    fn admit(&self, ask: HoldAsk) -> Later<'_, Result<Box<dyn Hold>, Refusal>>;
}

/// The ceiling of one call.
#[derive(Debug, Clone)]
pub struct HoldAsk {
    /// The call, which names the hold.
    pub request: RequestId,
    /// Who pays.
    pub account: AccountId,
    /// With which key.
    pub key: KeyId,
    /// True for a key that spends money only, not tokens bought.
    pub money_only: bool,
    /// Whether the target costs real money; must agree with the account.
    pub livemode: Livemode,
    /// The model asked for.
    pub model: String,
    /// What a token costs; frozen in the hold, and the only price the settlement knows.
    pub quote: Quote,
    /// Upper bound of the prompt.
    pub input_bound: Tokens,
    /// The prompt's likely size: charged if the process dies and nothing better is known.
    pub input_estimate: Tokens,
    /// Upper bound of the answer, all `n` of it.
    pub output_bound: Tokens,
}

/// Money set aside for one call. Dropped without an end, it is settled as hung up by whoever holds it; a hold that is
/// merely dropped stays open until recovery resolves it, so nobody does that.
pub trait Hold: Send + Sync + std::fmt::Debug {
    /// Resolves when the hold is on disk. No byte of an answer may reach the client before.
    fn durable(&mut self) -> Later<'_, Result<(), HoldLost>>;

    /// The ceiling, in money; what a token balance covers is not in it.
    fn amount(&self) -> NanoCny;

    /// Asks for more room while a stream runs; a refusal changes nothing and never cuts the stream.
    fn extend(&mut self, usage_bound: Usage);

    /// Notes in the journal what was used so far (one `write()`, microseconds).
    fn progress(&mut self, usage: Usage);

    /// Ends the hold, never waiting: the final usage is in the journal when this returns, the ledger's rows follow
    /// with the next flush through a queue slot reserved at admission. Must be called before the last chunk of an
    /// answer is forwarded.
    fn settle(self: Box<Self>, outcome: Outcome) -> Settled;
}

/// What a settlement came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    /// Money charged.
    pub cost: NanoCny,
    /// The account's available money after it, as far as this process knows.
    pub balance: NanoCny,
}

/// Why no money was set aside.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The account's balance does not cover the ceiling.
    #[error("available {available} yuan, required {required} yuan")]
    InsufficientFunds {
        /// What the account could still set aside.
        available: NanoCny,
        /// What this call needs.
        required: NanoCny,
    },
    /// The balance would do, but too much of it is set aside for calls in flight.
    #[error("calls in flight hold {held} yuan")]
    TooMuchInFlight {
        /// What open calls hold.
        held: NanoCny,
    },
    /// A budget of the key or of its account does not cover the ceiling.
    #[error("{0}")]
    OverBudget(Box<BudgetSpent>),
    /// Simulated money for a live provider, or the other way round.
    #[error("this account's money is {account}, the model's providers are {model}")]
    LivemodeMismatch {
        /// The account's.
        account: Livemode,
        /// The model's.
        model: Livemode,
    },
    /// The account does not exist or is stopped.
    #[error("the account is not active")]
    AccountInactive,
    /// The ledger's queue is full; nothing was set aside.
    #[error("the ledger is busy")]
    Busy,
    /// The ledger cannot be read or written: nothing is served on credit.
    #[error("the ledger is unavailable: {0}")]
    Unavailable(String),
    /// The ceiling is not a representable amount.
    #[error("the request's ceiling is out of range")]
    OutOfRange,
}

/// A budget that does not cover a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the {period} budget of this {whose} is {limit} yuan, {spent} are spent and {reserved} set aside for calls in flight"
)]
pub struct BudgetSpent {
    /// `key` or `account`.
    pub whose: &'static str,
    /// `day`, `month` or `total`.
    pub period: &'static str,
    /// At most this much.
    pub limit: NanoCny,
    /// What ended calls have cost.
    pub spent: NanoCny,
    /// What open calls have set aside.
    pub reserved: NanoCny,
    /// What this call needs.
    pub required: NanoCny,
    /// When the budget is whole again, if ever.
    pub resets_at: Option<Timestamp>,
}

impl BudgetSpent {
    /// True if it would do once the calls in flight have ended.
    pub fn will_do(&self) -> bool {
        self.spent.plus(self.required).is_ok_and(|sum| sum <= self.limit)
    }
}

/// The hold was admitted but could not be written: the call must be cancelled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the hold could not be made durable: {0}")]
pub struct HoldLost(pub String);
