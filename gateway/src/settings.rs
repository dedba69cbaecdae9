//! How was this process asked to run? Alone in reading the file and, with `cli/`, the environment.
//!
//! [`Settings`] is the checked form: every address parsed, every amount an integer, every secret at hand. Reading goes
//! in four steps, and each says all it has to say: syntax; keys and types, against the published [`schema`]; the
//! meaning, with router-config's own rules; the secrets. What is wrong is shown with line and column
//! ([`ConfigErrors`]). Relative paths in the file start where the process was started.

mod catalog; // an own catalog over the one that is built in
mod check; // is what the file says possible?
mod cidr; // whose forwarded address counts
mod errors; // what is wrong, with line and column
mod payments; // merchants and top-ups
mod raw; // the file as written
mod secret; // where secrets are, and how they stay out of logs
mod shape; // unknown, missing and mistyped keys, all at once
mod spans; // which line is this?
mod written; // what has changed since?

use std::{
    collections::BTreeMap, fmt, net::SocketAddr, path::Path, path::PathBuf, str::FromStr, sync::Arc,
    time::Duration,
};

use ::payments::{
    grant::GrantCaps,
    reconcile::FeeTiers,
    topup::{BonusRungs, GuardBounds, Rollout},
};
use router_config::{Catalog, RouteTable};
use schemars::JsonSchema;
use serde::Deserialize;
use units::{Fen, Livemode};

pub use self::{
    cidr::Cidr,
    errors::{ConfigError, ConfigErrors, Place},
    secret::{Environment, Secret, SecretError, Secrets},
    written::{Changes, LookedInto, Written},
};
use self::{raw::RawFile, spans::Document, written::Remembering};

/// How this process was asked to run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The listener of clients and payment notices.
    pub server: ServerSettings,
    /// The listener of operators.
    pub admin: AdminSettings,
    /// Where money is kept.
    pub store: StoreSettings,
    /// Who is paid, and how top-ups are bounded.
    pub payments: PaymentSettings,
    /// Where exchange rates come from.
    pub fx: FxSettings,
    /// What is logged, and how.
    pub telemetry: TelemetrySettings,
    /// What is known of providers and models.
    pub catalog: Arc<Catalog>,
    /// Where limits are counted together with other nodes.
    pub limits: RedisSettings,
    /// Where answers are shared with other nodes.
    pub cache: RedisSettings,
    /// Providers, models, routes and limits.
    pub table: Arc<RouteTable>,
    /// The key of each provider that has one, by the provider's id.
    pub provider_keys: BTreeMap<String, Vec<Secret>>,
    /// Fingerprints of the own catalog's files, by name.
    pub catalog_files: BTreeMap<String, [u8; 32]>,
    /// What was written, to be compared with what is written later.
    pub written: Written,
    /// The file that was read; none where it was text.
    pub file: Option<PathBuf>,
    /// Which files it depends on.
    pub looked_into: LookedInto,
    /// What is missing or wrong of merchants' keys. It keeps nobody from serving: what is paid that way is off.
    pub amiss: ConfigErrors,
}

/// What came of reading a file once.
#[derive(Debug)]
pub struct Reading {
    /// What it says.
    pub settings: Result<Settings, ConfigErrors>,
    /// What would have to change for it to say something else.
    pub looked_into: LookedInto,
}

/// `[server]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Where WeChat and browsers reach us, without a trailing slash; the app derives it from the bound address where
    /// it is absent.
    pub public_url: Option<String>,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Cidr>,
    /// How long calls in flight may take to finish after a request to stop.
    pub drain_max: Duration,
    /// A stream that is silent for so long gets a comment.
    pub keep_alive: Duration,
    /// Where callers are who do not say it.
    pub region: Option<Arc<str>>,
    /// Whether the file, and those it names, are read again when they change.
    pub watch: bool,
    /// Written once the listeners are bound.
    pub ready_file: Option<PathBuf>,
    /// Keys are stored as HMACs under this secret; the app keeps one of its own in the store's folder where it is
    /// absent.
    pub key_secret: Option<Secret>,
}

/// `[admin]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminSettings {
    /// Where operators connect.
    pub listen: SocketAddr,
    /// The file that holds the administrator's token.
    pub token_file: Option<PathBuf>,
}

/// `[store]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreSettings {
    /// The store's folder.
    pub path: PathBuf,
    /// The PostgreSQL database that has the books, if the folder has not.
    pub url: Option<Secret>,
}

/// What `[limits]` and `[cache]` each say of the Redis that nodes share; all else in them stands in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisSettings {
    /// Its URL; each node is by itself where absent.
    pub redis: Option<Secret>,
    /// How long a call waits for it.
    pub redis_max: Duration,
}

/// `[payments]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentSettings {
    /// WeChat Pay merchants by the name that stands in their callback path.
    pub merchants: BTreeMap<String, MerchantSettings>,
    /// What a top-up may be.
    pub topup: TopupSettings,
    /// What payments for yuan come with.
    pub bonus: BonusRungs,
    /// What is lent while a payment is under way.
    pub grants: GrantCaps,
    /// More than this goes back with a second person only; absent, nothing takes one.
    pub refunds_approved_above: Option<Fen>,
    /// What WeChat Pay is expected to keep.
    pub fees: FeeTiers,
    /// To whom top-ups are offered, and when they are stopped for all.
    pub rollout: Rollout,
    /// When somebody's are slowed down or stopped.
    pub guard: GuardBounds,
}

