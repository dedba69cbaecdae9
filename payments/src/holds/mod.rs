//! Holds: how is a call's money set aside, in memory before it goes upstream and durably before it answers?

mod bound;
mod exposure;
mod legs;
mod open;

use std::{sync::Arc, time::Duration};

use units::{AccountId, Clock, KeyId, Livemode, NanoCny, RequestId, Usage};

pub use self::open::{Charged, OpenHold};
use self::{
    bound::{Bound, Values, money_of},
    exposure::{Exposed, Exposure},
    legs::TokenBalances,
};
use crate::{
    admission::{Admission, Part, Taken},
    journal::Journal,
    ledger::{
        Account, AccountRole, Actor, Asset, Body, BudgetShare, Command, HoldQuote, LEGS_MAX, NewHold,
        OverBudget, Refusal, TokenLeg, Weights,
    },
    store::{Store, Submission, SubmitError},
};

/// Accounts whose standing is kept in memory.
const ACCOUNTS_KEPT: u64 = 100_000;
/// No call runs longer: beyond it nobody is taken to answer for its hold.
const CALL_MAX: Duration = Duration::from_secs(6 * 3_600);
/// What an account's open calls may come to beyond their holds: two yuan.
const EXPOSURE_MAX: NanoCny = NanoCny::from_yuan(2);

/// One call's ceiling.
#[derive(Debug, Clone)]
pub struct HoldRequest {
    /// The call.
    pub id: RequestId,
    /// Who pays.
    pub account: AccountId,
    /// With which key.
    pub key: KeyId,
    /// True for a key that spends money only, such as the one of a temporary grant.
    pub money_only: bool,
    /// Whether the call costs real money.
    pub livemode: Livemode,
    /// The model asked for.
    pub model: String,
    /// The price.
    pub quote: HoldQuote,
    /// Upper bounds by class: what is set aside for.
    pub bound: Usage,
    /// What the call may come to at most, where that is more: a stream whose hold is extended while it runs. Set aside
    /// for at once where too many of the account's calls may exceed their holds already.
    pub most: Usage,
}

/// Why nothing was set aside.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdmitError {
    /// The balance does not cover it.
    #[error("available {available} yuan, required {required} yuan")]
    Insufficient {
        /// What could still be set aside.
        available: NanoCny,
        /// What the call needs in money.
        required: NanoCny,
        /// What open calls have set aside.
        held: NanoCny,
    },
    /// A budget of the key or the account does not cover it.
    #[error("{0}")]
    OverBudget(Box<OverBudget>),
    /// No such account, or it is stopped.
    #[error("the account is not active")]
    Inactive,
    /// Simulated money for a live provider, or the other way round.
    #[error("the account's money is {0}")]
    Livemode(Livemode),
    /// The ceiling does not fit the ledger.
    #[error("the ceiling is out of range")]
    OutOfRange,
    /// The store is full or gone.
    #[error(transparent)]
    Store(SubmitError),
}

/// Sets money aside for calls.
#[derive(Debug, Clone)]
pub struct Holds {
    store: Store,
    admission: Arc<Admission>,
    journal: Arc<Journal>,
    clock: Arc<dyn Clock>,
    accounts: moka::sync::Cache<AccountId, Account>,
    tokens: TokenBalances,
    exposure: Exposure,
}

/// What memory set aside for a call.
#[derive(Default)]
struct SetAside {
    legs: Vec<TokenLeg>,
    money: NanoCny,
    budgets: Vec<BudgetShare>,
    /// True where it has to be committed before it counts.
    commit_first: bool,
}

impl Holds {
    /// Over the store's balances.
    pub fn new(
        store: Store,
        admission: Arc<Admission>,
        journal: Arc<Journal>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        // A stopped account is refused by the writer anyway, before a byte of an answer leaves; this is only the sooner no.
        let accounts = moka::sync::Cache::builder()
            .max_capacity(ACCOUNTS_KEPT)
            .time_to_live(Duration::from_secs(30))
            .build();
        let (tokens, exposure) = (TokenBalances::new(), Exposure::new(EXPOSURE_MAX.get()));
        Self { store, admission, journal, clock, accounts, tokens, exposure }
    }

    /// Sets the ceiling aside in memory, tokens that pay for the model first, and queues the hold for the ledger.
    ///
    /// # Errors
    /// [`AdmitError`]; nothing was taken then.
    pub async fn admit(&self, request: HoldRequest) -> Result<OpenHold, AdmitError> {
        match self.admit_once(request.clone()).await {
            // Others may have spent meanwhile what memory took; it knows better now, and tokens may leave it to money.
            Err(AdmitError::Insufficient { .. }) if self.admission.is_shared() => {
                self.admit_once(request).await
            }
            other => other,
        }
    }

