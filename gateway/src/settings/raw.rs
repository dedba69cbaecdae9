//! The file as written. The comments on the fields are published: they are the descriptions of the JSON schema.
//!
//! No shape here shows itself with `Debug`, for a secret may have been pasted where its name belongs.

use std::{collections::BTreeMap, path::PathBuf};

use router_config::{RawAlias, RawCache, RawLimits, RawModel, RawProvider, RawRoute};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{LogFormat, MerchantMode, V2SignType, WechatApi};

/// How Tollgate is asked to run. A secret never stands here: its place does, as `env:NAME` or `file:PATH`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "tollgate.toml")]
pub(super) struct RawFile {
    /// The listener of clients and payment notices.
    #[serde(default)]
    pub(super) server: RawServer,
    /// The listener of operators: console, admin API, metrics.
    #[serde(default)]
    pub(super) admin: RawAdmin,
    /// Where money is kept.
    #[serde(default)]
    pub(super) store: RawStore,
    /// Who is paid, and how top-ups are bounded.
    #[serde(default)]
    pub(super) payments: RawPayments,
    /// Where exchange rates come from, for models priced in other currencies than yuan.
    #[serde(default)]
    pub(super) fx: RawFx,
    /// What is logged, and how.
    #[serde(default)]
    pub(super) telemetry: RawTelemetry,
    /// Facts and costs of models that stand over those which are built in.
    #[serde(default)]
    pub(super) catalog: RawCatalog,
    /// Accounts at upstream providers.
    #[serde(default)]
    pub(super) providers: Vec<RawProvider>,
    /// Models that clients may ask for, and what they cost the customer.
    #[serde(default)]
    pub(super) models: Vec<RawModel>,
    /// Which providers serve each model. A model may have several routes for different calls: the first that fits is taken.
    #[serde(default)]
    pub(super) routes: Vec<RawRoute>,
    /// Other names for models.
    #[serde(default)]
    pub(super) aliases: Vec<RawAlias>,
    /// Bounds on what callers may ask.
    #[serde(default)]
    pub(super) limits: RawLimits,
    /// Where the exact caches of all routes keep answers, and how much.
    #[serde(default)]
    pub(super) cache: RawCache,
}

/// The listener of clients and payment notices.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawServer {
    /// Address and port where clients connect; port 0 takes a free one.
    pub(super) listen: String,
    /// Where WeChat and browsers reach this server: `https://llm.example.com`. Derived from the bound address where
    /// absent.
    pub(super) public_url: Option<String>,
    /// Proxies whose `X-Forwarded-For` is believed, as blocks of addresses: `["10.0.0.0/8"]`.
    pub(super) trusted_proxies: Vec<String>,
    /// Milliseconds that calls in flight may take to finish after a request to stop.
    pub(super) drain_ms_max: u64,
    /// Milliseconds of silence after which a stream gets a comment, so that nobody takes the connection for dead.
    pub(super) keep_alive_ms: u64,
    /// Where callers are who do not say it with `x-tollgate-region`, such as `apac`: what `regions` of routes are compared
    /// with, and what the paces of targets are remembered by.
    pub(super) region: Option<String>,
    /// Whether this file, the files its secrets are kept in and the own catalog are read again when one of them changes.
    /// `false` leaves that to SIGHUP and `POST /admin/v1/config:reload`.
    pub(super) watch: bool,
    /// A file that is written once the listeners are bound, for scripts that wait.
    pub(super) ready_file: Option<PathBuf>,
    /// Where the secret that API keys are hashed with is kept: `env:NAME` or `file:PATH`. Generated into the file
    /// `key_secret` in the store's folder where absent. Whoever loses it must issue every key anew.
    pub(super) key_secret: Option<String>,
}

impl Default for RawServer {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            public_url: None,
            trusted_proxies: Vec::new(),
            drain_ms_max: 30_000,
            keep_alive_ms: 10_000,
            region: None,
            watch: true,
            ready_file: None,
            key_secret: None,
        }
    }
}

/// The listener of operators: console, admin API, metrics.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawAdmin {
    /// Address and port where operators connect; port 0 takes a free one. Keep it off the internet.
    pub(super) listen: String,
    /// The file that holds the administrator's token.
    pub(super) token_file: Option<PathBuf>,
}

impl Default for RawAdmin {
    fn default() -> Self {
        Self { listen: "127.0.0.1:8081".to_owned(), token_file: None }
    }
}

