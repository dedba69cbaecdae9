//! Is what the file says possible? From raw tables to [`Settings`], every problem collected.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};

use router_config::{
    Currency, KeyPath, Problems, RawModel, RawProvider, RawTables, SecretRef, check_http_url, is_loopback,
    is_word,
};

use super::{
    AdminSettings, Cidr, ConfigErrors, CurrencyPair, FxSettings, FxSource, LookedInto, RateMicro,
    RedisSettings, Secret, Secrets, ServerSettings, Settings, StoreSettings, TelemetrySettings, Written,
    payments,
    raw::{RawAdmin, RawFile, RawFx, RawFxSource, RawServer, RawStore, RawTelemetry},
};

/// An hour: whoever drains longer has forgotten to stop.
const DRAIN_MS_MAX: u64 = 3_600_000;
/// Node's own HTTP client gives up on a body that is silent for five minutes.
const KEEP_ALIVE_MS_MAX: u64 = 240_000;
/// Nobody's call waits longer for what nodes share.
const REDIS_MS_MAX: u64 = 10_000;
/// A week-old rate is no rate.
const STALE_SECS_MAX: u64 = 604_800;

/// What a check works with: where secrets are, and what was found wrong so far.
pub(super) struct Checks<'a> {
    pub(super) secrets: &'a dyn Secrets,
    pub(super) problems: Problems,
    /// What is wrong with merchants' keys, which keeps nobody else from serving.
    pub(super) amiss: Problems,
    /// Fingerprints of the own catalog's files, by name.
    pub(super) catalog_files: BTreeMap<String, [u8; 32]>,
}

/// Checks every table, and says everything that is wrong with any; beside the settings, what is wrong with merchants' keys.
pub(super) fn settings(
    raw: RawFile,
    secrets: &dyn Secrets,
    origin: &str,
) -> Result<(Settings, Problems), Problems> {
    let mut checks = Checks {
        secrets,
        problems: Problems::default(),
        amiss: Problems::default(),
        catalog_files: BTreeMap::new(),
    };
    let server = checks.server(raw.server);
    let admin = checks.admin(raw.admin, server.as_ref());
    let store = checks.store(raw.store);
    let payments = payments::check(raw.payments, &mut checks);
    let fx = checks.fx(raw.fx);
    let telemetry = checks.telemetry(raw.telemetry);
    if let Some(fx) = &fx {
        checks.prices_can_be_converted(&raw.models, fx);
    }
    let limits = checks.redis("limits", raw.limits.redis.as_deref(), raw.limits.redis_ms_max);
    let answers = checks.redis("cache", raw.cache.redis.as_deref(), raw.cache.redis_ms_max);
    let provider_keys = checks.provider_keys(&raw.providers);
    let catalog = checks.catalog(raw.catalog);
    let RawFile { providers, models, routes, aliases, limits: figures, cache, .. } = raw;
    let tables = RawTables { providers, models, routes, aliases, limits: figures, cache };
    let table = match tables.validate_with(&catalog) {
        Ok(table) => Some(Arc::new(table)),
        Err(more) => {
            checks.problems.append(more);
            None
        }
    };
    match (server, admin, store, payments, fx, telemetry, table) {
        (Some(server), Some(admin), Some(store), Some(payments), Some(fx), Some(telemetry), Some(table))
            if checks.problems.is_empty() =>
        {
            let settings = Settings {
                server,
                admin,
                store,
                payments,
                fx,
                telemetry,
                catalog,
                limits,
                cache: answers,
                table,
                provider_keys,
                catalog_files: checks.catalog_files,
                written: Written::default(),
                file: None,
                looked_into: LookedInto::default(),
                amiss: ConfigErrors::new(origin),
            };
            Ok((settings, checks.amiss))
        }
        _ => {
            checks.problems.append(checks.amiss);
            Err(checks.problems)
        }
    }
}

