//! The file as written. These shapes are forgiving; [`RawTables::validate`] is not.
//!
//! The comments on the fields are published: they are the descriptions of the JSON schema. No shape here shows itself
//! with `Debug`, for a secret may have been pasted where its name belongs.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use units::Livemode;

use crate::{
    ChargedAs, Currency, FailureClass, Limits, ModelKind, RawAlias, RawCache, RawCondition, RawHedge,
    RawQuirks, RawRouteCache, Region, Strategy, WhenShort, catalog, target::RawTarget,
};

/// What is served, by whom, at which price and within which limits.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawTables {
    /// Accounts at upstream providers.
    #[serde(default)]
    pub providers: Vec<RawProvider>,
    /// Models that clients may ask for, and what they cost the customer.
    #[serde(default)]
    pub models: Vec<RawModel>,
    /// Which providers serve each model. A model may have several routes for different calls: the first that fits is taken.
    #[serde(default)]
    pub routes: Vec<RawRoute>,
    /// Other names for models.
    #[serde(default)]
    pub aliases: Vec<RawAlias>,
    /// Bounds on what callers may ask.
    #[serde(default)]
    pub limits: RawLimits,
    /// Where the exact caches of all routes keep answers, and how much.
    #[serde(default)]
    pub cache: RawCache,
}

/// One account at an upstream provider.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawProvider {
    /// The name that routes and metrics use. No `/`.
    pub id: String,
    /// Whose it is: whose peculiarities, models and costs are known of it.
    #[schemars(extend("enum" = catalog::kinds()))]
    pub kind: String,
    /// Where its API lives, without `/chat/completions`: `https://api.deepseek.com`. The provider's own address where
    /// absent.
    pub base_url: Option<String>,
    /// On which side of the provider the account is, where there are two: keys, addresses and prices differ.
    pub region: Option<Region>,
    /// Where its key is kept: `env:NAME` or `file:PATH`. Leave it out if it needs none.
    pub api_key: Option<String>,
    /// Several keys in place of one: a key that is refused, empty or too fast leaves the calls to the others.
    #[serde(default)]
    pub api_keys: Vec<String>,
    /// How it is shown its key: `bearer`, `none`, or the header that holds it, such as `x-api-key`. As the provider wants
    /// it where absent.
    pub auth: Option<String>,
    /// What is particular about it, where it differs from what is known of its kind.
    #[serde(default)]
    pub quirks: RawQuirks,
    /// `live` if its answers cost real money, `demo` for a simulator.
    #[serde(default = "live")]
    #[schemars(with = "String", extend("enum" = ["live", "demo"]))]
    pub livemode: Livemode,
    /// Milliseconds that connecting may take.
    #[serde(default = "ms::<5_000>")]
    pub connect_ms_max: u64,
    /// Milliseconds from the request to the first event of a stream; an answer in one piece has `total_ms_max`.
    #[serde(default = "ms::<60_000>")]
    pub first_byte_ms_max: u64,
    /// Milliseconds between two pieces of a stream.
    #[serde(default = "ms::<60_000>")]
    pub idle_ms_max: u64,
    /// Milliseconds that the whole call may take.
    #[serde(default = "ms::<600_000>")]
    pub total_ms_max: u64,
    /// A stream that brings fewer bytes a second than this, over 20 seconds, is given up: 0, for never, where absent.
    #[serde(default)]
    pub stream_bytes_per_second_min: u64,
    /// While one of its targets rests after failures, `GET /models` is asked every so many seconds, and they are tried at
    /// once when it answers: 0, for never, where absent.
    #[serde(default)]
    pub probe_seconds: u64,
    /// The balance below which somebody is alerted, in the currency of our account there: `"100.00"`. For providers that
    /// tell it, as DeepSeek does; where absent, only an empty account is told of.
    pub balance_alert: Option<String>,
    /// Requests per minute that we send it; as many as come where absent.
    pub requests_per_minute: Option<u32>,
    /// Tokens per minute that we send it and have it write; as many as come where absent.
    pub tokens_per_minute: Option<u64>,
    /// Calls of ours that it answers at once; as many as come where absent.
    pub concurrency_max: Option<u32>,
}

/// A model that clients may ask for.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawModel {
    /// The name clients use.
    pub id: String,
    /// Shown to clients as `owned_by`; the first provider of its route where absent.
    pub owned_by: Option<String>,
    /// Which endpoints it answers at; as the catalog says of its route's first target where absent, else `chat`.
    pub kind: Option<ModelKind>,
    /// Tokens of the largest prompt and its answer together; as the catalog says of its route's first target where absent.
    pub context: Option<u64>,
    /// Tokens of the largest answer; as the catalog says of its route's first target where absent.
    pub output_max: Option<u64>,
    /// What the customer pays, until a price list is published. Without it the model waits for a list that has it.
    pub price: Option<RawPrice>,
    /// Requests per minute for this model, of all accounts together; as many as come where absent.
    pub requests_per_minute: Option<u32>,
    /// Tokens per minute of this model, of all accounts together; as many as come where absent.
    pub tokens_per_minute: Option<u64>,
    /// Calls for this model in flight at once, of all accounts together; as many as come where absent.
    pub concurrency_max: Option<u32>,
}

