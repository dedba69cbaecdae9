//! Events in the order in which a client's SDK wants them, each with its number.

use bytes::BytesMut;

use crate::{dialect::voice::event, json::ObjectWriter};

/// Numbers events and writes them.
#[derive(Debug, Default)]
pub(super) struct Events {
    next: u64,
}

impl Events {
    /// Takes a number for an event that somebody else writes.
    pub(super) const fn take(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        number
    }

    /// Writes one event; `fill` adds what is particular to its kind.
    pub(super) fn write(&mut self, kind: &str, out: &mut BytesMut, fill: impl FnOnce(&mut ObjectWriter)) {
        let mut json = ObjectWriter::new(192);
        json.text("type", kind).count("sequence_number", self.take());
        fill(&mut json);
        event(Some(kind), &json.finish(), out);
    }
}
