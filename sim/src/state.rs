//! What does everybody on the far side share?
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::SimSettings;
use crate::clock::SimClock;
use crate::faults::Faults;
use crate::fx::Rates;
use crate::providers::{Book, COUNT};
use crate::tls;
use crate::wechat::WeChat;

/// How long a merchant has for answering a notification, real time.
const DELIVERY_MS_MAX: u64 = 5_000;

/// How long a refund takes unless the controls say otherwise, by the simulator's clock.
const REFUND_DELAY_MS: u64 = 300;

/// Waits that the controls may change while the simulator runs, milliseconds.
#[derive(Debug)]
pub(crate) struct Pace {
    pub(crate) first_token_ms: AtomicU64,
    pub(crate) gap_ms: AtomicU64,
    pub(crate) refund_delay_ms: AtomicU64,
}

impl Pace {
    pub(crate) fn first_token_ms(&self) -> u64 {
        self.first_token_ms.load(Ordering::Relaxed)
    }
    pub(crate) fn gap_ms(&self) -> u64 {
        self.gap_ms.load(Ordering::Relaxed)
    }
    pub(crate) fn refund_delay_ms(&self) -> u64 {
        self.refund_delay_ms.load(Ordering::Relaxed)
    }
}

/// The far side as one value, handed to every handler and task.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) clock: Arc<dyn SimClock>,
    pub(crate) seed: u64,
    pub(crate) provider_key: String,
    pub(crate) pace: Pace,
    pub(crate) faults: Faults,
    pub(crate) rates: Mutex<Rates>,
    pub(crate) providers: [Book; COUNT],
    pub(crate) wechat: WeChat,
    /// Where TLS is spoken, if it is.
    pub(crate) tls: OnceLock<tls::Shown>,
    /// Delivers notifications.
    pub(crate) postman: reqwest::Client,
    pub(crate) stop: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

impl World {
    /// # Errors
    /// `InvalidInput` if a key cannot be read.
    pub(crate) fn new(
        settings: SimSettings,
        stop: CancellationToken,
        tasks: TaskTracker,
    ) -> io::Result<Self> {
        let postman = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_millis(DELIVERY_MS_MAX))
            .user_agent("Mozilla/4.0")
            .build()
            .map_err(io::Error::other)?;
        Ok(Self {
            wechat: WeChat::new(settings.wechat)?,
            tls: OnceLock::new(),
            clock: settings.clock,
            seed: settings.seed,
            provider_key: settings.provider_key,
            pace: Pace {
                first_token_ms: AtomicU64::new(settings.first_token_ms),
                gap_ms: AtomicU64::new(settings.gap_ms),
                refund_delay_ms: AtomicU64::new(REFUND_DELAY_MS),
            },
            faults: Faults::default(),
            rates: Mutex::default(),
            providers: std::array::from_fn(|_| Book::default()),
            postman,
            stop,
            tasks,
        })
    }

    pub(crate) fn now(&self) -> i64 {
        self.clock.now_micros()
    }

    /// Waits by the simulator's clock; `false` if the simulator stops first.
    pub(crate) async fn sleep_until(&self, at: i64) -> bool {
        tokio::select! {
            () = self.clock.sleep_until_micros(at) => true,
            () = self.stop.cancelled() => false,
        }
    }
}

/// What a client, or the stop, must end.
pub(crate) async fn silence(world: &World) {
    world.stop.cancelled().await;
}
