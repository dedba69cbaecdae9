//! The far side: twenty model providers and a WeChat Pay, as one HTTP/1.1 server that can be told to misbehave.
//!
//! Which question does this crate answer: how does the world beyond the gateway behave? It knows wire formats and
//! nothing of the product; whatever the product believes about a provider or about WeChat Pay has to survive this server.
//!
//! | Path | Who answers |
//! |---|---|
//! | `/openai/v1`, `/anthropic/v1`, `/deepseek/v1`, … | the model providers, each in its own dialect |
//! | `/wechat/…` | [`wechat`] |
//! | `/phone` | a page on which a person pays the open orders |
//! | `/_sim` | a page of switches |
//! | `/_sim/v1/…` | the controls: faults, clock, exchange rates, orders, what was received |
mod clock;
mod control;
mod faults;
mod fx;
mod html;
mod phone;
mod providers;
mod random;
mod server;
mod state;
mod tls;
pub mod wechat;
mod x509;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use clock::{ManualOffsetClock, SimClock};
pub use tls::Authority;

/// How long [`Sim::stop`] waits for connections and deliveries to notice.
const STOP_MS_MAX: u64 = 1_000;

/// What a simulator is told when it is started.
#[derive(Debug, Clone)]
pub struct SimSettings {
    /// What this WeChat Pay has issued to its first merchant, and its own key pair; the controls take on others.
    pub wechat: wechat::Credentials,
    /// The far side's time: orders, signatures and redeliveries go by it. Gaps between tokens are real time.
    pub clock: Arc<dyn SimClock>,
    /// Same seed, same prompt: same answer.
    pub seed: u64,
    /// The key which all simulated providers accept; any other gets each provider's own 401.
    pub provider_key: String,
    /// Wait before the first token of an answer, milliseconds.
    pub first_token_ms: u64,
    /// Wait between two tokens, milliseconds; `sim-slow` takes ten times as long.
    pub gap_ms: u64,
}

/// A running simulator. Dropping it leaves the server running until the runtime ends; see [`Sim::stop`].
#[derive(Debug)]
pub struct Sim {
    addr: SocketAddr,
    world: Arc<state::World>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Sim {
    /// Where the server listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves WeChat Pay's paths over TLS too, where v2's refunds and fund-flow bills want the merchant's certificate; the
    /// address under which clients find it. Once at most.
    ///
    /// # Errors
    /// `InvalidInput` if the authority cannot be read; otherwise what the listener reports.
    pub fn serve_tls(&self, listener: TcpListener, authority: &Authority) -> std::io::Result<String> {
        let addr = listener.local_addr()?;
        let acceptor = tls::acceptor(authority, addr)?;
        let url = format!("https://{addr}");
        let shown = tls::Shown { url: url.clone(), ca_pem: authority.certificate_pem.clone() };
        self.world.tls.set(shown).map_err(|_| std::io::ErrorKind::AlreadyExists)?;
        let app = server::merchants(Arc::clone(&self.world));
        let serving = server::serve(listener, Some(acceptor), app, self.stop.clone(), self.tasks.clone());
        self.tasks.spawn(serving);
        Ok(url)
    }

    /// Ends deliveries, streams and connections, and waits for them for at most a second.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        // What does not end within the bound holds nothing but memory; there is nobody left to tell.
        let _ = tokio::time::timeout(Duration::from_millis(STOP_MS_MAX), self.tasks.wait()).await;
    }
}

/// Starts the simulator on a listener that is already bound.
///
/// # Errors
/// `InvalidInput` if the keys in [`SimSettings::wechat`] cannot be read; otherwise what the listener reports.
pub async fn start(listener: TcpListener, settings: SimSettings) -> std::io::Result<Sim> {
    let addr = listener.local_addr()?;
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    let world = Arc::new(state::World::new(settings, stop.clone(), tasks.clone())?);
    let app = server::router(Arc::clone(&world));
    tasks.spawn(server::serve(listener, None, app, stop.clone(), tasks.clone()));
    Ok(Sim { addr, world, stop, tasks })
}
