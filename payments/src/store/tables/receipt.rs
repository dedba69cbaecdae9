//! Receipts of calls: evidence beside the books, in a file of their own where the engine is a file.

use super::{Kind, Table, changing, kept};

/// Receipts, by call. Not part of the state of the books.
pub(crate) static RECEIPT: Table = Table {
    name: "receipt",
    columns: &[
        kept("id", Kind::Text),
        kept("account", Kind::Text),
        kept("at", Kind::Int),
        changing("body", Kind::Text),
    ],
    key: &["id"],
    row: None,
};
