//! A call that was answered before: nobody upstream is asked, and the hold is settled by what the answer took, at the route's
//! share of the price.

use std::{sync::Arc, time::Instant};

use tokio_util::sync::CancellationToken;
use units::Tokens;

use super::{MeterError, MeterLayer, Metered, Reply, ReplyBody, ReplyHead, service::ask, tab::Tab};
use crate::{
    cache::{CacheSaid, Entry},
    chat::{Ending, Trail},
    limits::Admitted,
    plan::Planned,
};

/// Serves `planned` with what is kept. The way of the money is that of every call: hold, commit, settlement, receipt.
pub(super) async fn serve_stored(
    layer: MeterLayer,
    planned: Planned,
    trail: Trail,
    gone: CancellationToken,
    entry: Arc<Entry>,
    is_counted: bool,
) -> Result<Reply, MeterError> {
    let MeterLayer { till, limits, tails, metrics, .. } = layer;
    let planned = Arc::new(priced(planned, &entry));
    let caller = &planned.call.caller;
    // The request counts like any other; tokens are those of upstreams, and none is asked.
    let model = &planned.route.model.id;
    let Admitted { permit, requests, tokens } = limits.admit(caller, model, Tokens(0), is_counted).await?;
    let begun = Instant::now();
    let hold = match till.admit(ask(&planned)).await {
        Ok(hold) => hold,
        Err(refusal) => {
            permit.settle(Tokens(0));
            return Err(refusal.into());
        }
    };
    metrics.overhead_seconds.with_label_values(&["hold"]).observe(begun.elapsed().as_secs_f64());
    let head = ReplyHead {
        request: planned.call.id,
        spoken: entry.spoken,
        adjusted: entry.adjusted.clone(),
        provider: entry.provider.clone(),
        model: planned.route.model.id.clone(),
        attempts: 0,
        decision: planned.decision(),
        price_version: planned.quote.price_version.clone(),
        output_cap: planned.output_cap,
        overhead: planned.call.received.elapsed(),
        requests,
        tokens,
        cache: Some(CacheSaid::Hit),
    };
    let mut tab = Tab::open(hold, Arc::clone(&planned), trail, permit, metrics.clone());
    tab.served_from_cache();
    if let Err(lost) = tab.durable().await {
        tracing::error!(request = %planned.call.id, %lost, "a hold was admitted and then lost: the call is cancelled");
        tab.close(Ending::Failed);
        return Err(lost.into());
    }
    if gone.is_cancelled() {
        // Nothing was produced for this call, and nobody reads it.
        tab.close(Ending::Failed);
        return Err(MeterError::Gone);
    }
    metrics.overhead_seconds.with_label_values(&["total"]).observe(head.overhead.as_secs_f64());
    let body = match entry.chunks.as_slice() {
        [whole] if !entry.streams => {
            tab.count(whole, false);
            ReplyBody::Whole { json: whole.json.clone(), bill: tab.close(Ending::Finished) }
        }
        chunks => {
            let chunks = chunks.iter().cloned().collect();
            ReplyBody::Stream(Box::new(Metered::stored(chunks, tab, tails, &planned, &metrics)))
        }
    };
    Ok(Reply { head, body })
}

/// The plan with the price of an answer that is kept: what it took is known, so no more than that is set aside.
fn priced(planned: Planned, entry: &Entry) -> Planned {
    let mut planned = planned;
    if let Some(rule) = planned.route.cache {
        planned.quote = planned.quote.at_percent(rule.price);
    }
    planned.call.input_bound = entry.usage.prompt();
    planned.call.input_estimate = entry.usage.prompt();
    planned.output_bound = entry.usage.output;
    planned
}
