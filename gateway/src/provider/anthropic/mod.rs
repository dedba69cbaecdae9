//! Anthropic's Messages: a wire of its own.
//!
//! A client of Messages is passed on as bytes; whoever else calls is translated: [`request`] says a chat completion as
//! Messages, [`chunks`] hears Messages and tells them as chat completions.

mod chunks;
mod count;
mod ear;
mod messages;
mod native;
mod request;
#[cfg(test)]
mod round_trip;
mod said;
mod thinking;
mod tools;

pub(super) use chunks::ChunksEar;
pub(super) use ear::MessagesEar;
pub(super) use native::native;
pub(super) use request::{Able, request};
