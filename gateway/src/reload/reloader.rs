//! Reads the file again, and lets it count whole or not at all.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use router_config::RouteTable;
use tokio::sync::{Mutex, watch};
use tokio_util::task::TaskTracker;
use units::Clock;

use super::{
    ConfigMetrics, InForce, Outcome, Publisher, PublisherSettings, Refused, Report, Trigger, report::Names,
};
use crate::{
    dispatch::TargetHealth,
    provider::Upstreams,
    settings::{Changes, LookedInto, MerchantSettings, Reading, Secret, Settings},
    telemetry::Metrics,
};

/// Makes ready what a table needs beside routes and prices, before it counts.
pub type Prepare = Arc<dyn Fn(Arc<RouteTable>) -> BoxFuture<'static, anyhow::Result<()>> + Send + Sync>;

/// Makes the merchants' keys of the second settings ready to count; calling what comes back lets them. The first settings
/// are those that the process was started with.
pub type Rekey = Arc<dyn Fn(&Settings, &Settings) -> anyhow::Result<Box<dyn FnOnce() + Send>> + Send + Sync>;

/// What a [`Reloader`] works with.
pub struct ReloaderParts {
    /// What the process was started with.
    pub settings: Settings,
    /// Where the snapshot is kept.
    pub publisher: Arc<Publisher>,
    /// The providers of that snapshot.
    pub upstreams: Arc<ArcSwap<Upstreams>>,
    /// What is known of them: who rests, or is parked, is tried again when the file has changed.
    pub health: Arc<TargetHealth>,
    /// Called with each new table before it counts.
    pub prepare: Prepare,
    /// Called where keys of merchants have changed.
    pub rekey: Rekey,
    /// A reading that began is ended on these tasks, whoever asked for it and went away.
    pub tasks: TaskTracker,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What is shown of readings.
    pub metrics: ConfigMetrics,
    /// Told of new models.
    pub calls: Metrics,
}

/// Reads the file again when it is asked to.
#[derive(Clone)]
pub struct Reloader(Arc<Inner>);

struct Inner {
    file: PathBuf,
    parts: ReloaderParts,
    /// The last reading that counts. One at a time.
    current: Mutex<Settings>,
    in_force: ArcSwap<InForce>,
    looked_into: watch::Sender<LookedInto>,
}

impl fmt::Debug for Reloader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloader").field("file", &self.0.file).finish_non_exhaustive()
    }
}

impl Reloader {
    /// For the file that `parts.settings` were read from; none if they were not read from a file.
    pub fn new(parts: ReloaderParts) -> Option<Self> {
        let file = parts.settings.file.clone()?;
        let in_force = InForce {
            digest: parts.settings.written.digest().to_owned(),
            generation: 1,
            since: parts.clock.now(),
            restart_required: Vec::new(),
            last: None,
        };
        let looked_into = parts.settings.looked_into.clone();
        Some(Self(Arc::new(Inner {
            file,
            current: Mutex::new(parts.settings.clone()),
            in_force: ArcSwap::from_pointee(in_force),
            looked_into: watch::Sender::new(looked_into),
            parts,
        })))
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.0.file
    }

    /// Whether the file is watched.
    pub fn is_watched(&self) -> bool {
        self.0.parts.settings.server.watch
    }

    /// What is in force, and what came of the last reading.
    pub fn in_force(&self) -> Arc<InForce> {
        self.0.in_force.load_full()
    }

    /// Which files the last reading depended on.
    pub fn looked_into(&self) -> watch::Receiver<LookedInto> {
        self.0.looked_into.subscribe()
    }

    /// Reads the file, and takes it up if it is right. Whoever goes away while it is read does not stop it.
    pub async fn reload(&self, trigger: Trigger) -> Report {
        let inner = Arc::clone(&self.0);
        let reading = self.0.parts.tasks.spawn(async move { inner.reload(trigger).await });
        match reading.await {
            Ok(report) => report,
            Err(error) => {
                let outcome =
                    Outcome::Refused(Refused::Needs(format!("the reading broke off: {error}").into()));
                tracing::error!(%error, "the configuration could not be read again");
                Report { at: self.0.parts.clock.now(), trigger, outcome, changes: Changes::default() }
            }
        }
    }
}

