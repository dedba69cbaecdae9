//! The inference path by its front door: real sockets, a scripted upstream, a till in memory.

mod answers;
mod endings;
mod endpoints;
mod failures;
mod matrix;
mod messages;
mod refusals;
mod responses;
mod routing;
mod till;
mod upstream;
mod world;
