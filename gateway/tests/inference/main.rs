//! The inference path by its front door: real sockets, a scripted upstream, a till in memory.

mod answers;
mod cache;
mod caps;
mod continuation;
mod endings;
mod endpoints;
mod failures;
mod known_failures;
mod limits;
mod matrix;
mod messages;
mod money;
mod pictures;
mod providers;
mod refusals;
mod responses;
mod routing;
mod shared_cache;
mod shared_limits;
mod simulation;
mod till;
mod unpriced;
mod upstream;
mod world;