impl Checks<'_> {
    /// The text that `reference` leads to.
    pub(super) fn secret(&mut self, path: &KeyPath, reference: &str) -> Option<Secret> {
        let reference = self.problems.catch(path.clone(), reference.parse::<SecretRef>())?;
        self.problems.catch(path.clone(), self.secrets.read(&reference))
    }

    /// The address as text without a trailing slash.
    pub(super) fn url(&mut self, path: &KeyPath, text: &str) -> Option<String> {
        let url = self.problems.catch(path.clone(), check_http_url(text))?;
        Some(url.as_str().trim_end_matches('/').to_owned())
    }

    /// Notes a problem unless the number lies within both bounds.
    pub(super) fn within(&mut self, path: KeyPath, number: u64, least: u64, most: u64) {
        if !(least..=most).contains(&number) {
            self.problems.add(path, format!("must be from {least} to {most}"));
        }
    }

    fn listen(&mut self, path: &KeyPath, text: &str) -> Option<SocketAddr> {
        let read = text.parse().map_err(|_| "not an address and a port like `127.0.0.1:8080` or `[::]:8080`");
        self.problems.catch(path.key("listen"), read)
    }

    fn server(&mut self, raw: RawServer) -> Option<ServerSettings> {
        let path = KeyPath::new("server");
        let listen = self.listen(&path, &raw.listen);
        let public_url = raw.public_url.and_then(|text| self.url(&path.key("public_url"), &text));
        let blocks = path.key("trusted_proxies");
        let trusted_proxies = (raw.trusted_proxies.iter().enumerate())
            .filter_map(|(i, text)| self.problems.catch(blocks.index(i), text.parse::<Cidr>()))
            .collect();
        self.within(path.key("drain_ms_max"), raw.drain_ms_max, 0, DRAIN_MS_MAX);
        self.within(path.key("keep_alive_ms"), raw.keep_alive_ms, 100, KEEP_ALIVE_MS_MAX);
        let key_secret = raw.key_secret.and_then(|text| {
            let path = path.key("key_secret");
            let secret = self.secret(&path, &text)?;
            if secret.expose().len() < 32 {
                self.problems.add_with_help(
                    path,
                    "shorter than 32 characters, so it could be guessed",
                    "make one with `openssl rand -hex 32`",
                );
            }
            Some(secret)
        });
        if raw.region.as_deref().is_some_and(|region| !is_word(region)) {
            self.problems.add(
                path.key("region"),
                "a word of 1 to 64 letters, digits, `-`, `_`, `.` or `:` stands here",
            );
        }
        if raw.ready_file.as_ref().is_some_and(|file| file.as_os_str().is_empty()) {
            self.problems.add(path.key("ready_file"), "a path is needed here");
        }
        Some(ServerSettings {
            listen: listen?,
            public_url,
            trusted_proxies,
            drain_max: Duration::from_millis(raw.drain_ms_max),
            keep_alive: Duration::from_millis(raw.keep_alive_ms),
            region: raw.region.map(Into::into),
            watch: raw.watch,
            ready_file: raw.ready_file,
            key_secret,
        })
    }

    fn admin(&mut self, raw: RawAdmin, server: Option<&ServerSettings>) -> Option<AdminSettings> {
        let path = KeyPath::new("admin");
        let listen = self.listen(&path, &raw.listen)?;
        if server.is_some_and(|server| server.listen == listen) && listen.port() != 0 {
            self.problems.add(path.key("listen"), "clients already connect here (`server.listen`)");
        }
        if raw.token_file.as_ref().is_some_and(|file| file.as_os_str().is_empty()) {
            self.problems.add(path.key("token_file"), "a path is needed here");
        }
        Some(AdminSettings { listen, token_file: raw.token_file })
    }

    fn store(&mut self, raw: RawStore) -> Option<StoreSettings> {
        if raw.path.as_os_str().is_empty() {
            self.problems.add(KeyPath::new("store").key("path"), "a folder is needed here");
        }
        let url = raw.url.and_then(|text| self.store_url(&KeyPath::new("store").key("url"), &text));
        Some(StoreSettings { path: raw.path, url })
    }

    fn store_url(&mut self, path: &KeyPath, text: &str) -> Option<Secret> {
        let is_url = |text: &str| text.starts_with("postgresql://") || text.starts_with("postgres://");
        let url = self.url_without_password(path, text, is_url, ::payments::store::names_password)?;
        // What exactly is wrong with it might show a part of the password.
        let read = ::payments::store::check_url(url.expose());
        let read = read.map_err(|_| "not an address like `postgresql://tollgate@db.example.com/tollgate`");
        self.problems.catch(path.clone(), read)?;
        Some(url)
    }

    /// A URL that stands in the file, and then holds no password, or that is kept where a secret may be.
    fn url_without_password(
        &mut self,
        path: &KeyPath,
        text: &str,
        is_url: impl Fn(&str) -> bool,
        names_password: impl Fn(&str) -> bool,
    ) -> Option<Secret> {
        if !is_url(text) {
            return self.secret(path, text);
        }
        if names_password(text) {
            let help = "keep the whole URL elsewhere: `env:NAME` or `file:PATH`";
            self.problems.add_with_help(path.clone(), "a password stands in the file", help);
            return None;
        }
        Some(Secret::new(text.to_owned()))
    }

    /// The Redis that a table names, and how long a call waits for it.
    fn redis(&mut self, table: &'static str, url: Option<&str>, ms_max: u64) -> RedisSettings {
        let path = KeyPath::new(table);
        self.within(path.key("redis_ms_max"), ms_max, 1, REDIS_MS_MAX);
        let redis = url.and_then(|text| self.redis_url(&path.key("redis"), text));
        RedisSettings { redis, redis_max: Duration::from_millis(ms_max) }
    }

    fn redis_url(&mut self, path: &KeyPath, text: &str) -> Option<Secret> {
        let is_url = |text: &str| text.starts_with("redis://") || text.starts_with("rediss://");
        let names_password = |text: &str| url::Url::parse(text).is_ok_and(|url| url.password().is_some());
        let url = self.url_without_password(path, text, is_url, names_password)?;
        // What exactly is wrong with it might show a part of the password.
        let is_good = is_url(url.expose()) && redis::Client::open(url.expose()).is_ok();
        let read = is_good.then_some(()).ok_or("not an address like `redis://cache.example.com/0`");
        self.problems.catch(path.clone(), read)?;
        Some(url)
    }

    fn telemetry(&mut self, raw: RawTelemetry) -> Option<TelemetrySettings> {
        if raw.log.trim().is_empty() {
            let help = "write a level: `error`, `warn`, `info`, `debug` or `trace`";
            self.problems.add_with_help(KeyPath::new("telemetry").key("log"), "nothing is asked for", help);
        }
        Some(TelemetrySettings { log: raw.log, format: raw.format })
    }

    fn fx(&mut self, raw: RawFx) -> Option<FxSettings> {
        let path = KeyPath::new("fx");
        self.within(path.key("cache_secs"), raw.cache_secs, 1, STALE_SECS_MAX);
        self.within(path.key("max_stale_secs"), raw.max_stale_secs, 1, STALE_SECS_MAX);
        self.within(path.key("warn_stale_secs"), raw.warn_stale_secs, 1, STALE_SECS_MAX);
        self.within(path.key("timeout_ms_max"), raw.timeout_ms_max, 100, 60_000);
        if raw.max_stale_secs < raw.cache_secs {
            self.problems
                .add(path.key("max_stale_secs"), "shorter than `cache_secs`: rates would always be stale");
        }
        let mut sources: Vec<FxSource> = Vec::new();
        for (i, source) in raw.sources.iter().enumerate() {
            let path = path.key("sources").index(i);
            let source = self.fx_source(&path, source);
            if let Some(source) = &source
                && sources.iter().any(|other| other.name == source.name && other.pair == source.pair)
            {
                let what = format!("`{}` is already a source of {}", source.name, source.pair);
                self.problems.add(path.key("name"), what);
            }
            sources.extend(source);
        }
        let mut pinned = BTreeMap::new();
        for (pair, rate) in &raw.pinned {
            let path = path.key("pinned").key(pair);
            let pair = self.problems.catch(path.clone(), pair.parse::<CurrencyPair>());
            let rate = self.problems.catch(path.clone(), router_config::parse_micro(rate));
            if rate == Some(0) {
                self.problems.add(path, "a rate is above zero");
            } else if let (Some(pair), Some(rate)) = (pair, rate) {
                pinned.insert(pair, RateMicro(rate));
            }
        }
        Some(FxSettings {
            sources,
            cache: Duration::from_secs(raw.cache_secs),
            max_stale: Duration::from_secs(raw.max_stale_secs),
            warn_stale: Duration::from_secs(raw.warn_stale_secs),
            patience: Duration::from_millis(raw.timeout_ms_max),
            pinned,
        })
    }

    fn fx_source(&mut self, path: &KeyPath, raw: &RawFxSource) -> Option<FxSource> {
        if raw.name.trim().is_empty() {
            self.problems.add(path.key("name"), "a name is needed here");
        }
        let pair = self.problems.catch(path.key("pair"), raw.pair.parse::<CurrencyPair>());
        let pointers = [("pointer", Some(&raw.pointer)), ("observed", raw.observed.as_ref())];
        for (key, _) in pointers.iter().filter(|(_, text)| text.is_some_and(|text| !text.starts_with('/'))) {
            let help = "write `/rates/CNY` for {\"rates\": {\"CNY\": 7.12}}";
            self.problems.add_with_help(path.key(key), "a JSON pointer begins with `/`", help);
        }
        let base = pair.as_ref().map_or("USD", |pair| pair.base.as_str());
        let url = raw.url.replace("{base}", base);
        if url.contains(['{', '}']) {
            self.problems.add(path.key("url"), "only `{base}` is filled in");
        } else {
            // Sources are asked with a query, which an API's base address may not have.
            let address = url.split(['?', '#']).next().unwrap_or_default();
            let address = self.problems.catch(path.key("url"), check_http_url(address))?;
            if address.scheme() != "https" && !is_loopback(&address) {
                self.problems.add(path.key("url"), "prices depend on the answer: use https");
            }
        }
        Some(FxSource {
            name: raw.name.clone(),
            url,
            pointer: raw.pointer.clone(),
            observed: raw.observed.clone(),
            pair: pair?,
        })
    }

    /// A model nobody could ever be charged for is refused here, not at its first call.
    fn prices_can_be_converted(&mut self, models: &[RawModel], fx: &FxSettings) {
        for (i, model) in models.iter().enumerate() {
            let Some(currency) = model.price.as_ref().map(|price| price.currency) else { continue };
            let pair = CurrencyPair { base: currency.to_string(), quote: Currency::Cny.to_string() };
            let known = fx.pinned.contains_key(&pair) || fx.sources.iter().any(|source| source.pair == pair);
            if known || currency == Currency::Cny {
                continue;
            }
            self.problems.add_with_help(
                KeyPath::new("models").index(i).key("price").key("currency"),
                format!("priced in {currency}, but there is no rate for {pair}"),
                "add a [[fx.sources]] table, or a rate under [fx.pinned]",
            );
        }
    }

    fn provider_keys(&mut self, providers: &[RawProvider]) -> BTreeMap<String, Vec<Secret>> {
        let mut keys: BTreeMap<String, Vec<Secret>> = BTreeMap::new();
        for (i, provider) in providers.iter().enumerate() {
            let path = KeyPath::new("providers").index(i);
            let one = provider.api_key.iter().map(|text| (path.key("api_key"), text));
            let several = provider.api_keys.iter().enumerate();
            let several = several.map(|(n, text)| (path.key("api_keys").index(n), text));
            for (path, text) in one.chain(several) {
                let Some(key) = self.secret(&path, text) else { continue };
                if !key.expose().bytes().all(|b| b.is_ascii_graphic()) {
                    self.problems.add(
                        path,
                        "what is kept there is no API key: it holds spaces or other such characters",
                    );
                }
                keys.entry(provider.id.clone()).or_default().push(key);
            }
        }
        keys
    }
}
