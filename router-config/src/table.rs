//! What is routed: the checked form of the file. Nothing here can hold a bad value.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use units::{Livemode, Tokens};

use crate::{
    Alias, Auth, Bounds, CacheBounds, Capability, CatalogModel, ChargedAs, Circumstances, Condition,
    FailureClass, Hedge, Limits, ModelKind, Prefill, Quirks, Region, RouteCache, Strategy, Unfit, WhenShort,
    Wire, alias,
};

/// Everything routing needs, as one immutable snapshot.
#[derive(Debug, Clone, Default)]
pub struct RouteTable {
    /// By id.
    pub providers: BTreeMap<String, Arc<Provider>>,
    /// By the name a client asks for.
    pub models: BTreeMap<String, Arc<Model>>,
    /// By the model name they serve; every model has at least one.
    pub routes: BTreeMap<String, Routes>,
    /// Other names of models, in the order in which they are tried.
    pub aliases: Vec<Alias>,
    /// What a caller may ask for.
    pub limits: Limits,
    /// What the exact caches of all routes may keep.
    pub cache: CacheBounds,
}

/// Where a secret is to be read from. This crate reads nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SecretRef {
    /// `env:NAME`
    Env(String),
    /// `file:PATH`
    File(String),
}

/// A text that does not name where a secret is kept. It is not repeated: it may be the secret itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSecretRef {
    /// Neither `env:` nor `file:`.
    #[error(
        "a secret itself may not stand here: name where it is kept, as `env:NAME` or `file:/run/secrets/name`"
    )]
    Literal,
    /// `env:` with no name, or one that no environment has.
    #[error("after `env:` comes the name of an environment variable: letters, digits and `_`")]
    EnvName,
    /// `file:` and nothing behind it.
    #[error("after `file:` comes a path")]
    FilePath,
}

impl FromStr for SecretRef {
    type Err = BadSecretRef;

    fn from_str(text: &str) -> Result<Self, BadSecretRef> {
        if let Some(name) = text.strip_prefix("env:") {
            let good = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
            let begins_well = name.bytes().next().is_some_and(|b| !b.is_ascii_digit());
            if begins_well && name.bytes().all(good) {
                Ok(Self::Env(name.to_owned()))
            } else {
                Err(BadSecretRef::EnvName)
            }
        } else if let Some(path) = text.strip_prefix("file:") {
            if path.trim().is_empty() || path.contains('\0') {
                Err(BadSecretRef::FilePath)
            } else {
                Ok(Self::File(path.to_owned()))
            }
        } else {
            Err(BadSecretRef::Literal)
        }
    }
}

impl fmt::Display for SecretRef {
    /// As it is written in the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{path}"),
        }
    }
}

/// One upstream account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// The id targets name, and the label in metrics.
    pub id: String,
    /// Its provider's id in the catalog, or [`ANY_KIND`](crate::ANY_KIND).
    pub kind: String,
    /// On which side of the provider the account is, where there are two.
    pub region: Option<Region>,
    /// Which wire it speaks.
    pub wire: Wire,
    /// How it is shown its key.
    pub auth: Auth,
    /// What is particular about it: what the catalog says, and what the file says otherwise.
    pub quirks: Arc<Quirks>,
    /// Absolute `http(s)` URL, without a trailing slash; the path of each endpoint is appended.
    pub base_url: String,
    /// Its keys, each of which will do; a provider such as a local vLLM may need none.
    pub api_keys: Vec<SecretRef>,
    /// Whether its answers cost real money.
    pub livemode: Livemode,
    /// Connecting may take this long.
    pub connect_max: Duration,
    /// From request to the first event of a stream; an answer in one piece has `total_max`.
    pub first_byte_max: Duration,
    /// Between two chunks of a stream.
    pub idle_max: Duration,
    /// The whole call.
    pub total_max: Duration,
    /// A stream slower than so many bytes a second is given up; 0 for never.
    pub stream_bytes_per_second_min: u64,
    /// How often it is asked whether it is there while a target of it rests after failures; never where absent.
    pub probe_every: Option<Duration>,
    /// The balance of our account there below which somebody is alerted, in millionths of its currency.
    pub balance_alert_micro: Option<i64>,
    /// What we send it.
    pub bounds: Bounds,
}

/// The currency a price is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Currency {
    /// Yuan.
    Cny,
    /// US dollars; this and what follows is converted with the FX rate of the moment.
    Usd,
    /// Euro.
    Eur,
    /// Pounds sterling.
    Gbp,
    /// Yen.
    Jpy,
    /// Hong Kong dollars.
    Hkd,
    /// Singapore dollars.
    Sgd,
}

impl Currency {
    /// The three letters of ISO 4217, as in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cny => "CNY",
            Self::Usd => "USD",
            Self::Eur => "EUR",
            Self::Gbp => "GBP",
            Self::Jpy => "JPY",
            Self::Hkd => "HKD",
            Self::Sgd => "SGD",
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A price as written: millionths of the currency unit per million tokens (so `2.50` is 2,500,000), exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MicroPerMillion(pub i64);

/// What the customer pays for a model, before conversion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListPrice {
    /// What the figures are in.
    pub currency: Currency,
    /// Fresh input.
    pub input: MicroPerMillion,
    /// Input read from the provider's cache; `input` where absent.
    pub cached_input: Option<MicroPerMillion>,
    /// Input written to the provider's cache; `input` where absent.
    pub cache_write: Option<MicroPerMillion>,
    /// Output, reasoning included.
    pub output: MicroPerMillion,
}

