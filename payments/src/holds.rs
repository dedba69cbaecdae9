//! Holds: how is a call's money set aside, in memory before it goes upstream and durably before it answers?

use std::sync::Arc;

use units::{AccountId, Clock, KeyId, Livemode, NanoCny, Rates, RequestId, Usage};

use crate::{
    admission::{Admission, Taken},
    journal::{Journal, Mark},
    ledger::{
        Account, AccountRole, Actor, Asset, Body, Command, HoldQuote, Refusal, SettleEnd, split_charge,
        weight_milli,
    },
    store::{Receipt, Slot, Store, Submission, SubmitError, Waiting},
};

/// Accounts whose standing is kept in memory.
const ACCOUNTS_KEPT: u64 = 100_000;

/// One call's ceiling.
#[derive(Debug, Clone)]
pub struct HoldRequest {
    /// The call.
    pub id: RequestId,
    /// Who pays.
    pub account: AccountId,
    /// With which key.
    pub key: KeyId,
    /// Whether the call costs real money.
    pub livemode: Livemode,
    /// The model asked for.
    pub model: String,
    /// The price.
    pub quote: HoldQuote,
    /// Upper bounds by class: what the call may come to at most.
    pub bound: Usage,
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
            .time_to_live(std::time::Duration::from_secs(30))
            .build();
        Self { store, admission, journal, clock, accounts }
    }

    /// Sets the ceiling aside in memory, tokens of the model's own balance first, and queues the hold for the ledger.
    ///
    /// # Errors
    /// [`AdmitError`]; nothing was taken then.
    pub async fn admit(&self, request: HoldRequest) -> Result<OpenHold, AdmitError> {
        let account = self.account(request.account).await?;
        if account.livemode != request.livemode {
            return Err(AdmitError::Livemode(account.livemode));
        }
        let hold_slot = self.store.reserve().map_err(AdmitError::Store)?;
        let end_slot = self.store.reserve().map_err(AdmitError::Store)?;
        let house = account.role == AccountRole::House;
        let (tokens_milli, money, commit_first) =
            if house { (0, NanoCny::ZERO, false) } else { self.take(&request).await? };
        let tokens = Asset::Tokens(request.model.clone());
        let taken = vec![(request.account, Asset::Cny, money.get()), (request.account, tokens, tokens_milli)];
        let command = Command {
            key: format!("hold:{}", request.id),
            actor: Actor::system("meter"),
            reason: None,
            approver: None,
            at: self.clock.now(),
            body: Body::Hold {
                id: request.id,
                account: request.account,
                key: request.key,
                model: request.model.clone(),
                money,
                tokens_milli,
                quote: request.quote.clone(),
                epoch: self.store.epoch(),
            },
        };
        let waiting = hold_slot.send(Submission { command, taken, receipt: None });
        let mut hold = OpenHold {
            id: request.id,
            account: request.account,
            model: request.model,
            quote: request.quote,
            house,
            money,
            tokens_milli,
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
                let posted = self.posted(hold.account).await;
                let available = NanoCny::new(available.max(0));
                let held = posted.minus(available).unwrap_or(NanoCny::ZERO).max(NanoCny::ZERO);
                Err(AdmitError::Insufficient { available, required, held })
            }
            Err(error) => Err(AdmitError::Store(error)),
        }
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

    /// Takes what the call may come to: tokens as far as they go, money for the rest; true where that has to be
    /// committed before it counts. What memory cannot cover it looks up once behind everything that is queued: ended
    /// calls give back with their commit, and others may write the store too.
    async fn take(&self, request: &HoldRequest) -> Result<(i64, NanoCny, bool), AdmitError> {
        match self.take_once(request).await {
            Err(AdmitError::Insufficient { .. }) => {
                for asset in [Asset::Tokens(request.model.clone()), Asset::Cny] {
                    self.store.load_balance(request.account, asset).await.map_err(AdmitError::Store)?;
                }
                self.take_once(request).await
            }
            other => other,
        }
    }

    async fn take_once(&self, request: &HoldRequest) -> Result<(i64, NanoCny, bool), AdmitError> {
        let account = request.account;
        let tokens = Asset::Tokens(request.model.clone());
        let needed = tokens_needed(&request.bound, &request.quote).ok_or(AdmitError::OutOfRange)?;
        for asset in [&tokens, &Asset::Cny] {
            if self.admission.available(account, asset).is_none() {
                self.store.load_balance(account, asset.clone()).await.map_err(AdmitError::Store)?;
            }
        }
        let tokens_milli = self.admission.take_up_to(account, &tokens, needed).unwrap_or(0);
        let give_tokens_back = || self.admission.give_back(account, &tokens, tokens_milli);
        let Some(money) = money_needed(&request.bound, &request.quote, needed, tokens_milli) else {
            give_tokens_back();
            return Err(AdmitError::OutOfRange);
        };
        match self.admission.take(account, &Asset::Cny, money.get()) {
            Taken::Yes => Ok((tokens_milli, money, false)),
            Taken::OnceCommitted => Ok((tokens_milli, money, true)),
            Taken::Only(available) => {
                give_tokens_back();
                let posted = self.posted(account).await;
                let available = NanoCny::new(available.max(0));
                let held = posted.minus(available).unwrap_or(NanoCny::ZERO).max(NanoCny::ZERO);
                Err(AdmitError::Insufficient { available, required: money, held })
            }
            Taken::Unknown => {
                give_tokens_back();
                Err(AdmitError::Store(SubmitError::Busy))
            }
        }
    }

    async fn posted(&self, account: AccountId) -> NanoCny {
        let balances = self.store.balances(account).await.unwrap_or_default();
        let money = balances.into_iter().find(|balance| balance.wallet.asset == Asset::Cny);
        NanoCny::new(money.map_or(0, |balance| balance.wallet.posted))
    }

    /// What the account could still set aside in money, as far as memory knows.
    pub fn available(&self, account: AccountId) -> NanoCny {
        NanoCny::new(self.admission.available(account, &Asset::Cny).unwrap_or(0).max(0))
    }
}

