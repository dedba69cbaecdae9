//! What happened on my account?

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Query, State},
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};
use payments::store::BooksReader;

use super::{Cashier, PayError, reply};
use crate::statement::{Asked, Lines, shown, sums_shown};

const KNOWN: &[&str] = &["from", "to", "asset", "order", "limit", "cursor", "sums", "format"];

/// `GET /v1/statement`: a page of one balance, or with `format=csv|jsonl` every line of the account in the period.
pub(super) async fn statement(
    State(cashier): State<Arc<Cashier>>,
    Query(pairs): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Result<Response, PayError> {
    let caller = cashier.keys.authenticate(&headers).await?;
    let asked = Asked::read(&pairs, KNOWN)?;
    // Whoever was just answered sees what it cost.
    cashier.store.flushed().await?;
    if asked.form.is_some() {
        return download(BooksReader::from(&cashier.store), Some(caller.account), &asked).await;
    }
    let page = cashier.store.statement(asked.wish(caller.account)).await?;
    let mut shown = shown(&caller.account.to_string(), &asked.asset(), &asked, &page);
    if asked.sums {
        let sums = cashier.store.statement_sums(caller.account, asked.asset(), asked.period()).await?;
        shown["sums"] = sums_shown(&asked.asset(), &sums);
    }
    Ok(reply(StatusCode::OK, &shown))
}

/// Streams what was asked for.
///
/// # Errors
/// [`PayError`] if the books cannot be read.
pub async fn download(
    books: BooksReader,
    account: Option<units::AccountId>,
    asked: &Asked,
) -> Result<Response, PayError> {
    let form = asked.form.unwrap_or(crate::statement::Form::Csv);
    let lines = Lines::begin(books, account, asked.period(), form).await?;
    let ending = match form {
        crate::statement::Form::Csv => "csv",
        crate::statement::Form::Jsonl => "jsonl",
    };
    let headers = [
        (header::CONTENT_TYPE, form.media_type().to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"statement.{ending}\"")),
    ];
    Ok((headers, Body::from_stream(lines.bytes())).into_response())
}
