//! What is offered: packages of tokens, and credit codes.

use super::{Kind, Table, changing, kept};
use crate::{
    ledger::{CreditCode, Package, RowOp},
    store::value::Value,
};

/// Versions of packages. An offer never changes; when it was taken from sale is written once.
pub(crate) static PACKAGE: Table = Table {
    name: "package",
    columns: &[
        kept("id", Kind::Text),
        kept("package", Kind::Text),
        kept("version", Kind::Int),
        changing("retired_at", Kind::Int),
        changing("body", Kind::Text),
    ],
    key: &["id"],
    row: Some(|cells| {
        let (_id, _package, _version) = (cells.text()?, cells.text()?, cells.int()?);
        let _retired = cells.maybe_int()?;
        cells.json().map(RowOp::Package)
    }),
};

pub(super) fn package_columns(row: &Package) -> Vec<Value> {
    vec![
        format!("{}@{}", row.offer.id, row.offer.version).into(),
        row.offer.id.as_str().into(),
        row.offer.version.into(),
        row.retired_at.into(),
        Value::json(row),
    ]
}

/// Credit codes, by digest.
pub(crate) static CREDIT_CODE: Table = Table {
    name: "credit_code",
    columns: &[
        kept("digest", Kind::Text),
        kept("campaign", Kind::Text),
        changing("used", Kind::Int),
        changing("body", Kind::Text),
    ],
    key: &["digest"],
    row: Some(|cells| {
        let (_digest, _campaign, _used) = (cells.text()?, cells.text()?, cells.int()?);
        cells.json().map(RowOp::Code)
    }),
};

pub(super) fn code_columns(row: &CreditCode) -> Vec<Value> {
    vec![
        row.terms.digest.as_str().into(),
        row.terms.campaign.as_str().into(),
        row.used.into(),
        Value::json(row),
    ]
}
