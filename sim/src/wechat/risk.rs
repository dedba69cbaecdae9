//! What does the risk control tell a merchant? In an envelope like any notification of v3; the content is the product's
//! own agreement with itself, since the real one is nowhere published.
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::merchant::Merchant;
use super::notify::{self, Event};
use crate::state::World;

/// Whom it is about.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Scope {
    Account,
    Agent,
    Merchant,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Slow,
    Stop,
    Clear,
}

/// A warning, as the controls are asked to send it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Risk {
    /// Where it goes: `…/pay/risk/{merchant}`.
    url: String,
    scope: Scope,
    id: String,
    level: Level,
    reason: String,
    /// Which merchant's keys; the first merchant's, if nobody says.
    pub(crate) mchid: Option<String>,
    /// To send the same event again; a fresh one, if nobody says.
    event_id: Option<String>,
}

/// Sends a warning and waits for the reply: the event's id, and the status or what went wrong.
pub(crate) async fn warn(world: &World, merchant: &Merchant, risk: Risk) -> Value {
    let content = json!({
        "mchid": merchant.mchid(),
        "scope": risk.scope,
        "id": risk.id,
        "level": risk.level,
        "reason": risk.reason,
    });
    let event = Event::of_risk(&risk.url, content, risk.event_id, world.now());
    let told = notify::once(world, merchant, &event).await;
    json!({
        "event_id": event.id(),
        "status": told.as_ref().ok().map(|reply| reply.status),
        "error": told.as_ref().err(),
    })
}