/// `[payments.wechat.<name>]`, its keys read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MerchantSettings {
    /// Real money, or the simulator's.
    pub mode: MerchantMode,
    /// Which of WeChat Pay's APIs is spoken.
    pub api: WechatApi,
    /// Where that API lives, without a trailing slash.
    pub base_url: String,
    /// The authorities that are trusted at that address instead of the system's, PEM: a simulator's own.
    pub ca: Option<String>,
    /// Where it is asked for when there is no way to the first, without a trailing slash.
    pub backup_url: Option<String>,
    /// The merchant number.
    pub mchid: String,
    /// The official account or Mini Program that is bound to it.
    pub appid: String,
    /// The Mini Program that is bound to it.
    pub mini_program_appid: Option<String>,
    /// The page of it that pays an order.
    pub mini_program_page: Option<String>,
    /// What API v3 is spoken with; it is not where absent.
    pub v3: Option<V3Settings>,
    /// What API v2 is spoken with; it is not where absent.
    pub v2: Option<V2Settings>,
    /// What is missing or wrong of the keys, one after the other; an API of whose keys something is has none here.
    pub amiss: Vec<String>,
}

impl MerchantSettings {
    /// Everything but the keys: what a running process does not change.
    #[must_use]
    pub fn without_keys(&self) -> Self {
        Self { backup_url: None, v3: None, v2: None, amiss: Vec::new(), ..self.clone() }
    }
}

/// What API v3 is spoken with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct V3Settings {
    /// The serial of the merchant's certificate: 40 upper-case hex digits.
    pub merchant_serial: String,
    /// The merchant's private key, PKCS#8 PEM.
    pub private_key: Secret,
    /// The 32 bytes that notices and certificates are encrypted with.
    pub api_v3_key: Secret,
    /// The APIv3 key before that one.
    pub previous_api_v3_key: Option<Secret>,
    /// The platform's public keys, which new merchants have instead of certificates. The first is the one that is asked for.
    pub platform_public_keys: Vec<PlatformPublicKey>,
    /// The platform's certificates, PEM, beside those that are downloaded.
    pub platform_certificates: Vec<String>,
    /// Whether the platform's certificates are downloaded.
    pub download_certificates: bool,
    /// The merchant's own certificate, PEM, where it is at hand: what it says must fit.
    pub certificate: Option<String>,
}

/// What API v2 is spoken with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct V2Settings {
    /// The 32 letters and digits that messages are signed with.
    pub key: Secret,
    /// How messages of new orders are signed.
    pub sign_type: V2SignType,
    /// The merchant's certificate and its private key, PEM, which refunds are asked for with; without them there are none.
    pub certificate: Option<(Secret, Secret)>,
}

/// What the platform signs with, by id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformPublicKey {
    /// `PUB_KEY_ID_` and digits, as `Wechatpay-Serial` carries it.
    pub id: String,
    /// SPKI PEM.
    pub pem: String,
}

/// Whose money a merchant takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MerchantMode {
    /// Real money, from WeChat Pay.
    Live,
    /// The simulator's.
    Sandbox,
}

impl MerchantMode {
    /// The mode of the orders it takes.
    pub const fn livemode(self) -> Livemode {
        match self {
            Self::Live => Livemode::Live,
            Self::Sandbox => Livemode::Demo,
        }
    }
}

/// Which of WeChat Pay's APIs is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WechatApi {
    /// JSON, RSA and AES-GCM.
    V3,
    /// XML and a shared key.
    V2,
}

/// How messages of API v2 are signed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum V2SignType {
    /// The one to use.
    #[default]
    #[serde(rename = "HMAC-SHA256")]
    HmacSha256,
    /// For merchants that cannot do without it.
    #[serde(rename = "MD5")]
    Md5,
}

/// `[payments.topup]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopupSettings {
    /// The smallest top-up.
    pub min: Fen,
    /// The largest.
    pub max: Fen,
    /// How long an order can be paid.
    pub expires: Duration,
    /// What stands in the payer's bill.
    pub description: String,
    /// So many unpaid orders an account has at most.
    pub open_orders_max: u32,
    /// Whether a device has to be named.
    pub needs_device: bool,
}

/// `[fx]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FxSettings {
    /// Asked in this order.
    pub sources: Vec<FxSource>,
    /// How long a rate is served before it is asked for again.
    pub cache: Duration,
    /// How old a rate may become when no source answers; after that nothing is sold at it.
    pub max_stale: Duration,
    /// How old it may become before somebody is warned.
    pub warn_stale: Duration,
    /// How long one source may take to answer.
    pub patience: Duration,
    /// Rates set by hand, which no source is asked for.
    pub pinned: BTreeMap<CurrencyPair, RateMicro>,
}

