//! Which limits a call meets, and what they say.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use router_config::{Bounds, RouteTable};
use units::{Clock, Tokens};

use super::{
    Permit,
    claim::{Claim, Subject, Want},
    local::{Local, Refused},
    shared::{Away, Lease, Shared},
    steady::Steady,
};
use crate::chat::{Caller, Kind, Standing, TooFast};

/// When to look again whether a call has ended.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// No client is told to wait longer: some SDKs obey any figure.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// The bounds of the present configuration; asked at each call, so that they may change.
type Table = Box<dyn Fn() -> Arc<RouteTable> + Send + Sync>;

/// All limits of this process.
#[derive(Clone)]
pub struct Limits(Arc<Room>);

struct Room {
    table: Table,
    time: Steady,
    local: Mutex<Local>,
    shared: Option<Shared>,
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limits").field("remembered", &self.local().len()).finish_non_exhaustive()
    }
}

/// A call that all its limits let through.
#[derive(Debug)]
pub struct Admitted {
    /// What was taken.
    pub permit: Permit,
    /// Where the limit of requests stands that is nearest to its end.
    pub requests: Option<Standing>,
    /// The same of tokens.
    pub tokens: Option<Standing>,
}

impl Limits {
    /// `table` gives the bounds in force; counted together with other nodes where there is a `shared`.
    pub fn new(
        table: impl Fn() -> Arc<RouteTable> + Send + Sync + 'static,
        clock: Arc<dyn Clock>,
        shared: Option<Shared>,
    ) -> Self {
        let (table, time) = (Box::new(table), Steady::new(clock));
        Self(Arc::new(Room { table, time, local: Mutex::default(), shared }))
    }

    fn local(&self) -> MutexGuard<'_, Local> {
        self.0.local.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what a call for `model` needs of the limits of key, account and model: its place, `estimate` tokens, and a
    /// request unless it `is_counted`, because another model was asked for it before.
    ///
    /// # Errors
    /// [`TooFast`]; nothing was taken then.
    pub async fn admit(
        &self,
        caller: &Caller,
        model: &str,
        estimate: Tokens,
        is_counted: bool,
    ) -> Result<Admitted, TooFast> {
        let table = (self.0.table)();
        let want =
            Want { requests: Some(u64::from(!is_counted)), tokens: Some(estimate.0), concurrency: Some(1) };
        let mut claims = of_caller(&table, caller, want);
        if let Some(model) = table.models.get(model).filter(|model| model.bounds != Bounds::default()) {
            let want = Want { requests: Some(1), ..want };
            claims.extend(want.of(&Subject::Model(model.id.as_str().into()), model.bounds));
        }
        self.take(claims).await
    }

    /// Counts a request that is no call.
    ///
    /// # Errors
    /// [`TooFast`]; it is not counted then.
    pub async fn request(&self, caller: &Caller) -> Result<Option<Standing>, TooFast> {
        let admitted = self.take(of_caller(&(self.0.table)(), caller, REQUEST)).await?;
        Ok(admitted.requests)
    }

    /// Says whether one more request of this caller would be let through, as far as this process knows, and counts
    /// nothing: whoever is past their limit is turned away before their request is read.
    ///
    /// # Errors
    /// [`TooFast`], if it would not.
    pub fn may_ask(&self, caller: &Caller) -> Result<(), TooFast> {
        let claims = of_caller(&(self.0.table)(), caller, REQUEST);
        let now = self.0.time.millis();
        let refused = self.local().may_take(&claims, now, 1);
        refused.map_err(|refused| self.too_fast(&claims, &refused))
    }

    /// Takes what an attempt at `provider` needs of the limits of what we send it.
    ///
    /// # Errors
    /// [`TooFast`]; nothing was taken then.
    pub async fn upstream(&self, provider: &str, estimate: Tokens) -> Result<Permit, TooFast> {
        let table = (self.0.table)();
        let want = Want { requests: Some(1), tokens: Some(estimate.0), concurrency: Some(1) };
        let bounds = table.providers.get(provider).map(|provider| provider.bounds).unwrap_or_default();
        let claims = want.of(&Subject::Provider(provider.into()), bounds).collect();
        Ok(self.take(claims).await?.permit)
    }

    async fn take(&self, claims: Vec<Claim>) -> Result<Admitted, TooFast> {
        let now = self.0.time.millis();
        let Some(shared) = self.0.shared.as_ref().filter(|_| !claims.is_empty()) else {
            let standings = self.local().take(&claims, now, 1);
            let standings = standings.map_err(|refused| self.too_fast(&claims, &refused))?;
            return Ok(self.admitted(claims, &standings, now, 1, None));
        };
        let nodes = (self.0.table)().limits.nodes.unwrap_or_else(|| shared.nodes());
        if shared.is_up() {
            if shared.is_new_to_the_last_minute(now) {
                // What nodes let through by themselves a moment ago is not known there.
                let refused = self.local().may_take(&claims, now, nodes);
                refused.map_err(|refused| self.too_fast(&claims, &refused))?;
            }
            match shared.take(&claims).await {
                Ok(Ok((standings, lease))) => {
                    self.local().note(&claims, now, 1);
                    return Ok(self.admitted(claims, &standings, now, 1, Some(lease)));
                }
                Ok(Err(refused)) => return Err(self.too_fast(&claims, &refused)),
                Err(Away) => {}
            }
        }
        let standings = self.local().take(&claims, now, nodes);
        let standings = standings.map_err(|refused| self.too_fast(&claims, &refused))?;
        let lease = shared.without(&claims);
        Ok(self.admitted(claims, &standings, now, nodes, Some(lease)))
    }