/// Where money is kept.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawStore {
    /// The store's folder, on a local disk.
    pub(super) path: PathBuf,
    /// A PostgreSQL database for the books, which several nodes may share: `postgresql://tollgate@db.example.com/tollgate`, or
    /// where its URL is kept: `env:NAME` or `file:PATH`. The folder keeps this node's journal and secrets then.
    pub(super) url: Option<String>,
}

impl Default for RawStore {
    fn default() -> Self {
        Self { path: PathBuf::from("./tollgate-data"), url: None }
    }
}

/// Who is paid, and how top-ups are bounded.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawPayments {
    /// WeChat Pay merchants by a name of your choice, which stands in the path of their notices.
    pub(super) wechat: BTreeMap<String, RawMerchant>,
    /// What a top-up may be.
    pub(super) topup: RawTopup,
    /// What payments for yuan come with: the highest of these that the amount reaches counts.
    pub(super) bonus: Vec<RawBonus>,
    /// What is lent to a payer while the payment is under way.
    pub(super) grants: RawGrants,
    /// How much goes back without a second person.
    pub(super) refunds: RawRefunds,
    /// What WeChat Pay is expected to keep of payments. Its fees are posted as its bills have them; others than these are told of.
    pub(super) fees: RawFees,
    /// To whom top-ups are offered, and when they are stopped for all.
    pub(super) rollout: RawRollout,
    /// When somebody's top-ups are slowed down, and when they are stopped.
    pub(super) guard: RawGuard,
}

/// To whom top-ups are offered, and when they are stopped for all.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawRollout {
    /// So many per cent of the accounts are offered top-ups: which, follows from their ids, and more per cent only add some.
    pub(super) percent: u8,
    /// More than so many per cent of new orders that WeChat Pay refuses or gives no clear answer to stop top-ups for all, until an
    /// operator opens them. 100 is never.
    pub(super) stop_above_percent: u8,
    /// Seconds whose orders count: 10 to 86400.
    pub(super) window_secs: u64,
    /// Fewer orders than these say nothing.
    pub(super) orders_min: u32,
}

impl Default for RawRollout {
    fn default() -> Self {
        Self { percent: 100, stop_above_percent: 80, window_secs: 600, orders_min: 50 }
    }
}

/// When somebody's top-ups are slowed down, and when they are stopped.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawGuard {
    /// More than so many per cent of an account's, a key's or a merchant's orders that fail or are given up put a pause between
    /// orders. 100 is never.
    pub(super) slow_above_percent: u8,
    /// More than so many stop them, until an operator opens them. 100 is never.
    pub(super) stop_above_percent: u8,
    /// Seconds whose orders count: 10 to 604800.
    pub(super) window_secs: u64,
    /// Fewer orders than these say nothing.
    pub(super) orders_min: u32,
    /// Seconds of the pause: 1 to 3600.
    pub(super) pause_secs: u64,
}

impl Default for RawGuard {
    fn default() -> Self {
        Self {
            slow_above_percent: 60,
            stop_above_percent: 90,
            window_secs: 86_400,
            orders_min: 50,
            pause_secs: 60,
        }
    }
}

/// How much goes back without a second person.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawRefunds {
    /// More than this in one request, in yuan, takes a second person: an operator names another one, and what a customer asks for
    /// is set aside and waits until an operator agrees. A decimal string; `""` for never.
    pub(super) approve_above: String,
}

impl Default for RawRefunds {
    fn default() -> Self {
        Self { approve_above: "1000.00".to_owned() }
    }
}

/// What payments from some amount on come with. It is used after its payment and goes with it, as far as it is refunded.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBonus {
    /// The least that is paid for it, in yuan: a decimal string.
    pub(super) from: String,
    /// Given as so many per cent of what is paid, to two decimals, rounded down to the fen: `percent = "10"`.
    pub(super) percent: Option<String>,
    /// Given as an amount in yuan, whatever is paid: `amount = "10.00"`.
    pub(super) amount: Option<String>,
}

