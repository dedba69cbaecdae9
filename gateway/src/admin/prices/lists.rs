//! Price lists.

use std::{collections::HashMap, sync::Arc};

use axum::{
    extract::{Path, Query, State},
    http::HeaderMap,
    response::Response,
};
use bytes::Bytes;
use http::StatusCode;
use payments::{
    ledger::{Body, PriceList, PriceVersion, Reply},
    prices::{self, FxInForce, Sheet, pair_of},
    store::PriceVersionHead,
};
use serde::Deserialize;
use serde_json::{Value, json};
use units::{AccountId, Timestamp};

use super::{PriceRoom, instant, listed, odd_reply, parse, shown};
use crate::{
    cashier::{PayError, reply},
    reload::last_rates,
};

type Room = State<Arc<PriceRoom>>;

/// Which version is meant.
#[derive(Deserialize)]
pub(super) struct Which {
    /// `draft`, a number, or the one in force.
    version: Option<String>,
}

/// A version, or the draft, with what is known beside it.
struct Found {
    name: String,
    version: Option<PriceVersion>,
    document: String,
    source_hash: String,
    sheet: Sheet,
}

impl PriceRoom {
    async fn rates(&self) -> Result<HashMap<String, Arc<FxInForce>>, PayError> {
        Ok(last_rates(&self.store.fx_pairs().await?, self.clock.now()))
    }

    async fn list(&self, name: &str) -> Result<PriceList, PayError> {
        let all = self.store.price_lists().await?;
        let found = all.into_iter().find(|list| list.name == name);
        found.ok_or_else(|| PayError::not_found("list", format!("no price list `{name}`")))
    }

    async fn in_force(&self, list: &str) -> Result<Option<PriceVersionHead>, PayError> {
        Ok(in_force(&self.store.price_version_heads().await?, list, self.clock.now()))
    }

    async fn find(&self, list: &str, which: Option<&str>) -> Result<Found, PayError> {
        let row = self.list(list).await?;
        if which == Some("draft") {
            let draft = row
                .draft
                .ok_or_else(|| PayError::not_found("draft", format!("price list `{list}` has no draft")))?;
            return found(format!("{list}:draft"), None, draft.document, draft.source_hash);
        }
        let number = match which {
            Some(text) => text.parse::<i64>().map_err(|_| {
                PayError::invalid("version", format!("version is `draft` or a number, not `{text}`"))
            })?,
            None => {
                let none =
                    || PayError::not_found("list", format!("price list `{list}` has no version in force"));
                self.in_force(list).await?.ok_or_else(none)?.number
            }
        };
        let version = self.store.price_version(list.to_owned(), number).await?;
        let version = version.ok_or_else(|| {
            PayError::not_found("version", format!("price list `{list}` has no version {number}"))
        })?;
        let (document, source_hash) = (version.document.clone(), version.source_hash.clone());
        found(version.id(), Some(version), document, source_hash)
    }
}

fn found(
    name: String,
    version: Option<PriceVersion>,
    document: String,
    source_hash: String,
) -> Result<Found, PayError> {
    let sheet = Sheet::read(&document).map_err(|error| PayError::unavailable(error.to_string()))?;
    Ok(Found { name, version, document, source_hash, sheet })
}

fn in_force(heads: &[PriceVersionHead], list: &str, at: Timestamp) -> Option<PriceVersionHead> {
    let begun = heads.iter().filter(|head| head.list == list && head.valid_from <= at);
    begun.max_by_key(|head| (head.valid_from, head.number)).cloned()
}

