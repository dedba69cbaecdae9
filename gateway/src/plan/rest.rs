//! The rest of an answer that broke off: may another go on with it, and who?

use std::{sync::Arc, time::Duration};

use router_config::{Route, Target};
use serde::Deserialize;
use units::Tokens;

use super::{Planned, failure_class};
use crate::chat::{BreakReason, Form, SoFar, Spoken};

/// An answer that broke off.
#[derive(Debug)]
pub struct Broken<'a> {
    /// Who was answering.
    pub by: &'a Target,
    /// Why it stopped.
    pub reason: &'a BreakReason,
    /// What was said.
    pub so_far: SoFar,
    /// What that comes to, about.
    pub output: Tokens,
    /// What the call has taken of its route's time.
    pub took: Duration,
    /// Attempts there were.
    pub attempts: usize,
}

/// Whether the answer to a call may be continued by another if it breaks off, as far as can be told without reading its body
/// again: its route has that, and it is one stream.
pub fn may_be_continued(planned: &Planned) -> bool {
    planned.route.continue_streams && planned.call.stream && planned.call.n == 1
}

fn wants_plain_text(form: &Form) -> bool {
    #[derive(Deserialize)]
    struct Message {
        #[serde(default)]
        role: String,
    }
    #[derive(Deserialize)]
    struct Format {
        #[serde(default, rename = "type")]
        kind: String,
    }
    let raw = |name: &str| form.member(name).map(|member| form.raw(member)).filter(|raw| *raw != b"null");
    let no_list = |name: &str| raw(name).is_none_or(|raw| raw == b"[]");
    let is_text = |raw| serde_json::from_slice::<Format>(raw).is_ok_and(|format| format.kind == "text");
    // Whoever has begun the answer already is not to be given another beginning.
    let is_asked = |messages| {
        serde_json::from_slice::<Vec<Message>>(messages)
            .is_ok_and(|messages| messages.last().is_some_and(|last| last.role != "assistant"))
    };
    no_list("tools")
        && no_list("functions")
        && raw("response_format").is_none_or(is_text)
        && raw("logprobs").is_none_or(|raw| raw == b"false")
        && raw("messages").is_some_and(is_asked)
}

/// The plan for the rest of an answer, at whoever can be given its beginning: others first. `None` where there is nobody,
/// where the route does not go on after such a failure, or where the call wants more than a plain text.
pub fn rest(planned: &Planned, broken: Broken<'_>) -> Option<Planned> {
    let Broken { by, reason, so_far, output, took, attempts } = broken;
    let route = &planned.route;
    let moves_on = failure_class(reason.result()).is_some_and(|class| route.fail_over_on.contains(&class));
    let attempts_left = route.attempts_max.checked_sub(u32::try_from(attempts).ok()?)?;
    let time_left = route.total_max.checked_sub(took)?;
    if !planned.call.as_chat().is_ok_and(wants_plain_text) {
        return None;
    }
    if !moves_on || attempts_left == 0 || time_left.is_zero() || so_far.text.is_empty() {
        return None;
    }
    let whole = planned.output_cap.or(planned.call.output_max).unwrap_or(planned.output_bound);
    let left = Tokens(whole.0.checked_sub(output.0).filter(|left| *left > 0)?);
    let mut targets = planned.targets.clone();
    targets.retain(|candidate| candidate.spoken == Spoken::Chat && candidate.target.prefill().is_some());
    let is_by =
        |target: &Target| target.provider.id == by.provider.id && target.upstream_model == by.upstream_model;
    targets.sort_by_key(|candidate| is_by(&candidate.target));
    if targets.is_empty() {
        return None;
    }
    let mut call = planned.call.clone();
    call.input_estimate = call.input_estimate.saturating_plus(output);
    Some(Planned {
        call,
        route: Arc::new(Route {
            attempts_max: attempts_left,
            total_max: time_left,
            hedge: None,
            ..Route::clone(route)
        }),
        targets,
        output_bound: left,
        output_cap: Some(left),
        so_far: Some(Arc::new(so_far)),
        instead: Vec::new(),
        ..planned.clone()
    })
}