/// One WeChat Pay merchant.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMerchant {
    /// `live` takes real money, `sandbox` the simulator's.
    pub(super) mode: MerchantMode,
    /// By which of WeChat Pay's APIs new orders are made. Orders keep theirs: both are spoken where there are keys of both.
    #[serde(default = "v3")]
    #[schemars(extend("default" = "v3"))]
    pub(super) api: WechatApi,
    /// Where that API lives. A sandbox must name its simulator.
    #[serde(default = "wechat_pay")]
    pub(super) base_url: String,
    /// Where the certificate of the authority (PEM) is kept that a simulator's `https` address is trusted by, instead of
    /// those the system trusts: `file:PATH` or `env:NAME`. For `sandbox` only.
    pub(super) ca: Option<String>,
    /// Where it is asked for when there is no connection to the first, for nothing else: scheme, name and port. Of live
    /// merchants at WeChat Pay's usual address that is `https://api2.mch.weixin.qq.com`, otherwise none.
    pub(super) backup_url: Option<String>,
    /// The merchant number, digits only.
    pub(super) mchid: String,
    /// The official account or Mini Program bound to it: `wx` and 16 hex digits.
    pub(super) appid: String,
    /// The Mini Program bound to it: `wx` and 16 hex digits. Payments in a Mini Program are not taken where absent.
    pub(super) mini_program_appid: Option<String>,
    /// The page of that Mini Program which pays an order: the top-up says it with `?order=` and the order's id.
    pub(super) mini_program_page: Option<String>,
    /// The serial of the merchant's certificate: 40 hex digits. API v3 needs it.
    pub(super) merchant_serial: Option<String>,
    /// Where the merchant's private key (`apiclient_key.pem`) is kept: `file:PATH` or `env:NAME`. API v3 needs it, and refunds
    /// by API v2.
    pub(super) private_key: Option<String>,
    /// Where the APIv3 key (32 characters) is kept: `env:NAME` or `file:PATH`. API v3 is not spoken where absent.
    pub(super) api_v3_key: Option<String>,
    /// Where the APIv3 key before the last change is kept: `env:NAME` or `file:PATH`. Notices on their way are still encrypted
    /// with it.
    pub(super) previous_api_v3_key: Option<String>,
    /// Where the APIv2 key (32 characters) is kept: `env:NAME` or `file:PATH`. API v2 is not spoken where absent.
    pub(super) api_v2_key: Option<String>,
    /// How messages of API v2 are signed; `MD5` only where the merchant cannot do without it. An order keeps what it was made
    /// with.
    #[serde(default)]
    pub(super) sign_type: V2SignType,
    /// Where the merchant's certificate (`apiclient_cert.pem`) is kept: `file:PATH` or `env:NAME`. Refunds by API v2 need it; where it
    /// is there, its serial and its key must be the ones above.
    pub(super) certificate: Option<String>,
    /// The id of the platform's public key: `PUB_KEY_ID_` and digits.
    pub(super) platform_public_key_id: Option<String>,
    /// Where the platform's public key (PEM) is kept: `file:PATH` or `env:NAME`.
    pub(super) platform_public_key: Option<String>,
    /// Further public keys of the platform, for a change: `[{ id = "PUB_KEY_ID_...", key = "file:PATH" }]`.
    #[serde(default)]
    pub(super) platform_public_keys: Vec<RawPublicKey>,
    /// Where the platform's certificates (PEM) are kept: `["file:PATH"]`. Those that are downloaded need not stand here.
    #[serde(default)]
    pub(super) platform_certificates: Vec<String>,
    /// Whether the platform's certificates are downloaded, at the start, every eleven hours, and when a message names one
    /// that nobody here has heard of.
    #[serde(default = "yes")]
    #[schemars(extend("default" = true))]
    pub(super) download_certificates: bool,
}

/// One public key of the platform.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPublicKey {
    /// Its id: `PUB_KEY_ID_` and digits.
    pub(super) id: String,
    /// Where the key (PEM) is kept: `file:PATH` or `env:NAME`.
    pub(super) key: String,
}

const fn yes() -> bool {
    true
}

/// What a top-up may be.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawTopup {
    /// The smallest, in yuan: a decimal string.
    pub(super) min: String,
    /// The largest, in yuan: a decimal string.
    pub(super) max: String,
    /// Seconds in which an order can be paid: 60 to 7200, the life of WeChat's QR code.
    pub(super) expires_secs: u64,
    /// What stands in the payer's bill: 1 to 127 characters.
    pub(super) description: String,
    /// Unpaid orders that an account has at once, at most: 1 to 1000. Orders for goods are not counted.
    pub(super) open_orders_max: u32,
    /// Whether a top-up has to say from which device it is ordered. `/portal/device.js` gives a browser such a name.
    #[schemars(extend("default" = "optional"))]
    pub(super) device_id: DeviceIdRule,
}