    fn admitted(
        &self,
        mut claims: Vec<Claim>,
        standings: &[Standing],
        at: u64,
        nodes: u32,
        lease: Option<Lease>,
    ) -> Admitted {
        let nearest = |kind: Kind| {
            let of_kind = claims.iter().zip(standings).filter(|(claim, _)| claim.kind() == kind);
            of_kind.map(|(_, standing)| *standing).reduce(|a, b| if b.is_nearer_its_end(&a) { b } else { a })
        };
        let (requests, tokens) = (nearest(Kind::Requests), nearest(Kind::Tokens));
        claims.retain(|claim| claim.amount > 0);
        for claim in &mut claims {
            claim.amount = claim.capped(claim.share(nodes));
        }
        Admitted { permit: Permit::new(self.clone(), claims, at, lease), requests, tokens }
    }

    fn too_fast(&self, claims: &[Claim], refused: &Refused) -> TooFast {
        let whose = claims.get(refused.claim).map(|claim| &claim.whose);
        let (subject, kind) = whose.map_or((None, Kind::Requests), |(subject, kind)| (Some(subject), *kind));
        let standing = refused.standing;
        let waits = !refused.wait.is_zero();
        TooFast {
            scope: subject.map_or(crate::chat::Scope::Key, Subject::scope),
            name: subject.and_then(Subject::name),
            kind,
            standing,
            retry_after: if waits { refused.wait.min(RETRY_AFTER_MAX) } else { LOOK_AGAIN },
            resets_at: waits.then(|| self.0.time.clock().after(standing.reset)),
        }
    }

    /// Ends what was taken `at`; `used` says of each how much of it was.
    pub(super) fn end(&self, taken: &[Claim], at: u64, lease: Option<Lease>, used: impl Fn(&Claim) -> u64) {
        if let (Some(shared), Some(lease)) = (&self.0.shared, lease) {
            shared.end(lease, taken, &used);
        }
        let now = self.0.time.millis();
        let mut local = self.local();
        for claim in taken {
            match claim.kind() {
                Kind::Concurrency => local.landed(&claim.whose.0, claim.amount),
                Kind::Requests | Kind::Tokens => {
                    local.correct(&claim.whose, now, at, claim.amount, used(claim));
                }
            }
        }
    }
}

/// A request and nothing else.
const REQUEST: Want = Want { requests: Some(1), tokens: None, concurrency: None };

/// The claims on the limits of key and account.
fn of_caller(table: &RouteTable, caller: &Caller, want: Want) -> Vec<Claim> {
    let limits = &table.limits;
    let key = Bounds {
        requests_per_minute: caller.limits.requests_per_minute.or(Some(limits.requests_per_minute)),
        tokens_per_minute: caller.limits.tokens_per_minute.or(Some(limits.tokens_per_minute)),
        concurrency_max: caller.limits.concurrency_max.or(limits.concurrency_max),
    };
    let account = limits.of_account(&caller.account);
    let mut claims = Vec::with_capacity(9);
    claims.extend(want.of(&Subject::Key(caller.key), key));
    claims.extend(want.of(&Subject::Account(caller.account), account));
    claims
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use router_config::{Limits as Figures, RawTables};

    use super::*;
    use crate::{chat::Scope, clock::StillClock};

    const FILE: &str = r#"
        [[providers]]
        id = "p"
        kind = "openai"
        requests_per_minute = 3
        tokens_per_minute = 1_000
        concurrency_max = 2

        [[providers]]
        id = "free"
        kind = "openai"

        [[models]]
        id = "m"
        context = 1_000
        output_max = 1_000

        [[routes]]
        model = "m"
        targets = ["p/m", "free/m"]
    "#;

    fn limits() -> (Limits, Arc<StillClock>) {
        let mut table = toml::from_str::<RawTables>(FILE).unwrap().validate().unwrap();
        table.limits = Figures { accounts: BTreeMap::new(), ..Figures::default() };
        let (table, hand) = (Arc::new(table), Arc::new(StillClock::at_secs(1_000)));
        (Limits::new(move || Arc::clone(&table), hand.clone(), None), hand)
    }

    #[tokio::test]
    async fn what_is_sent_to_a_provider_is_bounded_until_the_permit_is_gone() {
        let (limits, hand) = limits();
        let first = limits.upstream("p", Tokens(400)).await.unwrap();
        let second = limits.upstream("p", Tokens(400)).await.unwrap();
        let refused = limits.upstream("p", Tokens(10)).await.unwrap_err();
        assert_eq!((refused.scope, refused.kind), (Scope::Provider, Kind::Concurrency));
        assert_eq!(
            refused.to_string(),
            "Limit reached for what is sent to the provider `p`: 2 calls at once. Try again when one of them has ended."
        );
        // One ends with less than was thought, the other never went out.
        first.settle(Tokens(100));
        second.cancel();
        let third = limits.upstream("p", Tokens(900)).await.unwrap();
        drop(third);
        let refused = limits.upstream("p", Tokens(1)).await.unwrap_err();
        assert_eq!(
            (refused.kind, refused.standing.remaining),
            (Kind::Tokens, 0),
            "dropped, it counts as estimated"
        );
        hand.forward(Duration::from_secs(61));
        assert!(limits.upstream("p", Tokens(1)).await.is_ok());
    }

    #[tokio::test]
    async fn a_provider_without_limits_and_one_that_nobody_knows_are_not_bounded() {
        let (limits, _) = limits();
        let mut held = Vec::new();
        for _ in 0..50 {
            for provider in ["free", "nobody"] {
                held.push(limits.upstream(provider, Tokens(1_000_000)).await.unwrap());
            }
        }
    }
}