impl Inner {
    async fn reload(&self, trigger: Trigger) -> Report {
        let mut current = self.current.lock().await;
        let file = self.file.clone();
        let reading = tokio::task::spawn_blocking(move || Reading::of(&file)).await;
        let taken = match reading {
            Ok(Reading { settings, looked_into }) => {
                self.looked_into.send_replace(looked_into);
                match settings {
                    Ok(settings) => self.take(&mut current, settings).await,
                    Err(errors) => Err(Refused::File(errors)),
                }
            }
            Err(error) => Err(Refused::Needs(error.to_string().into())),
        };
        let at = self.parts.clock.now();
        let (outcome, changes) = match taken {
            Ok((outcome, changes)) => (outcome, changes),
            Err(refused) => (Outcome::Refused(refused), Changes::default()),
        };
        self.parts.metrics.count(&outcome, at);
        let report = Report { at, trigger, outcome, changes };
        let mut in_force = InForce::clone(&self.in_force.load());
        if !matches!(report.outcome, Outcome::Refused(_)) {
            current.written.digest().clone_into(&mut in_force.digest);
            in_force.restart_required = needs_restart(&self.parts.settings, &current);
        }
        if matches!(report.outcome, Outcome::Applied) {
            in_force.generation += 1;
            in_force.since = at;
        }
        say(&report, &in_force);
        in_force.last = Some(report.clone());
        self.in_force.store(Arc::new(in_force));
        report
    }

    /// Lets `new` count in the place of `current`.
    async fn take(&self, current: &mut Settings, new: Settings) -> Result<(Outcome, Changes), Refused> {
        let changes = current.written.changes_to(&new.written);
        let keys = changes.added.iter().chain(&changes.removed).chain(&changes.changed);
        if keys.into_iter().all(|key| waits_for_restart(key)) {
            *current = new;
            return Ok((Outcome::Unchanged, changes));
        }
        let needs = |error: anyhow::Error| Refused::Needs(format!("{error:#}").into());
        let rekey = (self.parts.rekey)(&self.parts.settings, &new).map_err(needs)?;
        (self.parts.prepare)(new.table.clone()).await.map_err(needs)?;
        let upstreams = upstreams(&self.parts.upstreams.load(), current, &new, &self.parts.clock)?;
        let told = publisher_settings(&new);
        self.parts.calls.expect(new.table.models.keys().map(String::as_str));
        self.parts.publisher.take(told, || self.parts.upstreams.store(Arc::new(upstreams))).await?;
        rekey();
        // Somebody may have mended what was wrong with an address, or changed a key.
        self.parts.health.try_all_now();
        *current = new;
        Ok((Outcome::Applied, changes))
    }
}

/// What prices and routes are made from.
pub fn publisher_settings(settings: &Settings) -> PublisherSettings {
    PublisherSettings {
        table: settings.table.clone(),
        pinned: settings.fx.pinned.iter().map(|(pair, rate)| (pair.to_string(), rate.get())).collect(),
        warn_stale: settings.fx.warn_stale,
    }
}

/// The providers of the new table, and those of the old one that are gone: a call that was planned by the old table may
/// still be about to ask one.
fn upstreams(
    present: &Upstreams,
    old: &Settings,
    new: &Settings,
    clock: &Arc<dyn Clock>,
) -> Result<Upstreams, Refused> {
    let mut table = RouteTable::clone(&new.table);
    let mut keys = new.provider_keys.clone();
    for (id, provider) in &old.table.providers {
        if !table.providers.contains_key(id) {
            table.providers.insert(id.clone(), provider.clone());
            keys.extend(old.provider_keys.get(id).map(|keys| (id.clone(), keys.clone())));
        }
    }
    let keys: BTreeMap<String, Vec<&str>> =
        keys.iter().map(|(id, keys)| (id.clone(), keys.iter().map(Secret::expose).collect())).collect();
    Ok(present.renewed(&table, &keys, clock)?)
}

