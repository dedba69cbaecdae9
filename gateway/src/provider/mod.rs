//! Provider: how does this upstream say it?
//!
//! One [`Upstream`] per provider: its client, its key, its peculiarities ([`Quirks`], mostly data). A call goes out as the
//! client's own bytes with a few members edited; what comes back is checked until nothing in it needs to be trusted.

mod chunk;
mod client;
mod compatible;
mod deepseek;
mod events;
mod fault;
mod mistral;
mod openai;
mod quirks;
mod qwen;
mod request;
mod retry_after;
mod sse;
mod upstream;
mod usage;
mod whole;

pub use events::Events;
pub use fault::{Fault, Refused};
pub use quirks::Quirks;
pub use sse::{Event, EventTooLarge, Scanner};
pub use upstream::{Answered, BadUpstream, Upstream, Upstreams};
pub use whole::Whole;
