//! App: how do the rooms fit?
//!
//! Builds the store, the stacks and the tasks, hands each room what it needs, and takes everything down in order:
//! listeners first, then calls whose clients are gone, then the background, the books last. Decides nothing.

mod background;
pub(crate) mod money;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use arc_swap::ArcSwap;
use axum::Router;
use payments::{
    fx::{Fx, OldRates},
    grant::{Gifts, Grants},
    holds::Holds,
    ledger::AccountRole,
    reconcile::{self, Reconciler},
    refund::Refunds,
    store::{FolderLock, Store},
    topup::{Merchants, TopUps},
    transport::Transport,
};
use prometheus::Registry;
use router_config::RouteTable;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use units::{Clock, Livemode};

use self::money::Surroundings;
use crate::{
    admin::{
        Admin, AdminToken, HandRoom, NewAccount, PriceRoom, ReconcileDesk, RouteRoom, create_account,
        secret_file,
    },
    books::{self, Books},
    cache::{self, Cache, CacheMetrics, CacheSecret, LocalShelf, SharedCacheMetrics, SharedShelf, Shelf},
    cashier::{BillMetrics, BillWatch, Cashier, LedgerTill, PaymentMetrics, Sources, StoredKeys, shape},
    dispatch::TargetHealth,
    edge::{self, ConnLimits},
    inference::{Front, Parts},
    keys::{KeyTable, Keys},
    limits::{self, LimitMetrics, Limits, Shared},
    meter::Tails,
    outbound::{Outbound, Tls},
    plan::Snapshots,
    portal,
    provider::Upstreams,
    reload::{self, ConfigMetrics, FxMetrics, Publisher, Reloader, ReloaderParts, follow_keys},
    settings::{Secret, Settings, StoreSettings},
    telemetry::Metrics,
    upkeep::Upkeep,
};

/// How long calls whose clients have gone may run on for their usage.
const TAIL_MAX: Duration = Duration::from_secs(30);

/// How long the books may take to close.
const CLOSE_MAX: Duration = Duration::from_secs(10);

/// The listeners, bound before anything else, so that a busy port is said first.
#[derive(Debug)]
pub struct Listeners {
    /// Inference, account and payment endpoints, portal, callbacks.
    pub public: TcpListener,
    /// Operations.
    pub admin: TcpListener,
}

impl Listeners {
    /// Binds both.
    ///
    /// # Errors
    /// Names the address and what to do.
    pub async fn bind(public: SocketAddr, admin: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self { public: bind(public, "server.listen").await?, admin: bind(admin, "admin.listen").await? })
    }
}

/// Binds one address.
///
/// # Errors
/// Names the address, the setting it came from and what to do.
pub async fn bind(addr: SocketAddr, setting: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(addr)
        .await
        .with_context(|| format!("cannot listen on {addr}: free that port, or change `{setting}`"))
}

/// Who compares days with WeChat Pay's bills where nothing serves: the books are open for one command.
///
/// # Errors
/// If a merchant's keys cannot be used.
pub fn reconciler(settings: &Settings, store: Store, clock: Arc<dyn Clock>) -> anyhow::Result<Reconciler> {
    let around = Surroundings {
        // Nothing is ordered from here, so nothing is reported here.
        public_url: settings.server.public_url.clone().unwrap_or_default(),
        transport: Arc::new(Outbound::new(&Tls::default()).context("TLS for outgoing calls")?),
        clock: clock.clone(),
    };
    let merchants = Arc::new(around.merchants(settings));
    let unseen = PaymentMetrics::new(&Registry::new())?.observer(clock.clone());
    let topups =
        TopUps::new(store.clone(), merchants, money::topup_settings(settings), clock.clone(), unseen);
    let watch = Arc::new(BillWatch { metrics: None, holds: None });
    Ok(Reconciler::new(store, topups, settings.payments.fees, clock, watch))
}

/// A process at work.
#[derive(Debug)]
pub struct Running {
    /// Where clients reach it.
    pub public_url: String,
    /// Where operators reach it.
    pub admin_url: String,
    /// What operators show.
    pub admin_token: AdminToken,
    /// What keys are digested with.
    pub key_secret: Arc<[u8]>,
    /// The books.
    pub store: Store,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What reads the configuration again, where it came from a file.
    pub reloader: Option<Reloader>,
    stop_listening: CancellationToken,
    stop_tails: CancellationToken,
    stop_background: CancellationToken,
    connections: TaskTracker,
    tails: TaskTracker,
    background: TaskTracker,
    /// Given back when everything else is over.
    lock: Option<FolderLock>,
}

