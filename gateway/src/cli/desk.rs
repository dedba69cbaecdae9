//! Where does a command work: in the store itself, or through the process that has it open?

use std::{path::Path, sync::Arc};

use anyhow::Context;
use arc_swap::ArcSwap;
use http_body_util::BodyExt;
use payments::{
    refund::Refunds,
    store::{FolderLock, Store},
};
use serde_json::Value;
use tower::ServiceExt;
use units::Clock;

use super::{Exit, Failed};
use crate::{
    admin::{AdminToken, HandRoom, PriceRoom, ReconcileDesk, secret_file},
    app,
    books::{self, Books},
    cashier::PayError,
    clock::ProcessClock,
    plan::Snapshot,
    settings::Settings,
};

/// A place to work at.
pub(super) enum Desk {
    /// Nobody has the store open.
    Local {
        store: Store,
        key_secret: String,
        clock: Arc<dyn Clock>,
        prices: PriceRoom,
        hands: Box<HandRoom>,
        /// Given back when the store is closed.
        _lock: Option<FolderLock>,
    },
    /// A process of ours has: it is asked.
    Remote { client: reqwest::Client, url: String, token: AdminToken },
}

impl Desk {
    pub(super) async fn open(settings: &Settings) -> Result<Self, Failed> {
        let folder = settings.store.path.clone();
        let Books { store, admission, lock, .. } = match books::open(&settings.store).await {
            Ok(books) => books,
            Err(error) if books::in_use(&error) => return Self::remote(settings),
            Err(error) => return Err(error.into()),
        };
        let key_secret = match &settings.server.key_secret {
            Some(secret) => secret.expose().to_owned(),
            None => secret_file(&folder.join("key_secret"), "tgsec").context("the key secret")?,
        };
        let clock: Arc<dyn Clock> = Arc::new(ProcessClock::default());
        let prices = PriceRoom {
            store: store.clone(),
            clock: clock.clone(),
            max_stale: settings.fx.max_stale,
            warn_stale: settings.fx.warn_stale,
            publisher: None,
        };
        let hands = Box::new(HandRoom {
            store: store.clone(),
            admission: admission.clone(),
            clock: clock.clone(),
            snapshots: Arc::new(ArcSwap::from_pointee(Snapshot {
                table: settings.table.clone(),
                ..Snapshot::default()
            })),
            holds: None,
            // Nothing is sent from here: whoever serves next finds what is queued.
            refunds: Refunds::new(store.clone(), admission, Arc::default(), clock.clone())
                .approved_above(settings.payments.refunds_approved_above),
            topups: None,
            reconcile: None,
        });
        Ok(Self::Local { store, key_secret, clock, prices, hands, _lock: lock })
    }

    /// The same for somebody who asks the merchants' channel.
    pub(super) async fn reconciling(settings: &Settings) -> Result<Self, Failed> {
        let mut desk = Self::open(settings).await?;
        if let Self::Local { store, clock, hands, .. } = &mut desk {
            let reconciler = app::reconciler(settings, store.clone(), clock.clone())?;
            hands.reconcile = Some(ReconcileDesk::new(reconciler));
        }
        Ok(desk)
    }

    fn remote(settings: &Settings) -> Result<Self, Failed> {
        let path = app::admin_token_file(settings);
        let token = AdminToken::read_or_make(&path)
            .with_context(|| format!("the admin token in {}", path.display()))?;
        let url = match (&settings.server.ready_file, settings.admin.listen.port()) {
            (Some(ready), 0) => admin_url(ready)?,
            _ => format!("http://{}", settings.admin.listen),
        };
        let client = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self::Remote { client, url, token })
    }

    /// Carries out one request about prices, rates or what is done by hand: in place, or at the running process.
    pub(super) async fn call(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failed> {
        match self {
            Self::Remote { client, url, token } => {
                ask(client, token, method, format!("{url}{path}"), body).await
            }
            Self::Local { prices, hands, .. } => {
                let body = axum::body::Body::from(body.map_or_else(String::new, Value::to_string));
                let request = http::Request::builder().method(method).uri(path).body(body)?;
                let rooms = prices.clone().router().merge(HandRoom::clone(hands).router());
                let answer = rooms.oneshot(request).await?;
                if let Some(error) = answer.extensions().get::<PayError>() {
                    return Err(error.clone().into());
                }
                let status = answer.status();
                let bytes = answer.into_body().collect().await?.to_bytes();
                if !status.is_success() {
                    let words = String::from_utf8_lossy(&bytes).into_owned();
                    return Err(Failed { exit: exit_of(status), error: anyhow::anyhow!(words) });
                }
                Ok(serde_json::from_slice(&bytes)?)
            }
        }
    }

    /// Opens a desk for a single request.
    pub(super) async fn once(
        settings: &Settings,
        method: reqwest::Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Failed> {
        let desk = Self::open(settings).await?;
        let answer = desk.call(method, path, body).await;
        desk.close().await;
        answer
    }

    pub(super) async fn close(self) {
        if let Self::Local { store, .. } = self {
            store.close().await;
        }
    }
}

/// Asks the running process.
pub(super) async fn ask(
    client: &reqwest::Client,
    token: &AdminToken,
    method: reqwest::Method,
    url: String,
    body: Option<&Value>,
) -> Result<Value, Failed> {
    let mut request = client.request(method, &url).bearer_auth(token.expose());
    if let Some(body) = body {
        request = request.json(body);
    }
    let unreachable = |error: reqwest::Error| Failed {
        exit: Exit::Upstream,
        error: anyhow::anyhow!("the running tollgate does not answer at {url}: {error}"),
    };
    let answer = request.send().await.map_err(unreachable)?;
    let status = answer.status();
    let says: Value = answer.json().await.map_err(unreachable)?;
    if status.is_success() {
        return Ok(says);
    }
    let message = says["error"]["message"].as_str().unwrap_or("no reason given").to_owned();
    Err(Failed { exit: exit_of(status), error: anyhow::anyhow!(message) })
}

/// The exit code that goes with an answer.
pub(super) fn exit_of(status: http::StatusCode) -> Exit {
    match status.as_u16() {
        404 => Exit::NotFound,
        401 | 403 => Exit::NotAllowed,
        409 => Exit::Conflict,
        400 | 422 => Exit::Invalid,
        502 => Exit::Upstream,
        503 => Exit::Temporary,
        _ => Exit::Unexpected,
    }
}

impl From<PayError> for Failed {
    fn from(error: PayError) -> Self {
        Self { exit: exit_of(error.status), error: anyhow::anyhow!(error.error.message) }
    }
}

fn admin_url(ready_file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(ready_file).with_context(|| format!("{}", ready_file.display()))?;
    let says: Value = serde_json::from_str(&text)?;
    says["admin_url"].as_str().map(str::to_owned).context("the ready file names no admin_url")
}
