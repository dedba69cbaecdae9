//! What do I have, and who am I?

use std::{collections::HashMap, sync::Arc};

use axum::{
    extract::{Query, State},
    http::HeaderMap,
    response::Response,
};
use payments::{
    ledger::{Asset, TokenTerms},
    store::Balance,
    topup::{Mix, TokensHeld, worth},
};
use serde_json::{Value, json};
use units::{NanoCny, Tokens};

use super::{Cashier, PayError, reply, topups::sold_model, views};
use crate::chat::Caller;

/// `GET /v1/credits`: the balances, as of everything that happened before. With `?model=M&mix=input:70,output:30` also
/// how many tokens of that model, spread so, they buy.
pub(super) async fn credits(
    State(cashier): State<Arc<Cashier>>,
    Query(pairs): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Result<Response, PayError> {
    let caller = cashier.keys.authenticate(&headers).await?;
    let wanted = model_and_mix(&pairs)?;
    cashier.store.flushed().await?;
    let balances = cashier.store.balances(caller.account).await?;
    let of_tokens = balances.iter().filter_map(|balance| match &balance.wallet.asset {
        Asset::Tokens(name) => Some(name.clone()),
        Asset::Cny => None,
    });
    let mut terms = HashMap::new();
    for name in of_tokens {
        terms.extend(cashier.store.terms(name.clone()).await?.map(|found| (name, found)));
    }
    let account = caller.account.to_string();
    let mut shown = views::credits(&account, caller.livemode.as_str(), &balances, &terms);
    if let Some((model, mix)) = wanted {
        shown["in_tokens"] = in_tokens(&cashier, &caller, (model, &mix), &balances, &terms)?;
    }
    Ok(reply(http::StatusCode::OK, &shown))
}

fn model_and_mix(pairs: &[(String, String)]) -> Result<Option<(&str, Mix)>, PayError> {
    let (mut model, mut mix) = (None, None);
    for (name, value) in pairs {
        let place = match name.as_str() {
            "model" => &mut model,
            "mix" => &mut mix,
            other => return Err(PayError::unknown(other, &["model", "mix"])),
        };
        *place = Some(value.as_str());
    }
    let mix: Option<Mix> = mix
        .map(|text| text.parse().map_err(|error| PayError::invalid("mix", format!("{error}"))))
        .transpose()?;
    match (model, mix) {
        (None, Some(_)) => {
            Err(PayError::missing("model", "a mix is of a model: ?model=M&mix=input:70,output:30"))
        }
        (model, mix) => Ok(model.map(|model| (model, mix.unwrap_or_default()))),
    }
}

/// At the present price for prompts that reach no tier; what open calls hold is not counted.
fn in_tokens(
    cashier: &Cashier,
    caller: &Caller,
    (model, mix): (&str, &Mix),
    balances: &[Balance],
    terms: &HashMap<String, TokenTerms>,
) -> Result<Value, PayError> {
    let snapshot = cashier.snapshots.load();
    sold_model(&snapshot, caller, model)?;
    let now = cashier.clock.now();
    let quote = snapshot.prices.quote(caller.account, model, now, Tokens(0));
    let (mut money, mut tokens) = (0, Vec::new());
    for balance in balances {
        let available = balance.wallet.available();
        match &balance.wallet.asset {
            Asset::Cny => money = available,
            Asset::Tokens(name) => tokens.push(TokensHeld { name, terms: terms.get(name), available }),
        }
    }
    let parts =
        worth(mix, model, NanoCny::new(money), quote.as_ref().ok().map(|quote| &quote.rates), &tokens);
    let mut shown = views::in_tokens(model, mix, &parts, quote.as_ref());
    shown["as_of"] = views::time(now).into();
    Ok(shown)
}

/// `GET /v1/key`: the key that asks.
pub(super) async fn key(
    State(cashier): State<Arc<Cashier>>,
    headers: HeaderMap,
) -> Result<Response, PayError> {
    let caller = cashier.keys.authenticate(&headers).await?;
    let now = cashier.clock.now();
    let mut budgets = cashier.store.budgets(caller.account, None).await?;
    budgets.extend(cashier.store.budgets(caller.account, Some(caller.key)).await?);
    let budgets: Vec<Value> = budgets.iter().map(|budget| views::budget(&budget.at(now))).collect();
    let shown = json!({
        "object": "key",
        "id": caller.key.to_string(),
        "account": caller.account.to_string(),
        "livemode": caller.livemode.as_str(),
        "limits": {
            "requests_per_minute": caller.limits.requests_per_minute,
            "tokens_per_minute": caller.limits.tokens_per_minute,
            "concurrency_max": caller.limits.concurrency_max,
        },
        "temporary": caller.money_only,
        "budgets": budgets,
        "available": cashier.holds.available(caller.account).to_string(),
        "currency": "CNY",
    });
    Ok(reply(http::StatusCode::OK, &shown))
}
