//! Edge: whose socket, which caller, how large, how long?
//!
//! Runs a listener within bounds and gives every request its id and its age. Knows nothing of keys, models or money.

mod admit;
mod incoming;
mod listener;
mod proxies;

pub use admit::{Admit, AdmitLayer, Shed};
pub use incoming::Incoming;
pub use listener::{ConnLimits, serve};
pub use proxies::{BadProxy, Peer, TrustedProxies};