/// A model clients may ask for.
#[derive(Debug, Clone)]
pub struct Model {
    /// The name clients use.
    pub id: String,
    /// Shown as `owned_by`.
    pub owned_by: String,
    /// Which endpoints it answers at.
    pub kind: ModelKind,
    /// What its first target is said to be able to; what is absent is not stated.
    pub caps: BTreeSet<Capability>,
    /// Whether using it costs real money: that of its route's providers, which must agree.
    pub livemode: Livemode,
    /// Largest prompt plus answer.
    pub context: Tokens,
    /// Largest answer.
    pub output_max: Tokens,
    /// What the customer pays until a price list is published. A model without a price waits for one that has it.
    pub price: Option<ListPrice>,
    /// What all callers together may ask of it.
    pub bounds: Bounds,
}

/// One place that can serve a model.
#[derive(Debug, Clone)]
pub struct Target {
    /// Who serves it.
    pub provider: Arc<Provider>,
    /// What the provider calls it.
    pub upstream_model: String,
    /// What the catalog knows of it there.
    pub facts: Option<Arc<CatalogModel>>,
    /// Its share, where its route deals by shares.
    pub weight: u32,
    /// Lower is asked first.
    pub priority: u32,
    /// Which calls it is for.
    pub when: Condition,
}

/// The routes of one model, in the order in which they are tried; never empty.
#[derive(Debug, Clone)]
pub struct Routes(pub Vec<Arc<Route>>);

impl Routes {
    /// The first that is for `call`; of that name, where the caller asks for one by name. With it, those before it that are
    /// not.
    ///
    /// # Errors
    /// Why none is, for each that was looked at.
    pub fn pick(&self, call: &Circumstances<'_>, name: Option<&str>) -> Result<Picked<'_>, Vec<NoRoute<'_>>> {
        let mut passed = Vec::new();
        for route in &self.0 {
            let why = if name.is_some_and(|name| route.name.as_deref() != Some(name)) {
                None
            } else {
                match route.when.fits(call) {
                    Ok(()) => return Ok((route, passed)),
                    Err(unfit) => Some(unfit),
                }
            };
            passed.push(NoRoute { route, why });
        }
        Err(passed)
    }

    /// Every target of every route.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        self.0.iter().flat_map(|route| &route.targets)
    }
}

/// The route that a call takes, and those that it does not.
pub type Picked<'a> = (&'a Arc<Route>, Vec<NoRoute<'a>>);

/// A route that a call does not take.
#[derive(Debug, Clone, Copy)]
pub struct NoRoute<'a> {
    /// Which.
    pub route: &'a Route,
    /// What the call does not fit; `None` where it asked for another by name.
    pub why: Option<Unfit>,
}

impl RouteTable {
    /// The model that `name` means to `call`, by itself or through aliases; the name the aliases end at, where there is no
    /// such model.
    pub fn meant<'a>(&'a self, name: &'a str, call: &Circumstances<'_>) -> &'a str {
        alias::resolve(&self.aliases, name, call, |name| self.models.contains_key(name))
    }
}

impl Target {
    /// How its model is given the beginning of an answer; `None` where it cannot be.
    pub fn prefill(&self) -> Option<&Prefill> {
        let Provider { wire, quirks, .. } = &*self.provider;
        // Messages have a word for it too, which Anthropic's newer models refuse.
        quirks.prefills(&self.upstream_model).filter(|_| *wire == Wire::Openai)
    }
}

/// How calls for one model name are served.
#[derive(Debug, Clone)]
pub struct Route {
    /// The model it answers to, by whose price the caller is charged.
    pub model: Arc<Model>,
    /// What it is called, if anything.
    pub name: Option<String>,
    /// Which calls it is for.
    pub when: Condition,
    /// As written; never empty.
    pub targets: Vec<Target>,
    /// Which of them is asked first.
    pub strategy: Strategy,
    /// Output tokens held for a call that names no `max_tokens`.
    pub hold_output_tokens: Tokens,
    /// What becomes of a call that is not covered.
    pub when_short: WhenShort,
    /// Attempts in all, the first included.
    pub attempts_max: u32,
    /// After which failures another target is asked.
    pub fail_over_on: BTreeSet<FailureClass>,
    /// A call with all its attempts.
    pub total_max: Duration,
    /// When a second target is asked beside a slow first.
    pub hedge: Option<Hedge>,
    /// Whether an answer that breaks off is continued by another target.
    pub continue_streams: bool,
    /// Cheaper models for a call that is not covered, where its caller allows them.
    pub downgrade_to: Vec<String>,
    /// By whose price a call is charged that another model has served.
    pub charged_as: ChargedAs,
    /// Of what a customer pays for a call, so many hundredths are the most that it may cost us at a target.
    pub cost_percent_max: Option<u32>,
    /// Whether an answer may be given again.
    pub cache: Option<RouteCache>,
}
