//! Provider: how does this upstream say it?
//!
//! One [`Upstream`] per provider: its client, its key, its peculiarities ([`Quirks`](router_config::Quirks), data). A call
//! goes out as the client's own bytes with a few members edited, or, to a provider with a wire of its own, in that wire's
//! words ([`wire`]); what comes back is heard by an [`Ear`](ear::Ear) and checked until nothing in it needs to be trusted.

mod allowance;
mod anthropic;
mod chunk;
mod client;
mod collect;
mod ear;
mod embeddings;
mod events;
mod fault;
pub(crate) mod fuzzed;
mod line;
mod messages;
mod repair;
mod request;
mod responses;
mod rest;
mod retry_after;
mod sse;
mod upstream;
mod usage;
mod whole;
mod wire;

pub use allowance::{Allowance, Allowances};
pub use events::Events;
pub use fault::{Fault, Refused};
pub use line::{Dial, Line};
pub use sse::{Event, EventTooLarge, Scanner};
pub use upstream::{Adjusted, Answered, BadUpstream, Reply, Upstream, Upstreams};
pub use whole::Whole;