/// Opens the books, settles what an earlier run left open, and begins to serve.
///
/// # Errors
/// If the store, a credential or a provider cannot be used. Nothing is served then.
pub async fn start(
    settings: Settings,
    listeners: Listeners,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<Running> {
    let folder = settings.store.path.clone();
    let transport: Arc<dyn Transport> =
        Arc::new(Outbound::new(&Tls::default()).context("TLS for outgoing calls")?);
    let books = open_books(&settings.store, &*clock).await?;
    house_accounts(&books.store, &settings.table, &*clock).await?;
    let key_secret = key_secret(&settings, &folder)?;
    let admin_token = admin_token(&settings, &folder)?;
    let public_addr = listeners.public.local_addr()?;
    let public_url = settings.server.public_url.clone().unwrap_or_else(|| format!("http://{public_addr}"));
    let admin_url = format!("http://{}", listeners.admin.local_addr()?);

    let metrics = Metrics::new(Registry::new())?;
    metrics.expect(settings.table.models.keys().map(String::as_str));
    let payment_metrics = PaymentMetrics::new(metrics.registry())?;

    let rates = Arc::new(books.store.clone());
    let fx = Fx::new(money::fx_settings(&settings), transport.clone(), clock.clone(), rates);
    let told = reload::publisher_settings(&settings);
    let fx_metrics = FxMetrics::new(metrics.registry())?;
    let publisher = Arc::new(Publisher::new(books.store.clone(), fx, told, clock.clone(), fx_metrics));
    publisher.begin().await.context("the price list cannot be published")?;
    let snapshots = publisher.snapshots();

    let (cache, sharing) = cache(&settings, &key_secret, &clock, metrics.registry()).await?;
    let (shared, counting) = shared_limits(&settings, &metrics).await?.unzip();
    let bounds = snapshots.clone();
    let limits = Limits::new(move || Arc::clone(&bounds.load().table), clock.clone(), shared);
    let (key_table, keys) = keys(&books.store, &key_secret, limits, &clock).await?;
    let holds =
        Holds::new(books.store.clone(), books.admission.clone(), books.journal.clone(), clock.clone());
    let caps = settings.payments.grants;
    let grants = Grants::new(books.store.clone(), books.admission.clone(), clock.clone(), caps);
    let gifts = Gifts::new(books.store.clone(), books.admission.clone(), clock.clone());
    let around =
        Surroundings { public_url: public_url.clone(), transport: transport.clone(), clock: clock.clone() };
    let merchants = Arc::new(around.merchants(&settings));
    payment_metrics.merchants(&merchants);
    let topups = TopUps::new(
        books.store.clone(),
        merchants.clone(),
        money::topup_settings(&settings),
        clock.clone(),
        payment_metrics.observer(clock.clone()),
    )
    .guarded(settings.payments.rollout, settings.payments.guard);
    let refunds =
        Refunds::new(books.store.clone(), books.admission.clone(), merchants.clone(), clock.clone())
            .observed_by(payment_metrics.refund_observer())
            .approved_above(settings.payments.refunds_approved_above);
    let bill_metrics = BillMetrics::new(metrics.registry())?;
    let reconciler = Reconciler::new(
        books.store.clone(),
        topups.clone(),
        settings.payments.fees,
        clock.clone(),
        Arc::new(BillWatch {
            metrics: Some((bill_metrics.clone(), payment_metrics.clone(), clock.clone())),
            holds: Some(holds.clone()),
        }),
    );

    let (stop_listening, stop_tails, stop_background) =
        (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
    let (connections, tails, background) = (TaskTracker::new(), TaskTracker::new(), TaskTracker::new());

    let provider_keys: BTreeMap<String, Vec<&str>> = settings
        .provider_keys
        .iter()
        .map(|(id, keys)| (id.clone(), keys.iter().map(Secret::expose).collect()))
        .collect();
    let upstreams = Upstreams::new(&settings.table, &provider_keys, &clock)?;
    let upstreams = Arc::new(ArcSwap::from_pointee(upstreams));
    let health = Arc::new(TargetHealth::new(clock.clone()));
    let reloader = Reloader::new(ReloaderParts {
        settings: settings.clone(),
        publisher: publisher.clone(),
        upstreams: upstreams.clone(),
        health: Arc::clone(&health),
        prepare: prepare(books.store.clone(), clock.clone()),
        rekey: rekey(around, merchants.clone(), payment_metrics.clone()),
        tasks: background.clone(),
        clock: clock.clone(),
        metrics: ConfigMetrics::new(metrics.registry(), clock.now())?,
        calls: metrics.clone(),
    });
    let parts = Parts {
        clock: clock.clone(),
        keys: keys.clone(),
        snapshots: snapshots.clone(),
        upstreams,
        health: Arc::clone(&health),
        till: Arc::new(LedgerTill::new(holds.clone(), clock.clone())),
        tails: Tails::new(tails.clone(), stop_tails.clone(), TAIL_MAX),
        metrics: metrics.clone(),
        cache,
        topup_url: format!("{public_url}/portal/topup").into(),
        keep_alive: settings.server.keep_alive,
        region: settings.server.region.clone(),
    };
    let store = books.store.clone();
    let ready = Arc::new({
        let (store, snapshots) = (store.clone(), snapshots.clone());
        move || readiness(&store, &snapshots)
    });
    let cashier = Cashier {
        store: store.clone(),
        topups: topups.clone(),
        refunds: refunds.clone(),
        holds: holds.clone(),
        grants: grants.clone(),
        key_secret: key_secret.clone(),
        keys,
        snapshots: snapshots.clone(),
        clock: clock.clone(),
        proxies: money::trusted_proxies(&settings)?,
        metrics: payment_metrics,
        sources: Sources::default(),
        at_work: background.clone(),
    };
    let elsewhere = shaped(cashier.router().merge(portal::router()), &clock);
    let upkeep = Upkeep {
        snapshots: parts.snapshots.clone(),
        upstreams: Arc::clone(&parts.upstreams),
        health: Arc::clone(&health),
        metrics: metrics.clone(),
        clock: clock.clone(),
    };
    let front: Front<hyper::body::Incoming, Router> = Front::new(&parts, ready, elsewhere);
    let admin = Admin {
        store: store.clone(),
        key_secret: key_secret.clone(),
        token: admin_token.clone(),
        metrics,
        clock: clock.clone(),
        prices: PriceRoom {
            store: store.clone(),
            clock: clock.clone(),
            max_stale: settings.fx.max_stale,
            warn_stale: settings.fx.warn_stale,
            publisher: Some(publisher.clone()),
        },
        hands: HandRoom {
            store: store.clone(),
            admission: books.admission.clone(),
            clock: clock.clone(),
            snapshots: snapshots.clone(),
            holds: Some(holds.clone()),
            refunds: refunds.clone(),
            topups: Some(topups.clone()),
            reconcile: Some(ReconcileDesk::new(reconciler.clone())),
        },
        bills: bill_metrics,
        health: Arc::clone(&health),
        routes: RouteRoom {
            store: store.clone(),
            snapshots: parts.snapshots.clone(),
            health,
            clock: clock.clone(),
            region: parts.region.clone(),
        },
        merchants: merchants.clone(),
        reloader: reloader.clone(),
    };

    let limits = ConnLimits { drain_max: settings.server.drain_max, ..ConnLimits::default() };
    let serving = Serving { tasks: &connections, stop: &stop_listening, limits };
    serving.begin(listeners.public, front);
    serving.begin(listeners.admin, shaped(admin.router(), &clock));
    background.spawn({
        let (topups, stop) = (topups.clone(), stop_background.clone());
        async move { topups.watch(stop).await }
    });
    background.spawn({
        let (clock, stop) = (clock.clone(), stop_background.clone());
        async move { merchants.renew_certificates(clock, stop).await }
    });
    background.spawn({
        let stop = stop_background.clone();
        async move { refunds.work(stop).await }
    });
    background.spawn({
        let stop = stop_background.clone();
        async move { reconciler.work(stop).await }
    });
    background.spawn({
        let stop = stop_background.clone();
        async move { grants.work(stop).await }
    });
    background.spawn({
        let stop = stop_background.clone();
        async move { gifts.work(stop).await }
    });
    background.spawn({
        let (old, stop) = (OldRates::new(store.clone(), clock.clone()), stop_background.clone());
        async move { old.work(stop).await }
    });
    if settings.store.url.is_some() {
        background.spawn(background::end_orphans(
            books.store.clone(),
            books.journal.clone(),
            clock.clone(),
            stop_background.clone(),
        ));
    }
    background.spawn(background::end_overdue(
        books.store.clone(),
        books.journal.clone(),
        clock.clone(),
        stop_background.clone(),
    ));
    background.spawn({
        let stop = stop_background.clone();
        async move { upkeep.run(stop).await }
    });
    if let Some(reloader) = reloader.clone().filter(Reloader::is_watched) {
        background::watch(reloader, &background, &stop_background);
    }
    if let Some(counting) = counting {
        background.spawn(counting.run(stop_background.clone()));
    }
    if let Some(sharing) = sharing {
        background.spawn(sharing.run(stop_background.clone()));
    }
    background.spawn(follow_keys(store.clone(), key_table, stop_background.clone()));
    background.spawn({
        let stop = stop_background.clone();
        async move { publisher.run(stop).await }
    });
    Ok(Running {
        public_url,
        admin_url,
        admin_token,
        key_secret,
        store,
        clock,
        reloader,
        stop_listening,
        stop_tails,
        stop_background,
        connections,
        tails,
        background,
        lock: books.lock,
    })
}

impl Running {
    /// True while nobody but ourselves has an account.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn has_no_customer(&self) -> anyhow::Result<bool> {
        Ok(self.store.accounts(None).await?.iter().all(|account| account.role == AccountRole::House))
    }

    /// Stops taking calls, lets those in flight end, settles them, and closes the books.
    pub async fn stop(self) {
        self.stop_listening.cancel();
        self.connections.close();
        self.connections.wait().await;
        self.stop_tails.cancel();
        self.tails.close();
        self.tails.wait().await;
        self.stop_background.cancel();
        self.background.close();
        self.background.wait().await;
        // Whatever still holds a place in the queue by now is a bug; the next start settles it.
        if tokio::time::timeout(CLOSE_MAX, self.store.close()).await.is_err() {
            tracing::error!("a call never ended; its hold is settled at the next start");
        }
        drop(self.lock);
    }
}

/// What the listeners' loops share.
struct Serving<'a> {
    tasks: &'a TaskTracker,
    stop: &'a CancellationToken,
    limits: ConnLimits,
}

