//! The inference path by its front door: real sockets, a scripted upstream, a till in memory.

mod answers;
mod endings;
mod failures;
mod refusals;
mod till;
mod upstream;
mod world;
