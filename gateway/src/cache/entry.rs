//! An answer that is kept.

use std::borrow::Cow;

use units::{Timestamp, Usage};

use crate::chat::{Chunk, Spoken};

/// What an entry takes beside its text, about, and each of its chunks.
const ENTRY_BYTES: usize = 256;
const CHUNK_BYTES: usize = 160;

/// A whole answer, as its upstream said it: what a voice makes of it is made anew for each client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When it was given.
    pub at: Timestamp,
    /// Who gave it.
    pub provider: String,
    /// In whose words it is.
    pub spoken: Spoken,
    /// Which of the client's wishes were said otherwise.
    pub adjusted: Vec<Cow<'static, str>>,
    /// What it took, as the upstream counted it.
    pub usage: Usage,
    /// Whether it came in pieces.
    pub streams: bool,
    /// The pieces, or all of it in one.
    pub chunks: Vec<Chunk>,
}

impl Entry {
    /// About so many bytes of memory.
    pub fn bytes(&self) -> usize {
        ENTRY_BYTES + self.provider.len() + self.chunks.iter().map(chunk_bytes).sum::<usize>()
    }
}

/// About so many bytes of memory.
pub(super) fn chunk_bytes(chunk: &Chunk) -> usize {
    // The usage is a part of the object, copied.
    CHUNK_BYTES + chunk.json.len() * if chunk.has_usage_member { 2 } else { 1 }
}
