//! What does a dollar cost today, according to a rates service that can be told what to say?
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::clock::beijing_day;
use crate::control::Refused;
use crate::faults::{Fault, Site};
use crate::state::{World, silence};

/// Units of a currency for one US dollar, as written.
#[derive(Debug)]
pub(crate) struct Rates(BTreeMap<String, String>);

impl Default for Rates {
    fn default() -> Self {
        Self(BTreeMap::from([("CNY".into(), "7.1234".into()), ("EUR".into(), "0.92".into())]))
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Asked {
    base: Option<String>,
}

/// `GET /_sim/v1/fx?base=USD`
pub(crate) async fn quote(
    State(world): State<Arc<World>>,
    Query(asked): Query<Asked>,
) -> Result<Response, Refused> {
    match world.faults.take(Site::Fx) {
        Some(Fault::Status { status, body, .. }) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let body = body.unwrap_or_else(|| serde_json::json!({"error": "rates are not available"}));
            return Ok((status, axum::Json(body)).into_response());
        }
        Some(_) => silence(&world).await,
        None => {}
    }
    if asked.base.as_deref().unwrap_or("USD") != "USD" {
        return Err(Refused(StatusCode::BAD_REQUEST, "base: only USD is quoted".into()));
    }
    // Written by hand: a rate is a decimal, and passing it through a float could change its last digit.
    let rates = world.rates.lock().unwrap_or_else(PoisonError::into_inner);
    let quoted: Vec<String> = rates.0.iter().map(|(code, rate)| format!("\"{code}\":{rate}")).collect();
    let date = beijing_day(world.clock.now_micros());
    let body = format!("{{\"base\":\"USD\",\"date\":\"{date}\",\"rates\":{{{}}}}}", quoted.join(","));
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// `POST /_sim/v1/fx {"CNY": "7.20"}`: changes the rates that are named, all or none.
pub(crate) fn set(world: &World, asked: Map<String, Value>) -> Result<(), Refused> {
    let refused = |what: String| Refused(StatusCode::BAD_REQUEST, what);
    let mut changed = Vec::new();
    for (code, rate) in asked {
        if code.len() != 3 || !code.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err(refused(format!("{code:?}: a currency is three capital letters")));
        }
        let text = match &rate {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return Err(refused(format!("{code}: a decimal number"))),
        };
        if !plain_decimal(&text) {
            return Err(refused(format!("{code}: a positive decimal number such as 7.20")));
        }
        changed.push((code, text));
    }
    world.rates.lock().unwrap_or_else(PoisonError::into_inner).0.extend(changed);
    Ok(())
}

/// Digits, perhaps a point and more digits, as JSON would have it; not zero.
fn plain_decimal(text: &str) -> bool {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| matches!(text.len(), 1..=9) && text.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole)
        && digits(part)
        && (whole == "0" || !whole.starts_with('0'))
        && text.bytes().any(|byte| matches!(byte, b'1'..=b'9'))
}

#[cfg(test)]
mod tests {
    use super::plain_decimal;

    #[test]
    fn a_rate_is_a_plain_positive_decimal() {
        assert!(["7.1234", "0.92", "7", "155.20"].into_iter().all(plain_decimal));
        assert!(!["", "0", "0.00", "-7", "7.", ".9", "07.1", "1e3", "7,1"].into_iter().any(plain_decimal));
    }
}
