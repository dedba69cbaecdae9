//! An answer that passes, noted so that it may be kept once it is whole and paid.

use std::borrow::Cow;

use bytes::Bytes;
use units::Usage;

use super::{Cache, Entry, Place, entry::chunk_bytes};
use crate::chat::{Chunk, Spoken, UsageSeen};

/// See the module. Dropped, nothing is kept.
#[derive(Debug)]
pub struct Recording {
    cache: Cache,
    place: Place,
    streams: bool,
    chunks: Vec<Chunk>,
    bytes: usize,
}

impl Recording {
    pub(super) const fn new(cache: Cache, place: Place, streams: bool) -> Self {
        Self { cache, place, streams, chunks: Vec::new(), bytes: 0 }
    }

    /// Notes a piece. False once the answer is too large to be kept, and nothing need be noted any more.
    #[must_use]
    pub fn note(&mut self, chunk: &Chunk) -> bool {
        self.bytes = self.bytes.saturating_add(chunk_bytes(chunk));
        if self.bytes > self.cache.entry_bytes_max {
            return false;
        }
        self.chunks.push(of_its_own(chunk));
        true
    }

    /// Keeps the answer: it is whole, and `usage` is what its upstream counted.
    pub fn keep(self, provider: &str, spoken: Spoken, adjusted: &[Cow<'static, str>], usage: Usage) {
        let Self { cache, place, streams, chunks, .. } = self;
        let entry = Entry {
            at: cache.clock.now(),
            provider: provider.to_owned(),
            spoken,
            adjusted: adjusted.to_vec(),
            usage,
            streams,
            chunks,
        };
        if entry.bytes() <= cache.entry_bytes_max {
            cache.keep(place, entry);
        }
    }
}

/// The chunk without the buffer that it came in, which may be much larger.
fn of_its_own(chunk: &Chunk) -> Chunk {
    let usage = match &chunk.usage {
        UsageSeen::Counted { usage, raw } => {
            UsageSeen::Counted { usage: *usage, raw: Bytes::copy_from_slice(raw) }
        }
        other => other.clone(),
    };
    Chunk { json: Bytes::copy_from_slice(&chunk.json), usage, ..chunk.clone() }
}
