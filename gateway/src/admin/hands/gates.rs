//! What keeps orders from being made: seen, closed, and opened again.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use bytes::Bytes;
use http::StatusCode;
use payments::ledger::{Body, Gate, GateChange, GateScope, GateState, Reply};
use serde::Deserialize;
use serde_json::{Value, json};
use units::KeyId;

use super::{By, HandRoom, account_of, known, listed, odd_reply, parse};
use crate::cashier::{PayError, reply, time};

type Room = State<Arc<HandRoom>>;

fn shown(gate: &Gate) -> Value {
    json!({
        "object": "gate",
        "scope": gate.scope.as_str(),
        "id": gate.id,
        "state": gate.state.as_str(),
        "why": gate.why,
        "by": gate.by.id,
        "since": time(gate.since),
    })
}

/// `GET /admin/v1/gates`: those that are not wholly open.
pub(super) async fn list(State(room): Room) -> Result<Response, PayError> {
    let gates = room.store.closed_gates().await?;
    Ok(reply(StatusCode::OK, &listed(gates.iter().map(shown).collect())))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Set {
    by: By,
    scope: String,
    #[serde(default)]
    id: String,
    state: String,
}

/// Nobody is stopped by a slip of the pen. What stands wrongly may be opened whoever it names.
async fn exists(room: &HandRoom, scope: GateScope, id: &str, state: GateState) -> Result<(), PayError> {
    if state == GateState::Open {
        return Ok(());
    }
    match scope {
        GateScope::Account => {
            known(room, account_of(id)?).await?;
        }
        GateScope::Agent => {
            let what = || format!("`{id}` is no key's id, such as key_01M8HKM0ZAEWHS4DBK9P593AP2");
            id.parse::<KeyId>().map_err(|_| PayError::invalid("id", what()))?;
        }
        GateScope::All | GateScope::Merchant => {}
    }
    Ok(())
}

/// `POST /admin/v1/gates`: how far one is open from now on.
pub(super) async fn set(State(room): Room, body: Bytes) -> Result<Response, PayError> {
    let Set { by, scope, id, state } = parse(&body)?;
    let wrong = "scope is `all`, `account`, `agent` or `merchant`";
    let scope: GateScope = scope.parse().map_err(|_| PayError::invalid("scope", wrong))?;
    let wrong = "state is `open`, `slow` or `stopped`";
    let state: GateState = state.parse().map_err(|_| PayError::invalid("state", wrong))?;
    exists(&room, scope, &id, state).await?;
    let why = by.reason.clone().ok_or_else(|| PayError::missing("reason", "say why"))?;
    let key = by.key.clone();
    let change = GateChange { scope, id: id.clone(), state, why, event: None };
    let mut shown = match room.submit("gate", by, Body::SetGate(change)).await? {
        Reply::Gate(gate) => shown(&gate),
        // It stood so already.
        Reply::Already => {
            let found = room.store.gates(vec![Gate::name(scope, &id)]).await?;
            found.first().map_or_else(
                || json!({"object": "gate", "scope": scope.as_str(), "id": id, "state": state.as_str()}),
                shown,
            )
        }
        other => return Err(odd_reply(&other)),
    };
    shown["key"] = key.into();
    Ok(reply(StatusCode::OK, &shown))
}