impl Serving<'_> {
    fn begin<S, B>(&self, listener: TcpListener, service: S)
    where
        S: tower::Service<
                http::Request<hyper::body::Incoming>,
                Response = http::Response<B>,
                Error = std::convert::Infallible,
            > + Clone
            + Send
            + 'static,
        S::Future: Send,
        B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
        B::Error: Into<crate::body::BodyError>,
    {
        let (tasks, stop, limits) = (self.tasks.clone(), self.stop.clone(), self.limits);
        self.tasks.spawn(async move {
            if let Err(error) = edge::serve(listener, service, &tasks, stop, limits).await {
                tracing::error!(%error, "a listener ended");
            }
        });
    }
}

/// Opens the books and ends what earlier runs left open.
async fn open_books(settings: &StoreSettings, clock: &dyn Clock) -> anyhow::Result<Books> {
    let books = books::open(settings).await?;
    let Books { store, journal, marks, .. } = &books;
    let settled = reconcile::recover(store, marks, journal, clock).await.context("recovery")?;
    if settled > 0 {
        tracing::warn!(holds = settled, "calls that an earlier run left open were settled");
    }
    Ok(books)
}

/// What a table needs before it counts.
fn prepare(store: Store, clock: Arc<dyn Clock>) -> reload::Prepare {
    Arc::new(move |table| {
        let (store, clock) = (store.clone(), clock.clone());
        Box::pin(async move { house_accounts(&store, &table, &*clock).await })
    })
}