    async fn admit_once(&self, request: HoldRequest) -> Result<OpenHold, AdmitError> {
        let account = self.account(request.account).await?;
        if account.livemode != request.livemode {
            return Err(AdmitError::Livemode(account.livemode));
        }
        let hold_slot = self.store.reserve().map_err(AdmitError::Store)?;
        let end_slot = self.store.reserve().map_err(AdmitError::Store)?;
        let house = account.role == AccountRole::House;
        let (aside, exposed) = if house {
            (SetAside::default(), None)
        } else {
            let (bound, exposed) = self.expose(&request)?;
            (self.take(&request, &bound).await?, Some(exposed))
        };
        let SetAside { legs, money, budgets, commit_first } = aside;
        let mut taken = vec![(request.account, Asset::Cny, money.get())];
        taken.extend(legs.iter().map(|leg| (request.account, leg.asset.clone(), leg.milli)));
        let now = self.clock.now();
        let epoch = self.store.epoch();
        let new = NewHold {
            id: request.id,
            account: request.account,
            key: request.key,
            model: request.model,
            money,
            legs: legs.clone(),
            quote: request.quote.clone(),
            epoch,
            // The call goes upstream while this is on its way to the disk.
            dispatched: true,
            deadline: now.after(CALL_MAX),
        };
        let command = Command {
            key: format!("hold:{}", request.id),
            actor: Actor::system("meter"),
            reason: None,
            approver: None,
            at: now,
            body: Body::Hold(new),
        };
        let waiting = hold_slot.send(Submission { command, taken, receipt: None });
        let mut hold = OpenHold {
            id: request.id,
            account: request.account,
            key: request.key,
            quote: request.quote,
            epoch,
            house,
            money,
            legs,
            budgets,
            exposed,
            waiting: Some(waiting),
            lost: None,
            end_slot,
            holds: self.clone(),
        };
        if commit_first {
            self.committed_first(&mut hold, money).await?;
        }
        Ok(hold)
    }

    /// Waits for the commit of a hold that memory alone cannot vouch for; its refusal is the account's, not ours.
    async fn committed_first(&self, hold: &mut OpenHold, required: NanoCny) -> Result<(), AdmitError> {
        match hold.durable().await {
            Ok(()) => Ok(()),
            Err(SubmitError::Refused(Refusal::Insufficient { available, .. })) => {
                Err(self.insufficient(hold.account, available, required).await)
            }
            Err(SubmitError::Refused(Refusal::OverBudget(over))) => Err(AdmitError::OverBudget(over)),
            Err(error) => Err(AdmitError::Store(error)),
        }
    }

    async fn insufficient(&self, account: AccountId, available: i64, required: NanoCny) -> AdmitError {
        let wallets = self.store.wallets(account).await.unwrap_or_default();
        let money = wallets.into_iter().find(|wallet| wallet.asset == Asset::Cny);
        let posted = NanoCny::new(money.map_or(0, |wallet| wallet.posted));
        let available = NanoCny::new(available.max(0));
        let held = posted.minus(available).unwrap_or(NanoCny::ZERO).max(NanoCny::ZERO);
        AdmitError::Insufficient { available, required, held }
    }

    /// Looks an account up anew at its next call: whether it may spend has changed.
    pub fn forget(&self, account: AccountId) {
        self.accounts.invalidate(&account);
    }

    async fn account(&self, id: AccountId) -> Result<Account, AdmitError> {
        if let Some(account) = self.accounts.get(&id) {
            return Ok(account);
        }
        let account = self.store.account(id).await.map_err(AdmitError::Store)?;
        let account = account.filter(|account| !account.stopped).ok_or(AdmitError::Inactive)?;
        self.accounts.insert(id, account.clone());
        Ok(account)
    }

    /// What is set aside for: the bound, or the most where the account's calls may exceed their holds by too much already.
    fn expose(&self, request: &HoldRequest) -> Result<(Bound, Exposed), AdmitError> {
        let (bound, most) = (Bound::of(&request.bound), Bound::of(&request.most));
        let cost = |of: &Bound| money_of(of, &request.quote, &[]);
        let beyond = cost(&most).zip(cost(&bound)).map(|(most, bound)| most.get() - bound.get());
        let exposed = beyond.and_then(|beyond| self.exposure.take(request.account, beyond));
        match exposed {
            Some(exposed) => Ok((bound, exposed)),
            None => {
                let none = self.exposure.take(request.account, 0).ok_or(AdmitError::OutOfRange)?;
                Ok((most, none))
            }
        }
    }

