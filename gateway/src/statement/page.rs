//! A page of a statement, and the sums of a period.

use payments::{
    ledger::Asset,
    store::{Statement, StatementSums},
};
use serde_json::{Value, json};

use super::{
    form::{entry, time},
    query::Asked,
};

/// A page.
pub fn shown(account: &str, asset: &Asset, asked: &Asked, page: &Statement) -> Value {
    let lines: Vec<Value> = page.lines.iter().map(entry).collect();
    json!({
        "object": "statement",
        "account": account,
        "currency": asset.to_string(),
        "from": asked.from.map(time),
        "to": asked.to.map(time),
        "opening_balance": asset.text(page.opening),
        "closing_balance": asset.text(page.closing),
        "entries": page.count,
        "data": lines,
        "has_more": page.next.is_some(),
        "next_cursor": page.next.map(|place| place.to_string()),
    })
}

/// The sums of a period.
pub fn sums_shown(asset: &Asset, sums: &StatementSums) -> Value {
    let kinds: Vec<Value> = sums
        .kinds
        .iter()
        .map(|sum| {
            json!({
                "kind": sum.kind.as_str(),
                "entries": sum.lines,
                "in": asset.text(sum.inflow),
                "out": asset.text(sum.outflow),
            })
        })
        .collect();
    let books: Vec<Value> = sums
        .books
        .iter()
        .map(|sum| {
            json!({
                "book": sum.book.as_str(),
                "debit": asset.text(sum.debit),
                "credit": asset.text(sum.credit),
            })
        })
        .collect();
    json!({"kinds": kinds, "books": books, "currency": asset.to_string()})
}
