//! Top-up: what state is this order in, and what moves it on?
//!
//! An order is written down before WeChat Pay hears of it; its payment is credited when a verified notification or an
//! answered query says so, whichever comes first, once. What a balance buys in tokens
//! is reckoned here too. Speaks to the ledger through the store and to the channel.

mod agenda;
mod alone;
mod ask;
mod bonus;
mod by_bill;
mod create;
mod guard;
mod merchant;
mod news;
mod watch;
mod worth;

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;
use units::{Clock, Fen, Livemode};

pub(crate) use self::by_bill::Confirmed;
pub use self::{
    ask::QueryReport,
    bonus::{BadRungs, BonusRung, BonusRungs, Gift},
    by_bill::AskError,
    create::{Buy, CreateError, PayWish, Quoted, TopUpRequest},
    guard::{GuardBounds, GuardRefusal, Rollout},
    merchant::{Callbacks, Merchant, Merchants, OverV2, OverV3, pay_sign, sign_type},
    news::{NewsError, PaidNews},
    worth::{BadMix, Bought, Mix, Part, TokensHeld, sum, worth},
};
use crate::{
    channel::ChannelError,
    ledger::{Gate, GateChange, Order, StrangeNotice},
    store::{Store, SubmitError},
};

/// What the operator allows.
#[derive(Debug, Clone)]
pub struct TopUpSettings {
    /// The least one may pay.
    pub min: Fen,
    /// The most one may pay at once.
    pub max: Fen,
    /// What a payment for yuan comes with.
    pub bonus: BonusRungs,
    /// How long an order can be paid.
    pub expires: Duration,
    /// What the payer reads.
    pub description: String,
    /// So many unpaid orders an account has at most; orders for goods do not count, and are not counted.
    pub open_max: u32,
    /// Whether whoever orders has to say from which device.
    pub needs_device: bool,
}

/// Orders and their payments. Cheap to clone.
#[derive(Debug, Clone)]
pub struct TopUps {
    store: Store,
    merchants: Arc<Merchants>,
    settings: Arc<TopUpSettings>,
    clock: Arc<dyn Clock>,
    /// Orders that WeChat Pay is being told of.
    making: alone::OneAtATime,
    /// What is awaited.
    agenda: agenda::Agenda,
    /// Woken when there is something to ask that there was not before.
    fresh: Arc<Notify>,
    observer: Arc<dyn Observer>,
    guard: Arc<guard::Guard>,
}

/// Who is told of the watch's queries, for metrics and alarms.
pub trait Observer: Send + Sync + std::fmt::Debug {
    /// An order's turn has come; [`Self::queried`] follows.
    fn asking(&self);

    /// What the turn came to.
    fn queried(&self, report: &QueryReport);

    /// An order has been due for so long, because WeChat Pay was asked as often as it may be; said again and again.
    fn behind(&self, by: Duration);

    /// WeChat Pay takes no order of this merchant as it is set up: keys, numbers or permissions are wrong.
    fn misconfigured(&self, _order: &Order, _error: &ChannelError) {}

    /// What keeps orders from being made has changed.
    fn gate(&self, _gate: &Gate) {}
}

impl TopUps {
    /// Over the store and the configured merchants.
    pub fn new(
        store: Store,
        merchants: Arc<Merchants>,
        settings: TopUpSettings,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let guard = guard::Guard::new(store.clone(), clock.clone(), observer.clone());
        Self {
            guard: Arc::new(guard),
            store,
            merchants,
            settings: Arc::new(settings),
            clock,
            making: alone::OneAtATime::default(),
            agenda: agenda::Agenda::default(),
            fresh: Arc::default(),
            observer,
        }
    }

    /// The same, offered and guarded within these bounds.
    #[must_use]
    pub fn guarded(self, rollout: Rollout, bounds: GuardBounds) -> Self {
        let fresh = guard::Guard::new(self.store.clone(), self.clock.clone(), self.observer.clone());
        Self { guard: Arc::new(fresh.within(rollout, bounds)), ..self }
    }

    /// An order is given up before it was paid; `agent` is the key that says so.
    ///
    /// # Errors
    /// [`SubmitError`] if the books cannot say what that means for the next one.
    pub async fn given_up(&self, order: &Order, agent: &str) -> Result<(), SubmitError> {
        let asking = guard::Asking { account: order.account, agent, merchant: &order.merchant };
        self.guard.given_up(asking).await
    }

    /// WeChat Pay warns of somebody: `event` is its notification. True if it was not known yet and set a gate.
    ///
    /// # Errors
    /// [`SubmitError`]: then it is not on disk.
    pub async fn warned(&self, change: GateChange, event: StrangeNotice) -> Result<bool, SubmitError> {
        self.guard.warned(change, event).await
    }

    /// True if money of this kind can be taken at all.
    pub fn is_open(&self, livemode: Livemode) -> bool {
        self.merchants.for_livemode(livemode).is_some_and(|merchant| merchant.off.is_none())
    }

    /// The configured merchants.
    pub fn merchants(&self) -> &Merchants {
        &self.merchants
    }

    /// What the operator allows.
    pub fn settings(&self) -> &TopUpSettings {
        &self.settings
    }
}
