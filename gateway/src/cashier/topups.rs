//! Topping up.

use std::{net::IpAddr, sync::Arc};

use axum::{
    Extension,
    extract::{Path, Query, State},
    http::HeaderMap,
    response::Response,
};
use bytes::Bytes;
use http::StatusCode;
use payments::{
    ledger::{Order, PayWay},
    topup::{Buy, CreateError, PayWish, QueryReport, TopUpRequest},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use units::{Fen, OrderId};

use super::{Cashier, PayError, page::Page, reply, temporary, views};
use crate::{chat::Caller, edge::Peer, plan::Snapshot};

/// WeChat Pay takes at most this many characters of a device id.
const DEVICE_ID_CHARS_MAX: usize = 32;
/// What a wish to top up may say.
const MEMBERS: &[&str] = &[
    "amount",
    "kind",
    "model",
    "package",
    "version",
    "expect_tokens",
    "channel",
    "openid",
    "device_id",
    "payer_client_ip",
    "return_url",
    "temporary_access",
];
/// WeChat Pay takes at most this many characters of an openid.
const OPENID_CHARS_MAX: usize = 128;
/// A browser's way back has at most this many characters.
const RETURN_URL_CHARS_MAX: usize = 512;
/// A caller's own key for a request has at most this many characters.
const IDEMPOTENCY_KEY_CHARS_MAX: usize = 255;

#[derive(Default, Deserialize)]
struct NewTopUp {
    amount: Option<Value>,
    kind: Option<String>,
    model: Option<String>,
    package: Option<String>,
    version: Option<Value>,
    expect_tokens: Option<Value>,
    channel: Option<String>,
    openid: Option<String>,
    device_id: Option<String>,
    payer_client_ip: Option<String>,
    return_url: Option<String>,
    temporary_access: Option<bool>,
}

/// `POST /v1/topups`
pub(super) async fn create(
    State(cashier): State<Arc<Cashier>>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, PayError> {
    let caller = cashier.keys.authenticate(&headers).await?;
    let idempotency_key = idempotency_key(&headers)?;
    let wanted: NewTopUp = object(&body, MEMBERS)?;
    let from = peer.map(|Extension(Peer(peer))| cashier.proxies.client(peer.ip(), &headers));
    if wanted.device_id.is_none() && cashier.topups.settings().needs_device {
        return Err(PayError::no_device());
    }
    let pay = way_to_pay(&wanted, from)?;
    let temporary = wanted.temporary_access.unwrap_or(false);
    let (buy, amount) = wish(&cashier, &caller, &wanted).await?;
    if temporary && buy != Buy::Wallet {
        return Err(PayError::invalid("temporary_access", "temporary access goes with kind `wallet`"));
    }
    let request = TopUpRequest {
        account: caller.account,
        livemode: caller.livemode,
        actor: caller.key.to_string(),
        amount,
        buy,
        pay,
        idempotency_key,
    };
    let begun = cashier.clock.now();
    let order = cashier.topups.create(request).await.inspect_err(|error| {
        if matches!(error, CreateError::Refused(_) | CreateError::OfPayer { .. }) {
            cashier.metrics.order("failed");
        }
    })?;
    // A repeat is answered with an order that there was before.
    if order.created_at >= begun {
        cashier.metrics.order("created");
    }
    let shown = if temporary {
        temporary::offered(&cashier, &order).await?
    } else {
        views::topup_with(&cashier, &order, &cashier.grants.lent_on(&order).await?)
    };
    Ok(reply(StatusCode::CREATED, &shown))
}

/// How it is to be paid, from where: `from` is who asks, where the caller does not say who pays.
fn way_to_pay(wanted: &NewTopUp, from: Option<IpAddr>) -> Result<PayWish, PayError> {
    let way = wanted.channel.as_deref().unwrap_or(PayWay::Native.as_str());
    let way: PayWay = way.parse().map_err(|_| {
        let known: Vec<_> = PayWay::ALL.iter().map(|way| format!("`{way}`")).collect();
        PayError::invalid("channel", format!("channel is one of {}, not `{way}`", known.join(", ")))
    })?;
    let within = |member: &'static str, value: &Option<String>, max: usize| match value {
        Some(text) if text.is_empty() || text.chars().count() > max || text.chars().any(char::is_control) => {
            Err(PayError::invalid(member, format!("{member} has 1 to {max} characters")))
        }
        _ => Ok(()),
    };
    within("device_id", &wanted.device_id, DEVICE_ID_CHARS_MAX)?;
    // The text that API v2 signs has no quotes: what could stand between its fields is no part of a device's name.
    let plain = |text: &String| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    for (member, value) in [("device_id", &wanted.device_id), ("openid", &wanted.openid)] {
        if !value.as_ref().is_none_or(plain) {
            let words = format!("{member} is made of letters, digits, `-`, `_` and `.`");
            return Err(PayError::invalid(member, words));
        }
    }
    within("openid", &wanted.openid, OPENID_CHARS_MAX)?;
    within("return_url", &wanted.return_url, RETURN_URL_CHARS_MAX)?;
    match (&wanted.openid, way.needs_payer()) {
        (None, true) => {
            let words = format!("channel `{way}` needs the payer's openid under the app that it is paid in");
            return Err(PayError::missing("openid", words));
        }
        (Some(_), false) => {
            return Err(PayError::invalid("openid", "openid goes with channel `jsapi` or `mini_program`"));
        }
        _ => {}
    }
    if let Some(url) = &wanted.return_url {
        if way != PayWay::H5 {
            return Err(PayError::invalid("return_url", "return_url goes with channel `h5`"));
        }
        if !url::Url::parse(url).is_ok_and(|url| url.scheme() == "https") {
            return Err(PayError::invalid(
                "return_url",
                "return_url is an address that begins with https://",
            ));
        }
    }
    let said = wanted.payer_client_ip.as_deref().map(str::parse::<IpAddr>).transpose();
    let said = said.map_err(|_| PayError::invalid("payer_client_ip", "payer_client_ip is an IP address"))?;
    // Whoever asks for a payer elsewhere says where that is; a server of its own is nobody's browser.
    let client_ip = said.or_else(|| from.filter(|from| way != PayWay::H5 || !from.is_loopback()));
    if way == PayWay::H5 && client_ip.is_none() {
        let words = "channel `h5` needs the address of the payer's browser, payer_client_ip";
        return Err(PayError::missing("payer_client_ip", words));
    }
    Ok(PayWish {
        way,
        openid: wanted.openid.clone(),
        device_id: wanted.device_id.clone(),
        return_url: wanted.return_url.clone(),
        client_ip: client_ip.map(|ip| ip.to_string()),
    })
}

/// What is wanted, looked up, and what it costs.
async fn wish(cashier: &Cashier, caller: &Caller, wanted: &NewTopUp) -> Result<(Buy, Fen), PayError> {
    let kind = wanted.kind.as_deref().unwrap_or("wallet");
    let alone = |member, there: bool, with: &str| match there {
        true if kind != with => Err(PayError::invalid(member, format!("{member} goes with kind `{with}`"))),
        _ => Ok(()),
    };
    alone("model", wanted.model.is_some(), "tokens")?;
    alone("package", wanted.package.is_some(), "package")?;
    alone("version", wanted.version.is_some(), "package")?;
    let amount = wanted.amount.as_ref().filter(|amount| !amount.is_null());
    let amount = amount.map(|amount| yuan(amount, "amount")).transpose()?;
    let needed = || PayError::missing("amount", "amount is missing: yuan as a string, e.g. \"10.00\"");
    match kind {
        "wallet" => Ok((Buy::Wallet, amount.ok_or_else(needed)?)),
        "tokens" => Ok((tokens_of(cashier, caller, wanted)?, amount.ok_or_else(needed)?)),
        "package" => {
            let id = wanted.package.clone();
            let id = id.ok_or_else(|| PayError::missing("package", "kind `package` needs a package"))?;
            let version = optional_whole(wanted.version.as_ref(), "version")?;
            let on_sale = cashier.store.packages_on_sale().await?;
            let mut offers = on_sale
                .into_iter()
                .map(|package| package.offer)
                .filter(|offer| offer.id == id && version.is_none_or(|version| version == offer.version));
            let offer = offers.find(|offer| sold_to(&cashier.snapshots.load(), caller, &offer.models));
            let cost = offer.as_ref().map_or(Fen::ZERO, |offer| offer.price);
            Ok((Buy::Package { package: id, version, price: amount, offer }, cost))
        }
        other => {
            Err(PayError::invalid("kind", format!("kind is `wallet`, `tokens` or `package`, not `{other}`")))
        }
    }
}

/// Tokens of a model at the price of this moment.
fn tokens_of(cashier: &Cashier, caller: &Caller, wanted: &NewTopUp) -> Result<Buy, PayError> {
    let model = wanted.model.as_deref();
    let model = model.ok_or_else(|| PayError::missing("model", "kind `tokens` needs a model"))?;
    let snapshot = cashier.snapshots.load();
    sold_model(&snapshot, caller, model)?;
    let quote = snapshot.prices.quote_ahead(caller.account, model, cashier.clock.now());
    let quote = quote.map_err(|error| PayError::no_price(error.to_string()))?;
    Ok(Buy::Tokens {
        model: model.to_owned(),
        rates: quote.rates,
        price_version: quote.price_version.clone(),
        fx_id: quote.fx_id.clone(),
        expected: optional_whole(wanted.expect_tokens.as_ref(), "expect_tokens")?,
    })
}

/// Refuses a model that the caller's money cannot pay for.
pub(super) fn sold_model(snapshot: &Snapshot, caller: &Caller, model: &str) -> Result<(), PayError> {
    let known = snapshot.table.models.get(model).filter(|known| known.livemode == caller.livemode);
    let unknown = || PayError::not_found("model", format!("No model `{model}`. See GET /v1/models."));
    known.map(|_| ()).ok_or_else(unknown)
}

/// True if the caller's money pays for one of these models.
fn sold_to(snapshot: &Snapshot, caller: &Caller, models: &[String]) -> bool {
    models.iter().any(|model| sold_model(snapshot, caller, model).is_ok())
}

/// `GET /v1/packages`: what is on sale.
pub(super) async fn packages(
    State(cashier): State<Arc<Cashier>>,
    headers: HeaderMap,
) -> Result<Response, PayError> {
    let caller = cashier.keys.authenticate(&headers).await?;
    let on_sale = cashier.store.packages_on_sale().await?;
    let snapshot = cashier.snapshots.load();
    let mine = on_sale.iter().filter(|package| sold_to(&snapshot, &caller, &package.offer.models));
    let shown: Vec<Value> = mine.map(views::package).collect();
    Ok(reply(StatusCode::OK, &json!({"object": "list", "data": shown})))
}

/// `GET /v1/topups/quote`: what an order of these words would freeze if it were made now.
pub(super) async fn quote(
    State(cashier): State<Arc<Cashier>>,
    Query(pairs): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Result<Response, PayError> {
    const KNOWN: &[&str] = &["kind", "model", "package", "version", "amount", "amount_fen"];
    let caller = cashier.keys.authenticate(&headers).await?;
    let (mut wanted, mut fen) = (NewTopUp::default(), None);
    for (name, value) in pairs {
        match name.as_str() {
            "kind" => wanted.kind = Some(value),
            "model" => wanted.model = Some(value),
            "package" => wanted.package = Some(value),
            "version" => wanted.version = Some(value.into()),
            "amount" => wanted.amount = Some(value.into()),
            "amount_fen" => fen = Some(value),
            other => return Err(PayError::unknown(other, KNOWN)),
        }
    }
    if let Some(fen) = fen {
        let read = fen.parse().ok().and_then(|fen| Fen::new(fen).ok());
        let read =
            read.ok_or_else(|| PayError::invalid("amount_fen", "amount_fen is a whole number of fen"))?;
        if wanted.amount.replace(read.to_string().into()).is_some() {
            return Err(PayError::invalid("amount_fen", "say `amount` in yuan or `amount_fen`, not both"));
        }
    }
    let (buy, amount) = wish(&cashier, &caller, &wanted).await?;
    let quoted = cashier.topups.quote(&buy, amount)?;
    let (kind, buys) = views::buys(&quoted.kind, amount);
    let shown = json!({
        "object": "topup_quote",
        "kind": kind,
        "livemode": caller.livemode.as_str(),
        "amount": amount.to_string(),
        "currency": "CNY",
        "bonus": quoted.bonus.to_string(),
        "buys": buys,
        "as_of": views::time(cashier.clock.now()),
    });
    Ok(reply(StatusCode::OK, &shown))
}

/// `GET /v1/topups`: a page, newest first.
pub(super) async fn list(
    State(cashier): State<Arc<Cashier>>,
    Query(pairs): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Result<Response, PayError> {
    let caller = cashier.keys.authenticate(&headers).await?;
    let page = Page::read(&pairs)?;
    let (orders, more) = cashier.store.orders_page(caller.account, page.after, page.rows).await?;
    let shown: Vec<Value> = orders.iter().map(views::topup).collect();
    let next = orders.last().filter(|_| more).map(|order| order.id.to_string());
    Ok(reply(StatusCode::OK, &json!({"object": "list", "data": shown, "next_cursor": next})))
}

/// `GET /v1/topups/{id}`
pub(super) async fn one(
    State(cashier): State<Arc<Cashier>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, PayError> {
    let caller = cashier.keys.authenticate(&headers).await?;
    let order = find(&cashier, &caller, &id).await?;
    cashier.topups.seen(&order);
    shown(&cashier, &order).await
}

/// `POST /v1/topups/{id}/pay`: pay again. What the order was to be paid by, or something new where that has grown old.
pub(super) async fn pay_again(
    State(cashier): State<Arc<Cashier>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, PayError> {
    let caller = cashier.keys.authenticate(&headers).await?;
    let order = find(&cashier, &caller, &id).await?;
    let order = cashier.topups.pay_again(order).await?;
    cashier.topups.seen(&order);
    shown(&cashier, &order).await
}

/// `POST /v1/topups/{id}/close`: a payment that wins the race is credited instead.
pub(super) async fn close(
    State(cashier): State<Arc<Cashier>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, PayError> {
    let caller = cashier.keys.authenticate(&headers).await?;
    let order = find(&cashier, &caller, &id).await?;
    if matches!(order.state, payments::ledger::OrderState::Created | payments::ledger::OrderState::Pending) {
        cashier.topups.given_up(&order, &caller.key.to_string()).await?;
        match cashier.topups.cancel(&order).await {
            QueryReport::Closed(_) => cashier.metrics.order("closed"),
            QueryReport::Credited(order) => cashier.metrics.credited(&order, "query", cashier.clock.now()),
            QueryReport::Failed => {
                return Err(PayError::unavailable(
                    "WeChat Pay gave no clear answer; the order is still watched",
                ));
            }
            QueryReport::Quarantined(_) | QueryReport::Nothing | QueryReport::Over => {}
        }
    }
    let order = find(&cashier, &caller, &id).await?;
    shown(&cashier, &order).await
}

/// A top-up as its customer sees it, with what is lent on it.
pub(super) async fn shown(cashier: &Cashier, order: &Order) -> Result<Response, PayError> {
    let lent = cashier.grants.lent_on(order).await?;
    Ok(reply(StatusCode::OK, &views::topup_with(cashier, order, &lent)))
}

pub(super) async fn find(cashier: &Cashier, caller: &Caller, id: &str) -> Result<Order, PayError> {
    let unknown = || PayError::not_found("id", format!("No top-up `{id}`"));
    let parsed: OrderId = id.parse().map_err(|_| unknown())?;
    let order = cashier.store.order(parsed).await?;
    order.filter(|order| order.account == caller.account).ok_or_else(unknown)
}

/// The caller's own key for this request.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, PayError> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| !key.is_empty() && key.len() <= IDEMPOTENCY_KEY_CHARS_MAX);
    let key = key.ok_or_else(|| {
        PayError::invalid("Idempotency-Key", "Idempotency-Key has 1 to 255 visible ASCII characters")
    })?;
    Ok(Some(key.to_owned()))
}

/// Reads a JSON object with no other members than `known`; an empty body is an empty one.
pub(super) fn object<T: DeserializeOwned>(body: &[u8], known: &[&str]) -> Result<T, PayError> {
    let body = if body.is_empty() { b"{}" } else { body };
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| PayError::body(format!("The body is not valid JSON: {error}")))?;
    let Value::Object(members) = &value else { return Err(PayError::body("The body is not a JSON object.")) };
    if let Some(unknown) = members.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(PayError::unknown(unknown, known));
    }
    let wrong = members.iter().find(|(name, value)| {
        // Amounts and counts are looked at where they are used; everything else is text, or a yes or no.
        !matches!(name.as_str(), "amount" | "version" | "expect_tokens" | "temporary_access")
            && !value.is_string()
            && !value.is_null()
    });
    if let Some((name, _)) = wrong {
        return Err(PayError::wrong_type(name, "a string"));
    }
    let flag = members.get("temporary_access").filter(|flag| !flag.is_boolean() && !flag.is_null());
    if flag.is_some() {
        return Err(PayError::wrong_type("temporary_access", "true or false"));
    }
    serde_json::from_value(value)
        .map_err(|error| PayError::body(format!("The body is not as expected: {error}")))
}

/// An amount in yuan: a decimal string, or a whole number.
pub(crate) fn yuan(value: &Value, param: &'static str) -> Result<Fen, PayError> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_i64() || number.is_u64() => number.to_string(),
        _ => return Err(PayError::invalid(param, format!("{param} is yuan as a string, e.g. \"10.00\""))),
    };
    let amount: Fen = text.parse().map_err(|error| {
        PayError::invalid(param, format!("{param} is yuan as a string, e.g. \"10.00\": {error}"))
    })?;
    amount.at_least_one().map_err(|error| PayError::invalid(param, error.to_string()))
}

fn optional_whole(value: Option<&Value>, param: &'static str) -> Result<Option<i64>, PayError> {
    let read = match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.parse().ok(),
        Some(value) => value.as_i64(),
    };
    let wrong = || PayError::invalid(param, format!("{param} is a whole number, or one as a string"));
    read.map(Some).ok_or_else(wrong)
}
