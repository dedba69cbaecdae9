//! WeChat Pay's risk control warns of somebody: an account, an agent (an API key), or the merchant.

use http::StatusCode;
use payments::{
    channel::RiskWarning,
    ledger::{GateChange, GateScope, GateState, StrangeNotice},
    topup::Merchant,
};

use super::{ACCEPTED, Verdict, strange};
use crate::cashier::Cashier;

/// Texts of a warning are kept up to so many characters.
const WORDS_MAX: usize = 150;

/// Sets the gate that a warning asks for. One that says what is not understood, or names nobody of ours, is written down and
/// told.
pub(super) async fn warned(
    cashier: &Cashier,
    merchant: &Merchant,
    (event, mchid): (&str, &str),
    warning: &RiskWarning,
) -> Verdict {
    let about = format!("{}:{}", warning.scope, warning.id);
    let subject: String = about.chars().filter(|c| !c.is_control()).take(WORDS_MAX).collect();
    let put_aside = async |result: &'static str, why: &str| {
        if strange(cashier, merchant, event, &subject, (result, why)).await {
            Verdict { result, status: StatusCode::OK }
        } else {
            Verdict { result: "error", status: StatusCode::SERVICE_UNAVAILABLE }
        }
    };
    if mchid != merchant.mchid {
        return put_aside("amount_mismatch", "it names another merchant").await;
    }
    let Some((scope, state)) = read(warning) else {
        return put_aside("unknown_order", "a warning that is not understood").await;
    };
    let id = match of_ours(cashier, merchant, scope, &warning.id).await {
        Ok(Some(id)) => id,
        Ok(None) => return put_aside("unknown_order", "it warns of nobody here").await,
        Err(error) => {
            tracing::error!(%error, "a warning could not be looked up");
            return Verdict { result: "error", status: StatusCode::SERVICE_UNAVAILABLE };
        }
    };
    let words: String = warning.reason.chars().filter(|c| !c.is_control()).take(WORDS_MAX).collect();
    let why = format!("WeChat Pay warns: {words}");
    let change = GateChange { scope, id, state, why: why.clone(), event: None };
    let event = StrangeNotice {
        id: event.to_owned(),
        merchant: merchant.name.clone(),
        subject: subject.clone(),
        detail: why,
    };
    match cashier.topups.warned(change, event).await {
        Ok(_) => ACCEPTED,
        Err(error) => {
            tracing::error!(%error, "a warning could not be written");
            Verdict { result: "error", status: StatusCode::SERVICE_UNAVAILABLE }
        }
    }
}

fn read(warning: &RiskWarning) -> Option<(GateScope, GateState)> {
    let scope = warning.scope.parse().ok().filter(|scope| *scope != GateScope::All)?;
    let state = match warning.level.as_str() {
        "slow" => GateState::Slow,
        "stop" => GateState::Stopped,
        "clear" => GateState::Open,
        _ => return None,
    };
    Some((scope, state))
}

/// The id under which the gate stands, if it is of ours.
async fn of_ours(
    cashier: &Cashier,
    merchant: &Merchant,
    scope: GateScope,
    id: &str,
) -> Result<Option<String>, payments::store::SubmitError> {
    Ok(match scope {
        GateScope::Account => match id.parse() {
            Ok(account) => cashier.store.account(account).await?.map(|account| account.id.to_string()),
            Err(_) => None,
        },
        GateScope::Agent => id.parse::<units::KeyId>().ok().map(|key| key.to_string()),
        GateScope::Merchant => {
            [&merchant.mchid, &merchant.name].iter().any(|own| **own == id).then(|| merchant.name.clone())
        }
        GateScope::All => None,
    })
}