/// `GET /admin/v1/price-lists`
pub(super) async fn all(State(room): Room) -> Result<Response, PayError> {
    let heads = room.store.price_version_heads().await?;
    let assigned = room.store.price_assignments().await?;
    let at = room.clock.now();
    let rows = room.store.price_lists().await?.into_iter().map(|list| {
        let current = in_force(&heads, &list.name, at);
        let to_come = heads.iter().filter(|head| head.list == list.name && head.valid_from > at);
        let accounts = assigned.iter().filter(|row| row.list.as_ref() == Some(&list.name)).count();
        json!({
            "list": list.name,
            "in_force": current.as_ref().map(|head| head.number),
            "valid_from": current.map(|head| shown::time(head.valid_from)),
            "versions": list.versions,
            "to_come": to_come.map(|head| json!({"version": head.number, "valid_from": shown::time(head.valid_from)})).collect::<Vec<_>>(),
            "draft": list.draft.map(|draft| draft.source_hash),
            "accounts_assigned": accounts,
        })
    });
    Ok(reply(StatusCode::OK, &listed(rows.collect())))
}

/// `GET /admin/v1/price-lists/{list}?version=`
pub(super) async fn one(
    State(room): Room,
    Path(list): Path<String>,
    Query(which): Query<Which>,
) -> Result<Response, PayError> {
    let found = room.find(&list, which.version.as_deref()).await?;
    let mut view = json!({"list": list, "version": found.name, "source_hash": found.source_hash, "scale": found.sheet.scale});
    if let Some(version) = &found.version {
        view["valid_from"] = shown::time(version.valid_from).into();
        view["published_at"] = shown::time(version.published_at).into();
        view["author"] = json!(version.author);
        view["reason"] = json!(version.reason);
        view["fx"] = version
            .fx
            .iter()
            .map(|noted| json!({"id": noted.id, "rate": shown::rate(noted.rate_micro)}))
            .collect();
    }
    view["currency"] = "CNY".into();
    view["unit"] = "1M tokens".into();
    view["data"] = shown::rows(&found.sheet, &room.rates().await?).into();
    Ok(reply(StatusCode::OK, &view))
}

/// `GET /admin/v1/price-lists/{list}/document?version=`: as it is written, to be edited and saved as a draft.
pub(super) async fn document(
    State(room): Room,
    Path(list): Path<String>,
    Query(which): Query<Which>,
) -> Result<Response, PayError> {
    let found = room.find(&list, which.version.as_deref()).await?;
    let document: Value =
        serde_json::from_str(&found.document).map_err(|error| PayError::unavailable(error.to_string()))?;
    Ok(reply(StatusCode::OK, &document))
}

