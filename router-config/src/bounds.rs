//! How much may somebody ask? Requests and tokens per minute and calls at once, of keys, accounts, models and providers.

use std::collections::BTreeMap;

use units::AccountId;

use crate::{KeyPath, Problems, RawBounds, RawLimits};

/// More a minute than any installation of ours answers: whoever writes it has a figure too many.
const REQUESTS_MAX: u64 = 100_000_000;
/// The same of tokens.
const TOKENS_MAX: u64 = 1_000_000_000_000;
/// The same of calls at once; an open connection each.
const CONCURRENCY_MAX: u64 = 1_000_000;
/// More nodes than share one Redis.
const NODES_MAX: u64 = 1_000;

/// What one key, account, model or provider may be asked for; `None` is without bound. No bound is 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Requests in any minute.
    pub requests_per_minute: Option<u32>,
    /// Tokens in any minute, prompt and answer together.
    pub tokens_per_minute: Option<u64>,
    /// Calls in flight at once.
    pub concurrency_max: Option<u32>,
}

/// Bounds on what callers may ask.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Requests per minute of a key that has no figure of its own.
    pub requests_per_minute: u32,
    /// Tokens per minute of a key that has no figure of its own.
    pub tokens_per_minute: u64,
    /// Calls at once of a key that has no figure of its own.
    pub concurrency_max: Option<u32>,
    /// What all keys of an account may ask together.
    pub account: Bounds,
    /// The same for single accounts; whole, so that `account` need not be looked at.
    pub accounts: BTreeMap<AccountId, Bounds>,
    /// How many nodes share the limits while they cannot count together; as many as were last seen where absent.
    pub nodes: Option<u32>,
    /// Largest request body, in bytes.
    pub body_max_bytes: usize,
    /// Calls in flight at once in this process.
    pub calls_in_flight_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests_per_minute: 600,
            tokens_per_minute: 1_000_000,
            concurrency_max: None,
            account: Bounds::default(),
            accounts: BTreeMap::new(),
            nodes: None,
            body_max_bytes: 26_214_400,
            calls_in_flight_max: 2_048,
        }
    }
}

impl Limits {
    /// What all keys of this account may ask together.
    pub fn of_account(&self, account: &AccountId) -> Bounds {
        self.accounts.get(account).copied().unwrap_or(self.account)
    }
}

/// Checks what stands in the table at `path`.
pub(crate) fn check(path: &KeyPath, raw: RawBounds, problems: &mut Problems) -> Bounds {
    let RawBounds { requests_per_minute, tokens_per_minute, concurrency_max } = raw;
    for (key, number, most) in [
        ("requests_per_minute", requests_per_minute.map(u64::from), REQUESTS_MAX),
        ("tokens_per_minute", tokens_per_minute, TOKENS_MAX),
        ("concurrency_max", concurrency_max.map(u64::from), CONCURRENCY_MAX),
    ] {
        possible(path.key(key), number, most, problems);
    }
    Bounds { requests_per_minute, tokens_per_minute, concurrency_max }
}

/// Checks `[limits]`.
pub(crate) fn limits(raw: &RawLimits, problems: &mut Problems) -> Limits {
    let path = KeyPath::new("limits");
    let own = RawBounds {
        requests_per_minute: Some(raw.requests_per_minute),
        tokens_per_minute: Some(raw.tokens_per_minute),
        concurrency_max: raw.concurrency_max,
    };
    check(&path, own, problems);
    possible(path.key("nodes"), raw.nodes.map(u64::from), NODES_MAX, problems);
    possible(path.key("body_max_bytes"), u64::try_from(raw.body_max_bytes).ok(), u64::MAX, problems);
    possible(
        path.key("calls_in_flight_max"),
        u64::try_from(raw.calls_in_flight_max).ok(),
        u64::MAX,
        problems,
    );
    let account = check(&path.key("account"), raw.account, problems);
    let mut accounts = BTreeMap::new();
    for (id, raw) in &raw.accounts {
        let path = path.key("accounts").key(id);
        let bounds = check(&path, *raw, problems);
        let read = id
            .parse::<AccountId>()
            .map_err(|_| "not the id of an account, such as `tollgate accounts create` shows");
        let Some(id) = problems.catch(path, read) else { continue };
        let whole = Bounds {
            requests_per_minute: bounds.requests_per_minute.or(account.requests_per_minute),
            tokens_per_minute: bounds.tokens_per_minute.or(account.tokens_per_minute),
            concurrency_max: bounds.concurrency_max.or(account.concurrency_max),
        };
        accounts.insert(id, whole);
    }
    Limits {
        requests_per_minute: raw.requests_per_minute,
        tokens_per_minute: raw.tokens_per_minute,
        concurrency_max: raw.concurrency_max,
        account,
        accounts,
        nodes: raw.nodes,
        body_max_bytes: raw.body_max_bytes,
        calls_in_flight_max: raw.calls_in_flight_max,
    }
}

fn possible(path: KeyPath, number: Option<u64>, most: u64, problems: &mut Problems) {
    match number {
        Some(0) => problems.add_with_help(
            path,
            "a limit of 0 would turn everyone away",
            "leave the key out for the usual limit",
        ),
        Some(number) if number > most => {
            problems.add_with_help(
                path,
                format!("must be from 1 to {most}"),
                "leave the key out if nothing is to be bounded",
            );
        }
        _ => {}
    }
}
