//! The configuration: what is in force, and having it read again.

use axum::{
    Router,
    extract::State,
    response::Response,
    routing::{get, post},
};
use http::StatusCode;
use serde_json::{Value, json};

use crate::{
    cashier::{PayError, reply, time},
    reload::{Outcome, Refused, Reloader, Report, Trigger},
};

/// The endpoints, without a guard.
pub(super) fn router(reloader: Reloader) -> Router {
    Router::new()
        .route("/admin/v1/config", get(show))
        .route("/admin/v1/config:reload", post(reload))
        .with_state(reloader)
}

/// `GET /admin/v1/config`
async fn show(State(reloader): State<Reloader>) -> Response {
    reply(StatusCode::OK, &view(&reloader))
}

/// `POST /admin/v1/config:reload`: what came of it, or everything that is wrong with the file.
async fn reload(State(reloader): State<Reloader>) -> Result<Response, PayError> {
    let report = reloader.reload(Trigger::Api).await;
    match &report.outcome {
        Outcome::Refused(Refused::Books(error)) => Err(PayError::unavailable(error.to_string())),
        Outcome::Refused(why) => Err(PayError::config_refused(
            format!("The configuration is refused, and what was in force stays in force: {why}"),
            problems(why),
        )),
        Outcome::Applied | Outcome::Unchanged => Ok(reply(StatusCode::OK, &view(&reloader))),
    }
}

fn view(reloader: &Reloader) -> Value {
    let in_force = reloader.in_force();
    json!({
        "object": "config",
        "file": reloader.file().display().to_string(),
        "watched": reloader.is_watched(),
        "sha256": in_force.digest,
        "generation": in_force.generation,
        "since": time(in_force.since),
        "restart_required": in_force.restart_required,
        "last_reload": in_force.last.as_ref().map(reading),
    })
}

fn reading(report: &Report) -> Value {
    let errors = match &report.outcome {
        Outcome::Refused(why) => problems(why),
        Outcome::Applied | Outcome::Unchanged => Vec::new(),
    };
    json!({
        "at": time(report.at),
        "trigger": report.trigger.as_str(),
        "outcome": report.outcome.as_str(),
        "added": report.changes.added,
        "removed": report.changes.removed,
        "changed": report.changes.changed,
        "errors": errors,
    })
}

/// Each with its place, where it has one.
fn problems(why: &Refused) -> Vec<Value> {
    let Refused::File(errors) = why else { return vec![json!({"message": why.to_string()})] };
    let one = |error: &crate::settings::ConfigError| {
        json!({
            "line": error.place.map(|place| place.line),
            "column": error.place.map(|place| place.column),
            "message": error.message,
            "help": error.help,
        })
    };
    errors.iter().map(one).collect()
}