/// What the customer pays for a million tokens: decimal strings, never numbers, so that nothing is rounded.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawPrice {
    /// What the figures are in. Other currencies than CNY are converted at the exchange rate of the moment.
    pub currency: Currency,
    /// A million tokens of fresh input: `"2.50"`. CNY has 3 decimals at most, others 6.
    pub input: String,
    /// A million tokens of input read from the provider's cache; as `input` where absent.
    pub cached_input: Option<String>,
    /// A million tokens of input written to the provider's cache; as `input` where absent.
    pub cache_write: Option<String>,
    /// A million tokens of output, reasoning included. Only a model of the kind `embedding` has none.
    pub output: Option<String>,
}

/// Which providers serve a model.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RawRoute {
    /// The model's `id`.
    pub model: String,
    /// What it is called in explanations, and by callers that ask for it with `x-tollgate-route`.
    pub name: Option<String>,
    /// Which calls it is for: all where absent.
    #[serde(default)]
    pub when: RawCondition,
    /// Who serves it: `"provider/the provider's name for the model"`, or a table with that as `to`.
    pub targets: Vec<RawTarget>,
    /// Which of the targets of one priority is asked first.
    #[serde(default)]
    pub strategy: Strategy,
    /// Output tokens set aside for a call that names no `max_tokens`: 4096 where absent, or the model's `output_max`
    /// if that is less.
    pub hold_output_tokens: Option<u64>,
    /// What becomes of a call whose ceiling the balance, a budget or the caller's own maximum does not cover.
    #[serde(default)]
    pub when_short: WhenShort,
    /// Attempts in all, the first included: 1 to 10. Where absent, as many as it has targets, and 3 at least.
    pub attempts_max: Option<u32>,
    /// After which failures another target is asked: all but `context_window` and `content_filter` where absent.
    pub fail_over_on: Option<Vec<FailureClass>>,
    /// Milliseconds that a call may take with all its attempts.
    #[serde(default = "ms::<600_000>")]
    pub total_ms_max: u64,
    /// Whether, and when, a second target is asked beside a slow first: never where absent.
    pub hedge: Option<RawHedge>,
    /// Whether an answer that breaks off in the middle of its text is continued by another target, which is given what was
    /// said so far (`quirks.prefill`). Only plain text is: no tools, no JSON that was asked for, no thoughts.
    #[serde(default)]
    pub continue_streams: bool,
    /// Cheaper models that a call which is not covered may be served by, in this order, where its caller allows that
    /// (`x-tollgate-downgrade: allow`).
    #[serde(default)]
    pub downgrade_to: Vec<String>,
    /// By whose price a call is charged that another model has served, because its caller named it in `models` or allowed
    /// a cheaper one.
    #[serde(default)]
    pub charged_as: ChargedAs,
    /// Leaves out targets where a call would cost us more than so many per cent of what its customer pays for it: none
    /// where absent.
    pub cost_percent_max: Option<u32>,
    /// Lets answers be given again to the same account: not where absent.
    pub cache: Option<RawRouteCache>,
}

/// Bounds on what callers may ask.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawLimits {
    /// Requests per minute of a key that has no figure of its own.
    pub requests_per_minute: u32,
    /// Tokens per minute of a key that has no figure of its own.
    pub tokens_per_minute: u64,
    /// Calls in flight at once of a key that has no figure of its own; as many as come where absent.
    pub concurrency_max: Option<u32>,
    /// What all keys of an account may ask together, where the account has no table of its own.
    pub account: RawBounds,
    /// The same for single accounts, by id: what is written here counts instead of `[limits.account]`, key by key.
    pub accounts: BTreeMap<String, RawBounds>,
    /// A Redis in which several nodes count together: `redis://cache.example.com/0`, `rediss://` for TLS, or where its URL
    /// is kept: `env:NAME` or `file:PATH`. Each node counts by itself where absent.
    pub redis: Option<String>,
    /// Milliseconds that a call waits for that Redis before this node decides by itself.
    pub redis_ms_max: u64,
    /// How many nodes share the limits while Redis is away: each then keeps this part of them. As many as were last seen
    /// where absent.
    pub nodes: Option<u32>,
    /// Bytes of the largest request body.
    pub body_max_bytes: usize,
    /// Calls in flight at once in this process; more are turned away.
    pub calls_in_flight_max: usize,
}

impl Default for RawLimits {
    fn default() -> Self {
        let usual = Limits::default();
        Self {
            requests_per_minute: usual.requests_per_minute,
            tokens_per_minute: usual.tokens_per_minute,
            concurrency_max: usual.concurrency_max,
            account: RawBounds::default(),
            accounts: BTreeMap::new(),
            redis: None,
            redis_ms_max: 50,
            nodes: usual.nodes,
            body_max_bytes: usual.body_max_bytes,
            calls_in_flight_max: usual.calls_in_flight_max,
        }
    }
}

/// What somebody may ask; what is absent is not bounded.
#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RawBounds {
    /// Requests per minute.
    pub requests_per_minute: Option<u32>,
    /// Tokens per minute.
    pub tokens_per_minute: Option<u64>,
    /// Calls in flight at once.
    pub concurrency_max: Option<u32>,
}

fn live() -> Livemode {
    Livemode::Live
}

fn ms<const N: u64>() -> u64 {
    N
}