/// `PUT /admin/v1/price-lists/{list}/draft`: the body is a document.
pub(super) async fn save_draft(
    State(room): Room,
    Path(list): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, PayError> {
    let document = std::str::from_utf8(&body).map_err(|_| PayError::body("The body is not UTF-8."))?;
    let save = Body::SavePriceDraft { list: list.clone(), document: document.to_owned() };
    match room.submit(&headers, &format!("draft:{list}"), None, save).await? {
        Reply::PriceList(row) => Ok(reply(StatusCode::OK, &draft_view(&row))),
        other => Err(odd_reply(&other)),
    }
}

/// `DELETE /admin/v1/price-lists/{list}/draft`
pub(super) async fn delete_draft(
    State(room): Room,
    Path(list): Path<String>,
    headers: HeaderMap,
) -> Result<Response, PayError> {
    let delete = Body::DeletePriceDraft { list: list.clone() };
    match room.submit(&headers, &format!("undraft:{list}"), None, delete).await? {
        Reply::PriceList(row) => Ok(reply(StatusCode::OK, &draft_view(&row))),
        other => Err(odd_reply(&other)),
    }
}

fn draft_view(row: &PriceList) -> Value {
    let draft = row.draft.as_ref().map(|draft| {
        json!({"source_hash": draft.source_hash, "author": draft.author, "saved_at": shown::time(draft.saved_at)})
    });
    json!({"list": row.name, "versions": row.versions, "draft": draft})
}

/// `GET /admin/v1/price-lists/{list}/diff`: the draft laid against the version in force.
pub(super) async fn diff(State(room): Room, Path(list): Path<String>) -> Result<Response, PayError> {
    let draft = room.find(&list, Some("draft")).await?;
    let current = match room.in_force(&list).await? {
        Some(head) => Some(room.find(&list, Some(&head.number.to_string())).await?),
        None => None,
    };
    let rates = room.rates().await?;
    let diff = prices::diff(current.as_ref().map(|found| &found.sheet), &draft.sheet, &rates);
    let mut view = shown::diff(&diff);
    view["list"] = list.into();
    view["from"] = json!(current.map(|found| found.name));
    view["source_hash"] = draft.source_hash.into();
    view["off_by_rounding"] = prices::rounding(&draft.sheet, &rates).0.len().into();
    Ok(reply(StatusCode::OK, &view))
}

/// `GET /admin/v1/price-lists/{list}/rounding?version=`
pub(super) async fn rounding(
    State(room): Room,
    Path(list): Path<String>,
    Query(which): Query<Which>,
) -> Result<Response, PayError> {
    let found = room.find(&list, which.version.as_deref()).await?;
    let (rows, unknown) = prices::rounding(&found.sheet, &room.rates().await?);
    let view = json!({
        "list": list,
        "version": found.name,
        "scale": found.sheet.scale,
        "without_a_rate": unknown,
        "data": rows.iter().map(shown::rounding_row).collect::<Vec<_>>(),
    });
    Ok(reply(StatusCode::OK, &view))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Publish {
    source_hash: Option<String>,
    valid_from: Option<String>,
    reason: Option<String>,
}

/// `POST /admin/v1/price-lists/{list}/publish`
pub(super) async fn publish(
    State(room): Room,
    Path(list): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, PayError> {
    let asked: Publish = parse(&body)?;
    let valid_from = asked.valid_from.as_deref().map(|text| instant("valid_from", text)).transpose()?;
    // A repeat names the draft that is a version by now, so the ledger is asked and not the list. Which pairs the
    // document needs is known from the draft; a repeat is answered before they are looked at.
    let draft = match (room.find(&list, Some("draft")).await, &asked.source_hash) {
        (Ok(draft), _) => Some(draft),
        (Err(_), Some(_)) => None,
        (Err(error), None) => return Err(error),
    };
    let pairs = draft.as_ref().map(|draft| draft.sheet.foreign().map(pair_of).collect()).unwrap_or_default();
    let source_hash = asked.source_hash.or(draft.map(|draft| draft.source_hash)).unwrap_or_default();
    let publish = Body::PublishPrices { list: list.clone(), source_hash, valid_from, pairs };
    let Reply::PriceVersion(version) =
        room.submit(&headers, &format!("publish:{list}"), asked.reason, publish).await?
    else {
        return Err(PayError::unavailable("the ledger gave an unexpected answer"));
    };
    let view = json!({
        "list": list,
        "version": version.id(),
        "valid_from": shown::time(version.valid_from),
        "published_at": shown::time(version.published_at),
        "source_hash": version.source_hash,
        "reason": version.reason,
    });
    Ok(reply(StatusCode::CREATED, &view))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Assign {
    list: Option<String>,
    reason: Option<String>,
}

/// `PUT /admin/v1/accounts/{account}/price-list`
pub(super) async fn assign(
    State(room): Room,
    Path(account): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, PayError> {
    let account: AccountId =
        account.parse().map_err(|_| PayError::not_found("account", format!("no account {account}")))?;
    let asked: Assign = parse(&body)?;
    let assign = Body::AssignPriceList { account, list: asked.list.clone() };
    room.submit(&headers, &format!("assign:{account}"), asked.reason, assign).await?;
    let list = asked.list.unwrap_or_else(|| prices::DEFAULT_LIST.to_owned());
    Ok(reply(StatusCode::OK, &json!({"account": account.to_string(), "list": list})))
}
