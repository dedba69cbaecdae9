//! What an upstream says, in whichever words, and what of it matters.

use std::{collections::VecDeque, fmt};

use bytes::Bytes;

use super::{Event, fault::Said};
use crate::chat::Chunk;

/// What an upstream's JSON text turned out to be.
#[derive(Debug)]
pub(super) enum Heard {
    /// Part or whole of an answer, and which choices (by bit) it names and which it ends. Wires that know no choices have
    /// one.
    Chunk { chunk: Chunk, named: u128, ended: u128 },
    /// The end of a stream, said.
    Done,
    /// An error.
    Error(Said),
    /// Not what this wire says.
    Unreadable,
}

/// Listens to one answer. It may remember what it has heard: some wires say a thing once and refer to it later.
pub(super) trait Ear: Send + fmt::Debug {
    /// One event of a stream. What it says is appended to `out`, in order; a ping says nothing.
    fn hear(&mut self, event: Event, out: &mut VecDeque<Heard>);

    /// All of an answer in one piece.
    fn whole(&mut self, body: Bytes) -> Heard;
}