/// One source of one exchange rate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FxSource {
    /// Its name in logs and receipts.
    pub name: String,
    /// What is fetched; `{base}` has been replaced.
    pub url: String,
    /// JSON pointer (RFC 6901) to the rate in the answer.
    pub pointer: String,
    /// JSON pointer to when it was observed.
    pub observed: Option<String>,
    /// Which rate it is.
    pub pair: CurrencyPair,
}

/// How many `quote` one `base` is worth: `USD/CNY`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CurrencyPair {
    /// The currency that is sold, three capital letters.
    pub base: String,
    /// The currency it is paid in.
    pub quote: String,
}

/// A text that is no currency pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a pair of two different currencies like `USD/CNY`")]
pub struct BadPair;

impl FromStr for CurrencyPair {
    type Err = BadPair;

    fn from_str(text: &str) -> Result<Self, BadPair> {
        let currency = |code: &str| code.len() == 3 && code.bytes().all(|b| b.is_ascii_uppercase());
        match text.split_once('/') {
            Some((base, quote)) if currency(base) && currency(quote) && base != quote => {
                Ok(Self { base: base.to_owned(), quote: quote.to_owned() })
            }
            _ => Err(BadPair),
        }
    }
}

impl fmt::Display for CurrencyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.quote)
    }
}

/// An exchange rate in millionths of the quote currency per unit of the base; always above zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RateMicro(i64);

impl RateMicro {
    /// Millionths.
    pub const fn get(self) -> i64 {
        self.0
    }
}

/// `[telemetry]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TelemetrySettings {
    /// A filter such as `info` or `info,tollgate=debug`.
    pub log: String,
    /// How lines are written.
    pub format: LogFormat,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

impl Settings {
    /// Reads the file at `path` and the secrets it names.
    ///
    /// # Errors
    /// [`ConfigErrors`] with everything that is wrong.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        Reading::of(path).settings
    }

    /// Reads `text`; `origin` is its name in messages.
    ///
    /// # Errors
    /// [`ConfigErrors`] with everything that is wrong.
    pub fn parse(text: &str, origin: &str, secrets: &dyn Secrets) -> Result<Self, ConfigErrors> {
        Reading::parse(text, origin, secrets).settings
    }
}

impl Reading {
    /// Reads the file at `path` and the secrets it names, and says where it looked.
    pub fn of(path: &Path) -> Self {
        let origin = path.display().to_string();
        let mut reading = match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, &origin, &Environment),
            Err(error) => Self {
                settings: Err(ConfigErrors::unreadable(&origin, &error)),
                looked_into: LookedInto::default(),
            },
        };
        reading.looked_into.files.insert(path.to_owned());
        if let Ok(settings) = &mut reading.settings {
            settings.file = Some(path.to_owned());
            settings.looked_into.clone_from(&reading.looked_into);
        }
        reading
    }

    fn parse(text: &str, origin: &str, secrets: &dyn Secrets) -> Self {
        let secrets = Remembering::new(secrets);
        let mut looked_into = LookedInto::default();
        let mut settings = read(text, origin, &secrets, &mut looked_into);
        let seen = secrets.seen();
        looked_into.files.extend(written::files_of(&seen));
        if let Ok(settings) = &mut settings {
            settings.written = Written::new(text, &seen, &settings.catalog_files);
        }
        Self { settings, looked_into }
    }
}

/// Syntax, keys and types, meaning; each says all it has to say.
fn read(
    text: &str,
    origin: &str,
    secrets: &dyn Secrets,
    looked_into: &mut LookedInto,
) -> Result<Settings, ConfigErrors> {
    let mut errors = ConfigErrors::new(origin);
    let mut document = match Document::parse(text) {
        Ok(document) => document,
        Err(error) => {
            errors.add(spans::place(text, error.span()), error.message(), None);
            return Err(errors);
        }
    };
    let findings = shape::check(&schema(), &mut document);
    let readable = findings.iter().all(|finding| finding.harmless);
    for finding in findings {
        let place = spans::place(text, Some(finding.span));
        errors.add(place, finding.message, finding.help);
    }
    if !readable {
        return Err(errors.sorted());
    }
    let raw: RawFile = match document.deserialize() {
        Ok(raw) => raw,
        Err(error) => {
            errors.add(spans::place(text, error.span()), error.message(), None);
            return Err(errors.sorted());
        }
    };
    looked_into.folder.clone_from(&raw.catalog.path);
    match check::settings(raw, secrets, origin) {
        Ok((mut settings, amiss)) if errors.is_empty() => {
            for problem in amiss {
                let message = errors::with_path(&problem);
                settings.amiss.add(document.locate(&problem.path), message, problem.help);
            }
            settings.amiss = settings.amiss.sorted();
            return Ok(settings);
        }
        Ok(_) => {}
        Err(problems) => {
            for problem in problems {
                let message = errors::with_path(&problem);
                errors.add(document.locate(&problem.path), message, problem.help);
            }
        }
    }
    Err(errors.sorted())
}

/// The JSON schema of the file, as `tollgate config schema` prints it.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(RawFile).to_value()
}

#[cfg(test)]
mod tests;
