//! Notices that were changed on their way.

use proptest::prelude::*;

/// One change.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Put(u8),
    PutIn(u8),
    TakeOut,
    /// Copies so many bytes from elsewhere in the notice to here.
    Copy(prop::sample::Index, usize),
}

/// One to three of them, anywhere.
pub(super) fn changes() -> impl Strategy<Value = Vec<(prop::sample::Index, Change)>> {
    let byte = || prop_oneof![any::<u8>(), prop::sample::select(b"0123456789<>/![]&;CDAT".to_vec())];
    let change = prop_oneof![
        byte().prop_map(Change::Put),
        byte().prop_map(Change::PutIn),
        Just(Change::TakeOut),
        (any::<prop::sample::Index>(), 1..80_usize).prop_map(|(from, bytes)| Change::Copy(from, bytes)),
    ];
    prop::collection::vec((any::<prop::sample::Index>(), change), 1..4)
}

/// Changes them in turn.
pub(super) fn changed(bytes: &mut Vec<u8>, changes: Vec<(prop::sample::Index, Change)>) {
    for (at, change) in changes {
        if bytes.is_empty() {
            return;
        }
        let at = at.index(bytes.len());
        match change {
            Change::Put(byte) => bytes[at] = byte,
            Change::PutIn(byte) => bytes.insert(at, byte),
            Change::TakeOut => drop(bytes.remove(at)),
            Change::Copy(from, count) => {
                let from = from.index(bytes.len());
                let copied = bytes[from..(from + count).min(bytes.len())].to_vec();
                bytes.splice(at..at, copied);
            }
        }
    }
}