/// How the keys of merchants change while they are at work.
fn rekey(around: Surroundings, merchants: Arc<Merchants>, metrics: PaymentMetrics) -> reload::Rekey {
    Arc::new(move |began, new| {
        let change = around.rekeyed(&merchants, began, new)?;
        let (merchants, metrics) = (merchants.clone(), metrics.clone());
        Ok(Box::new(move || {
            change();
            metrics.merchants(&merchants);
        }))
    })
}

/// Our own calls run on an account of ours, one for each kind of money that is served.
async fn house_accounts(store: &Store, table: &RouteTable, clock: &dyn Clock) -> anyhow::Result<()> {
    let there = store.accounts(None).await?;
    let served: BTreeSet<Livemode> = table.models.values().map(|model| model.livemode).collect();
    for livemode in served {
        let has_one =
            there.iter().any(|account| account.role == AccountRole::House && account.livemode == livemode);
        if !has_one {
            let new = NewAccount { name: "house".to_owned(), livemode: Some(livemode), house: true };
            let made = create_account(store, clock, &new, livemode).await;
            made.map_err(|error| anyhow::anyhow!("the house account: {}", error.error.message))?;
        }
    }
    Ok(())
}

fn key_secret(settings: &Settings, folder: &Path) -> anyhow::Result<Arc<[u8]>> {
    let secret = match &settings.server.key_secret {
        Some(secret) => secret.expose().to_owned(),
        None => secret_file(&folder.join("key_secret"), "tgsec").context("the key secret")?,
    };
    Ok(secret.into_bytes().into())
}