/// Whether a device has to be named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum DeviceIdRule {
    /// It may be.
    #[default]
    Optional,
    /// It has to be: who does not is answered `PARAM_ERROR`.
    Required,
}

impl Default for RawTopup {
    fn default() -> Self {
        Self {
            min: "1.00".to_owned(),
            max: "50000.00".to_owned(),
            expires_secs: 900,
            description: "Tollgate top-up".to_owned(),
            open_orders_max: 10,
            device_id: DeviceIdRule::Optional,
        }
    }
}

/// What is lent to a payer while the payment is under way.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawGrants {
    /// The most that an account is lent that has never paid, in yuan: a decimal string. Never more than its order.
    pub(super) newcomer: String,
    /// The most that one is lent that has paid before, in yuan: a decimal string.
    pub(super) returning: String,
    /// How often one account is lent something in a day of Beijing's; 0 lends nothing.
    pub(super) per_day: u32,
    /// Seconds that it can be used: 10 to 3600.
    pub(super) lasts_secs: u64,
    /// True lends as soon as there is a code to scan; otherwise the payer has to say that it is paid.
    pub(super) unclaimed: bool,
}

impl Default for RawGrants {
    fn default() -> Self {
        Self {
            newcomer: "1.00".to_owned(),
            returning: "5.00".to_owned(),
            per_day: 3,
            lasts_secs: 300,
            unclaimed: false,
        }
    }
}

/// What WeChat Pay is expected to keep of payments.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawFees {
    /// Its share, in hundredths of a percent: 60 is 0.6 %.
    pub(super) basis_points: u32,
    /// What is paid to one merchant number beyond this much in a month of Beijing's is charged by the other rate; in yuan, a
    /// decimal string.
    pub(super) above: String,
    /// Its share beyond that, in hundredths of a percent. The same as `basis_points` where there is only one rate.
    pub(super) basis_points_above: u32,
}

impl Default for RawFees {
    fn default() -> Self {
        Self { basis_points: 60, above: "100000.00".to_owned(), basis_points_above: 38 }
    }
}

/// Where exchange rates come from.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawFx {
    /// Asked in this order.
    pub(super) sources: Vec<RawFxSource>,
    /// Seconds that a rate is served before it is asked for again.
    pub(super) cache_secs: u64,
    /// Seconds that the last rate may be used while no source answers; then nothing is sold at it.
    pub(super) max_stale_secs: u64,
    /// Seconds after which a rate that could not be renewed is warned of.
    pub(super) warn_stale_secs: u64,
    /// Milliseconds that one source may take to answer.
    pub(super) timeout_ms_max: u64,
    /// Rates set by hand, as decimal strings; no source is asked for these pairs: `{ "USD/CNY" = "7.12" }`.
    pub(super) pinned: BTreeMap<String, String>,
}

impl Default for RawFx {
    fn default() -> Self {
        Self {
            sources: Vec::new(),
            cache_secs: 300,
            max_stale_secs: 43_200,
            warn_stale_secs: 1_800,
            timeout_ms_max: 5_000,
            pinned: BTreeMap::new(),
        }
    }
}

/// One source of one exchange rate.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFxSource {
    /// Its name in logs and receipts.
    pub(super) name: String,
    /// What is fetched with GET. `{base}` stands for the pair's first currency.
    pub(super) url: String,
    /// JSON pointer to the rate in the answer: `/rates/CNY`.
    pub(super) pointer: String,
    /// JSON pointer to when it was observed, where the answer says: seconds since 1970, RFC 3339, or a day.
    pub(super) observed: Option<String>,
    /// Which rate it is: `USD/CNY` is yuan per dollar.
    pub(super) pair: String,
}

/// What is logged, and how.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawTelemetry {
    /// A filter: a level, or levels by module, such as `info,gateway::dispatch=debug`.
    pub(super) log: String,
    /// `text` for people, `json` for machines.
    #[schemars(extend("default" = "text"))]
    pub(super) format: LogFormat,
}

impl Default for RawTelemetry {
    fn default() -> Self {
        Self { log: "info".to_owned(), format: LogFormat::Text }
    }
}

/// Facts and costs of models that stand over those which are built in.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawCatalog {
    /// A folder with lines of an own catalog, as `tollgate models import --write` makes it: read at the start, whole or not
    /// at all.
    pub(super) path: Option<PathBuf>,
}

fn v3() -> WechatApi {
    WechatApi::V3
}

fn wechat_pay() -> String {
    "https://api.mch.weixin.qq.com".to_owned()
}
