//! What packages of tokens are offered.

use std::sync::Arc;

use axum::{
    extract::{Path, Query, State},
    response::Response,
};
use bytes::Bytes;
use http::StatusCode;
use payments::ledger::{Body, Package, PackageOffer, Weights};
use serde::Deserialize;
use serde_json::Value;
use units::Fen;

use super::{By, HandRoom, listed, parse};
use crate::cashier::{PayError, package, reply};

type Room = State<Arc<HandRoom>>;

#[derive(Deserialize)]
pub(super) struct Which {
    id: Option<String>,
}

/// `GET /admin/v1/packages?id=`: what is on sale, or every version of one package.
pub(super) async fn list(State(room): Room, Query(which): Query<Which>) -> Result<Response, PayError> {
    let rows = match which.id {
        Some(id) => room.store.package_versions(id).await?,
        None => room.store.packages_on_sale().await?,
    };
    Ok(reply(StatusCode::OK, &listed(rows.iter().map(package).collect())))
}

/// What a package offers, as its file says. Weights are in thousandths of a token of the package.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Set {
    by: By,
    title: String,
    price: String,
    tokens: i64,
    models: Vec<String>,
    #[serde(default = "plain")]
    weights: Weights,
}

const fn plain() -> Weights {
    Weights::PLAIN
}

/// `PUT /admin/v1/packages/{package}`: its next version; nothing where the last one offers the same.
pub(super) async fn set(
    State(room): Room,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, PayError> {
    let asked: Set = parse(&body)?;
    let price: Fen = asked.price.parse().map_err(|error| {
        PayError::invalid("price", format!("price is yuan as text, e.g. \"50.00\": {error}"))
    })?;
    let table = room.snapshots.load().table.clone();
    for model in &asked.models {
        if !table.models.contains_key(model) {
            let nearest = router_config::nearest(model, table.models.keys().map(String::as_str));
            let hint = nearest.map(|name| format!(" Did you mean `{name}`?")).unwrap_or_default();
            return Err(PayError::invalid("models", format!("no model `{model}` is configured.{hint}")));
        }
    }
    let versions = room.store.package_versions(id.clone()).await?;
    let last = versions.last();
    let version = last.map_or(0, |last| last.offer.version) + 1;
    let offer = PackageOffer {
        id: id.clone(),
        version,
        title: asked.title,
        price,
        tokens: asked.tokens,
        models: asked.models,
        weights: asked.weights,
    };
    if let Some(same) = last.filter(|last| last.retired_at.is_none() && offers_same(last, &offer)) {
        return Ok(reply(StatusCode::OK, &with_key(same, &asked.by.key)));
    }
    let key = asked.by.key.clone();
    room.submit("package", asked.by, Body::DefinePackage(offer)).await?;
    shown(&room, &id, version, &key).await
}

fn offers_same(package: &Package, offer: &PackageOffer) -> bool {
    PackageOffer { version: offer.version, ..package.offer.clone() } == *offer
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    by: By,
}

/// `POST /admin/v1/packages/{package}/retire`: it is not sold any more. What was sold stays good.
pub(super) async fn retire(
    State(room): Room,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, PayError> {
    let asked: Signed = parse(&body)?;
    let versions = room.store.package_versions(id.clone()).await?;
    let unknown = || PayError::not_found("package", format!("no package {id}"));
    let version = versions.last().ok_or_else(unknown)?.offer.version;
    let key = asked.by.key.clone();
    room.submit("retire", asked.by, Body::RetirePackage { id: id.clone(), version }).await?;
    shown(&room, &id, version, &key).await
}

async fn shown(room: &HandRoom, id: &str, version: i64, key: &str) -> Result<Response, PayError> {
    let versions = room.store.package_versions(id.to_owned()).await?;
    let found = versions.iter().find(|package| package.offer.version == version);
    let found = found.ok_or_else(|| PayError::not_found("package", format!("no package {id}")))?;
    Ok(reply(StatusCode::OK, &with_key(found, key)))
}

fn with_key(found: &Package, key: &str) -> Value {
    let mut shown = package(found);
    shown["key"] = key.into();
    shown
}