/// What was answered before: in this process's memory, and behind it in the Redis that nodes share, looked for once, with what
/// has to run beside it.
async fn cache(
    settings: &Settings,
    key_secret: &[u8],
    clock: &Arc<dyn Clock>,
    registry: &Registry,
) -> anyhow::Result<(Cache, Option<cache::Worker>)> {
    let (bounds, metrics) = (settings.table.cache, CacheMetrics::new(registry)?);
    let secret = CacheSecret::of(key_secret);
    let mut shelves: Vec<Arc<dyn Shelf>> = vec![Arc::new(LocalShelf::new(bounds.bytes_max, metrics.clone()))];
    let mut sharing = None;
    if let Some(url) = &settings.cache.redis {
        let (patience, seen) = (settings.cache.redis_max, SharedCacheMetrics::new(registry)?);
        let opened = SharedShelf::open(url.expose(), patience, &secret, bounds.entry_bytes_max, seen);
        let (shelf, worker) =
            opened.map_err(|error| anyhow::anyhow!("`cache.redis`: {}", error.category()))?;
        worker.begin().await;
        shelves.push(Arc::new(shelf));
        sharing = Some(worker);
    }
    Ok((Cache::new(shelves, secret, clock.clone(), bounds.entry_bytes_max, metrics), sharing))
}

/// Where the administrator's token stands.
pub fn admin_token_file(settings: &Settings) -> PathBuf {
    settings.admin.token_file.clone().unwrap_or_else(|| settings.store.path.join("admin_token"))
}

fn admin_token(settings: &Settings, _folder: &Path) -> anyhow::Result<AdminToken> {
    let path = admin_token_file(settings);
    AdminToken::read_or_make(&path).with_context(|| format!("the admin token in {}", path.display()))
}

/// The Redis in which several nodes count together, looked for once, and what has to run beside it.
async fn shared_limits(
    settings: &Settings,
    metrics: &Metrics,
) -> anyhow::Result<Option<(Shared, limits::Worker)>> {
    let Some(url) = &settings.limits.redis else { return Ok(None) };
    let seen = LimitMetrics::new(metrics.registry())?;
    let (shared, mut counting) = Shared::open(url.expose(), settings.limits.redis_max, seen)
        .map_err(|error| anyhow::anyhow!("`limits.redis`: {}", error.category()))?;
    counting.begin().await;
    Ok(Some((shared, counting)))
}

async fn keys(
    store: &Store,
    secret: &Arc<[u8]>,
    limits: Limits,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<(Arc<KeyTable>, Keys)> {
    let source = StoredKeys(store.clone());
    let known: HashMap<_, _> = source.all().await?.into_iter().collect();
    let table = Arc::new(KeyTable::from_pointee(known));
    Ok((table.clone(), Keys::new(table, secret, Arc::new(source), limits, clock.clone())))
}

fn readiness(store: &Store, snapshots: &Snapshots) -> Result<(), String> {
    if !store.is_running() {
        return Err("the ledger cannot be written".to_owned());
    }
    if snapshots.load().prices.is_empty() {
        return Err("no prices are published".to_owned());
    }
    Ok(())
}

fn shaped(router: Router, clock: &Arc<dyn Clock>) -> Router {
    router.layer(axum::middleware::from_fn_with_state(clock.clone(), shape))
}