/// Thousandths of a bought token that the bound may burn.
fn tokens_needed(bound: &Usage, quote: &HoldQuote) -> Option<i64> {
    let needed = |(bound, rates): (Usage, &Rates)| {
        bound.charged(rates).into_iter().try_fold(0_i64, |sum, (tokens, rate)| {
            let weight = weight_milli(rate, rates.input);
            sum.checked_add(i64::try_from(tokens.0).ok()?.checked_mul(weight)?)
        })
    };
    most(quote.ceilings(bound).map(needed))
}

/// The largest, if every one could be reckoned.
fn most<T: Ord>(mut all: impl Iterator<Item = Option<T>>) -> Option<T> {
    let first = all.next()??;
    all.try_fold(first, |most, next| Some(most.max(next?)))
}

/// The money to hold beside `tokens_milli` of `needed`: whatever mix of the bound's tokens comes, it suffices.
fn money_needed(bound: &Usage, quote: &HoldQuote, needed: i64, tokens_milli: i64) -> Option<NanoCny> {
    if needed > 0 && tokens_milli == needed {
        return Some(NanoCny::ZERO);
    }
    most(quote.ceilings(bound).map(|(bound, rates)| money_at(&bound, rates, tokens_milli)))
}

fn money_at(bound: &Usage, rates: &Rates, tokens_milli: i64) -> Option<NanoCny> {
    let whole = rates.charge(bound).ok()?;
    if tokens_milli == 0 {
        return Some(whole);
    }
    // Token cover is worth its thousandths at the input rate; one dearest token may straddle the end of it, in each
    // class, so those are held in money again.
    let covered = i128::from(tokens_milli) * i128::from(rates.input.get()) / 1_000;
    let straddling: i128 = bound.charged(rates).iter().map(|(_, rate)| i128::from(rate.get())).sum();
    let rest = (i128::from(whole.get()) - covered + straddling).clamp(0, i128::from(whole.get()));
    i64::try_from(rest).ok().map(NanoCny::new)
}

/// What a call came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charged {
    /// Money charged.
    pub cost: NanoCny,
    /// Tokens of the model's own balance charged, in thousandths.
    pub tokens_milli: i64,
    /// What the account could still set aside afterwards, as far as memory knows.
    pub available: NanoCny,
}

/// Money set aside for one call that runs.
#[derive(Debug)]
pub struct OpenHold {
    id: RequestId,
    account: AccountId,
    model: String,
    quote: HoldQuote,
    house: bool,
    money: NanoCny,
    tokens_milli: i64,
    waiting: Option<Waiting>,
    lost: Option<SubmitError>,
    end_slot: Slot,
    holds: Holds,
}

impl OpenHold {
    /// Money set aside.
    pub const fn money(&self) -> NanoCny {
        self.money
    }