    /// Takes what the call may come to: tokens as far as they go, money for the rest, within the budgets. What memory
    /// cannot cover it looks up once behind everything that is queued: ended calls give back with their commit, and
    /// others may write the store too.
    async fn take(&self, request: &HoldRequest, bound: &Bound) -> Result<SetAside, AdmitError> {
        self.know_budgets(request.account, request.key).await.map_err(AdmitError::Store)?;
        match self.take_once(request, bound).await {
            Err(AdmitError::Insufficient { .. }) => {
                let mut assets = vec![Asset::Cny];
                if !request.money_only {
                    assets.extend(self.paying(request).await?.into_iter().map(|(asset, _)| asset));
                }
                for asset in assets {
                    self.store.load_balance(request.account, asset).await.map_err(AdmitError::Store)?;
                }
                self.take_once(request, bound).await
            }
            other => other,
        }
    }

    async fn take_once(&self, request: &HoldRequest, bound: &Bound) -> Result<SetAside, AdmitError> {
        let account = request.account;
        if self.admission.available(account, &Asset::Cny).is_none() {
            self.store.load_balance(account, Asset::Cny).await.map_err(AdmitError::Store)?;
        }
        let (legs, legs_once_committed) =
            if request.money_only { (Vec::new(), false) } else { self.take_tokens(request, bound).await? };
        let money = money_of(bound, &request.quote, &legs).ok_or(AdmitError::OutOfRange);
        let budgets = money.and_then(|money| {
            let budgets = self.admission.budgets();
            let shares = budgets.take(account, request.key, self.clock.now(), money);
            shares.map(|shares| (money, shares)).map_err(AdmitError::OverBudget)
        });
        let (money, budgets) = budgets.inspect_err(|_| self.give_tokens_back(account, &legs))?;
        let refused = match self.admission.take(account, &Asset::Cny, money.get()) {
            Taken::Yes => return Ok(SetAside { legs, money, budgets, commit_first: legs_once_committed }),
            Taken::OnceCommitted => return Ok(SetAside { legs, money, budgets, commit_first: true }),
            Taken::Only(available) => Some(available),
            Taken::Unknown => None,
        };
        self.admission.budgets().end(account, &budgets, money, NanoCny::ZERO);
        self.give_tokens_back(account, &legs);
        match refused {
            Some(available) => Err(self.insufficient(account, available, money).await),
            None => Err(AdmitError::Store(SubmitError::Busy)),
        }
    }

    async fn paying(&self, request: &HoldRequest) -> Result<Vec<(Asset, Weights)>, AdmitError> {
        let (account, rates) = (request.account, &request.quote.rates);
        let paying = self.tokens.that_pay_for(&self.store, &self.admission, account, &request.model, rates);
        let mut paying = paying.await.map_err(AdmitError::Store)?;
        if let Some(share) = request.quote.price_percent {
            paying.iter_mut().for_each(|(_, weights)| *weights = weights.at_percent(share));
        }
        Ok(paying)
    }

    /// Takes tokens of balance after balance until the bound is covered; and whether that counts only once committed.
    async fn take_tokens(
        &self,
        request: &HoldRequest,
        bound: &Bound,
    ) -> Result<(Vec<TokenLeg>, bool), AdmitError> {
        let account = request.account;
        let (mut legs, mut once_committed): (Vec<TokenLeg>, bool) = (Vec::new(), false);
        for (asset, weights) in self.paying(request).await? {
            let Some(needed) = bound.uncovered(Values::from(&weights), &legs) else {
                self.give_tokens_back(account, &legs);
                return Err(AdmitError::OutOfRange);
            };
            if needed == 0 || legs.len() == LEGS_MAX {
                break;
            }
            let Part { amount: milli, once_committed: first } =
                self.admission.take_up_to(account, &asset, needed);
            once_committed |= first;
            if milli > 0 {
                legs.push(TokenLeg { asset, milli, weights });
            }
            if milli == needed {
                break;
            }
        }
        Ok((legs, once_committed))
    }

    fn give_tokens_back(&self, account: AccountId, legs: &[TokenLeg]) {
        for leg in legs {
            self.admission.give_back(account, &leg.asset, leg.milli);
        }
    }

    /// Brings the budgets of the account and of the key into memory.
    async fn know_budgets(&self, account: AccountId, key: KeyId) -> Result<(), SubmitError> {
        let unknown = self.admission.budgets().unknown(account, key);
        if unknown.is_empty() {
            return Ok(());
        }
        // What was sent to the ledger before is in what is read.
        self.store.flushed().await?;
        for owner in unknown {
            let budgets = self.store.budgets(account, owner).await?;
            self.admission.budgets().load(account, owner, budgets);
        }
        Ok(())
    }

    /// What the account could still set aside in money, as far as memory knows.
    pub fn available(&self, account: AccountId) -> NanoCny {
        NanoCny::new(self.admission.available(account, &Asset::Cny).unwrap_or(0).max(0))
    }
}