/// Whether a key belongs to what is set up once, when the process starts.
fn waits_for_restart(key: &str) -> bool {
    let table = key.split('.').next().unwrap_or_default();
    match table {
        "providers" | "models" | "routes" | "aliases" | "catalog" => false,
        // Where they are counted is set up once; what they are counts at once.
        "limits" => key.starts_with("limits.redis"),
        "fx" => !key.starts_with("fx.pinned"),
        "payments" => !is_a_merchants_key(key),
        _ => true,
    }
}

/// `payments.wechat.NAME.KEY` of what a merchant signs, decrypts and verifies with, and of the way to the other host.
fn is_a_merchants_key(key: &str) -> bool {
    let mut parts = key.splitn(4, '.');
    parts.next() == Some("payments")
        && parts.next() == Some("wechat")
        && parts.next().is_some()
        && matches!(
            parts.next(),
            Some(
                "merchant_serial"
                    | "private_key"
                    | "certificate"
                    | "api_v3_key"
                    | "previous_api_v3_key"
                    | "api_v2_key"
                    | "sign_type"
                    | "platform_public_key_id"
                    | "platform_public_key"
                    | "platform_public_keys"
                    | "platform_certificates"
                    | "download_certificates"
                    | "backup_url"
            )
        )
}

/// Whether a merchant's keys wait because it is to be somebody else.
fn waits_with_its_merchant(key: &str, began: &Settings, new: &Settings) -> bool {
    let Some(name) = key.split('.').nth(2).filter(|_| is_a_merchants_key(key)) else { return false };
    let of = |settings: &Settings| settings.payments.merchants.get(name).map(MerchantSettings::without_keys);
    of(began) != of(new)
}

/// The keys of `new` that would make a difference after a restart. What is written out and was the default makes none.
fn needs_restart(began: &Settings, new: &Settings) -> Vec<String> {
    let fx = |settings: &Settings| {
        let mut fx = settings.fx.clone();
        fx.pinned.clear();
        fx
    };
    let differs = |key: &String| match key.split('.').next().unwrap_or_default() {
        "server" => began.server != new.server,
        "admin" => began.admin != new.admin,
        "store" => began.store != new.store,
        "payments" => began.payments != new.payments,
        "fx" => fx(began) != fx(new),
        "telemetry" => began.telemetry != new.telemetry,
        "limits" => began.limits != new.limits,
        "cache" => began.table.cache != new.table.cache || began.cache != new.cache,
        _ => true,
    };
    let changes = began.written.changes_to(&new.written);
    let waits = |key: &String| waits_for_restart(key) || waits_with_its_merchant(key, began, new);
    changes.changed.into_iter().filter(waits).filter(differs).collect()
}

fn say(report: &Report, in_force: &InForce) {
    let trigger = report.trigger.as_str();
    let (sha256, generation) = (in_force.digest.as_str(), in_force.generation);
    match &report.outcome {
        Outcome::Applied => {
            let changes = &report.changes;
            let (added, removed) = (Names(&changes.added), Names(&changes.removed));
            let changed = Names(&changes.changed);
            tracing::info!(trigger, sha256, generation, %added, %removed, %changed, "the configuration has changed");
        }
        // A watched folder may be a busy one; whoever asks is told.
        Outcome::Unchanged if report.trigger == Trigger::File => {
            tracing::debug!(trigger, sha256, generation, "the configuration says the same");
        }
        Outcome::Unchanged => tracing::info!(trigger, sha256, generation, "the configuration says the same"),
        Outcome::Refused(why) => {
            tracing::error!(trigger, sha256, generation, %why, "the configuration is refused; the old one stays in force");
        }
    }
    if !matches!(report.outcome, Outcome::Refused(_)) && !in_force.restart_required.is_empty() {
        let keys = Names(&in_force.restart_required);
        tracing::warn!(%keys, "what has changed here counts only after a restart");
    }
}