    /// Resolves when the hold is on disk; at once if that is known. A wait that was given up may be taken up again.
    ///
    /// # Errors
    /// [`SubmitError`] if the ledger refused what memory admitted, or stopped: the call must be cancelled.
    pub async fn durable(&mut self) -> Result<(), SubmitError> {
        if let Some(waiting) = &mut self.waiting {
            self.lost = waiting.outcome().await.err();
            self.waiting = None;
        }
        self.lost.clone().map_or(Ok(()), Err)
    }

    /// Raises the ceiling so that `bound` is covered, if the balance allows; otherwise nothing changes.
    pub fn extend(&mut self, bound: &Usage) -> bool {
        let money =
            |(bound, rates): (Usage, &Rates)| Some(split_charge(&bound, rates, self.tokens_milli).ok()?.1);
        let Some(needed) = most(self.quote.ceilings(bound).map(money)) else { return false };
        let Ok(more) = needed.minus(self.money) else { return false };
        if self.house || more.get() <= 0 {
            return true;
        }
        let holds = &self.holds;
        let Ok(slot) = holds.store.reserve() else { return false };
        let taken = holds.admission.take_at_once(self.account, &Asset::Cny, more.get());
        if taken < more.get() {
            holds.admission.give_back(self.account, &Asset::Cny, taken);
            return false;
        }
        self.money = needed;
        let command = self.command("ext", Body::Extend { id: self.id, account: self.account, to: needed });
        // Not awaited: memory has it, and the ledger carries it out before the settlement behind it in the queue.
        drop(slot.send(Submission {
            command,
            taken: vec![(self.account, Asset::Cny, more.get())],
            receipt: None,
        }));
        true
    }

    /// Notes what was used so far.
    pub fn progress(&self, usage: Usage) {
        self.note(&Mark::Progress(usage));
    }

    /// Ends the hold: the end is in the journal when this returns, the ledger follows. Never waits.
    pub fn settle(self, usage: Option<(Usage, bool)>, receipt: impl FnOnce(&Charged) -> Receipt) -> Charged {
        let (end, charged, extra) = match usage {
            None => (
                SettleEnd::Release,
                Charged { cost: NanoCny::ZERO, tokens_milli: 0, available: NanoCny::ZERO },
                0,
            ),
            Some((usage, estimated)) => self.charge(usage, estimated),
        };
        self.note(&Mark::End(end.clone()));
        let available = self.holds.available(self.account).get();
        let back = self.money.get() + extra - charged.cost.get();
        let available = if self.house { available } else { available.saturating_add(back) };
        let charged = Charged { available: NanoCny::new(available), ..charged };
        let receipt = receipt(&charged);
        let body = Body::Settle { id: self.id, account: self.account, model: self.model.clone(), end };
        let command = self.command("settle", body);
        let taken = vec![(self.account, Asset::Cny, extra)];
        drop(self.end_slot.send(Submission { command, taken, receipt: Some(receipt) }));
        charged
    }

    /// What the usage comes to, exactly as the ledger will reckon it.
    fn charge(&self, usage: Usage, estimated: bool) -> (SettleEnd, Charged, i64) {
        let tokens = if self.house { 0 } else { self.tokens_milli };
        let Ok((tokens_milli, cost)) = split_charge(&usage, self.quote.rates_for(&usage), tokens) else {
            // Beyond the ledger's range nothing is charged: a usage like that was refused where it was read. The
            // ledger could not charge it either, and the hold must end.
            tracing::error!(hold = %self.id, ?usage, "a usage beyond the ledger's range; the hold is given back");
            let nothing = Charged { cost: NanoCny::ZERO, tokens_milli: 0, available: NanoCny::ZERO };
            return (SettleEnd::Release, nothing, 0);
        };
        let over = (cost.get() - self.money.get()).max(0);
        let extra = if over == 0 || self.house {
            0
        } else {
            self.holds.admission.take_at_once(self.account, &Asset::Cny, over)
        };
        let payable = if self.house { cost.get() } else { cost.get().min(self.money.get() + extra) };
        let charged = Charged { cost: NanoCny::new(payable), tokens_milli, available: NanoCny::ZERO };
        (SettleEnd::Charge { usage, estimated, extra: NanoCny::new(extra) }, charged, extra)
    }

    fn note(&self, mark: &Mark) {
        if let Err(error) = self.holds.journal.note(self.id, mark) {
            tracing::error!(%error, hold = %self.id, "the journal cannot be written; the ledger's row still follows");
        }
    }

    fn command(&self, verb: &str, body: Body) -> Command {
        Command {
            key: format!("{verb}:{}", self.id),
            actor: Actor::system("meter"),
            reason: None,
            approver: None,
            at: self.holds.clock.now(),
            body,
        }
    }
}
