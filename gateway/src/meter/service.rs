//! What happens on a call: tokens, hold, upstream and disk at once, answer.

use std::{
    borrow::Cow,
    future::Future,
    mem,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use futures_util::{FutureExt, TryFutureExt, future::try_join};
use tokio_util::sync::CancellationToken;
use tower::Service;
use units::{RequestId, Timestamp, Tokens};

use super::{
    HoldAsk, MeterError, MeterLayer, Metered, Refusal, Reply, ReplyBody, ReplyHead, Short, Tails,
    continuation::Continuation,
    metered::{Noted, Recorded},
    short::clamped,
    stored::serve_stored,
    tab::Tab,
};
use crate::{
    cache::{CacheSaid, Recall},
    chat::{Ending, Scope, Standing, Trail},
    dispatch::{Answer, DispatchError},
    limits::Admitted,
    plan::{Covered, Planned},
    provider::Answered,
};

/// See [`MeterLayer`].
#[derive(Debug, Clone)]
pub struct Meter<S> {
    pub(super) inner: S,
    pub(super) layer: MeterLayer,
}

impl<S> Service<Planned> for Meter<S>
where
    S: Service<Covered, Response = Answer, Error = DispatchError> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Reply;
    type Error = MeterError;
    type Future = Calling;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), MeterError>> {
        self.inner.poll_ready(cx).map_err(MeterError::from)
    }

    fn call(&mut self, planned: Planned) -> Calling {
        let clone = self.inner.clone();
        let ready = mem::replace(&mut self.inner, clone);
        let gone = CancellationToken::new();
        let tails = self.layer.tails.clone();
        let trail = Trail::default();
        let work = Box::pin(serve(self.layer.clone(), ready, planned, trail.clone(), gone.clone()));
        Calling { work: Some(work), gone, trail, tails }
    }
}

type Work = Pin<Box<dyn Future<Output = Result<Reply, MeterError>> + Send>>;

/// A call that waits for its answer. Dropped before, it is told that the client is gone and ends by itself.
pub struct Calling {
    work: Option<Work>,
    gone: CancellationToken,
    trail: Trail,
    tails: Tails,
}

impl std::fmt::Debug for Calling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Calling")
    }
}

impl Future for Calling {
    type Output = Result<Reply, MeterError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(work) = &mut self.work else { return Poll::Ready(Err(MeterError::Gone)) };
        let done = std::task::ready!(work.as_mut().poll(cx));
        self.work = None;
        Poll::Ready(done)
    }
}

impl Drop for Calling {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            self.trail.abandon();
            self.gone.cancel();
            self.tails.spawn(work.map(drop));
        }
    }
}

/// One plan after another: the next where money does not cover one, or nobody answers it.
async fn serve<S>(
    layer: MeterLayer,
    ready: S,
    mut planned: Planned,
    trail: Trail,
    gone: CancellationToken,
) -> Result<Reply, MeterError>
where
    S: Service<Covered, Response = Answer, Error = DispatchError> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    let (mut rest, mut cheapest) = (std::mem::take(&mut planned.instead).into_iter(), None::<Short>);
    let mut is_counted = false;
    planned.call.seen.counted();
    loop {
        let seen = planned.call.seen.clone();
        let (parts, ready) = (layer.clone(), ready.clone());
        let serving = serve_one(parts, ready, planned.clone(), trail.clone(), gone.clone(), is_counted);
        let error = match serving.await {
            Ok(reply) => return Ok(reply),
            Err(error) => error,
        };
        is_counted |= !matches!(error, MeterError::TooFast(_));
        let failed = match &error {
            MeterError::Refused(refusal @ Refusal::InsufficientFunds { .. }) => {
                let short = Short::of(&planned, refusal);
                cheapest = [cheapest, short].into_iter().flatten().min_by_key(|short| short.required);
                false
            }
            MeterError::Refused(Refusal::OverBudget(budget)) if !budget.will_do() => false,
            // The caller may go on, and allowed another model.
            MeterError::TooFast(too_fast) if too_fast.scope == Scope::Model => false,
            MeterError::Dispatch(DispatchError::Exhausted { .. }) if !gone.is_cancelled() => true,
            // Whoever names another model means it for this too: it may be larger, or less easily shocked.
            MeterError::Dispatch(DispatchError::Refused { refused, .. })
                if matches!(refused.code.as_deref(), Some("context_length_exceeded" | "content_filter"))
                    && !gone.is_cancelled() =>
            {
                true
            }
            _ => return Err(error),
        };
        // What is only allowed because it is cheaper is no way out of a failure.
        let Some(mut next) = rest.find(|next| !(failed && next.only_when_short)) else {
            return Err(match (&error, cheapest) {
                (MeterError::Refused(_), Some(short)) => MeterError::Short(Box::new(short)),
                _ => error,
            });
        };
        if let MeterError::TooFast(too_fast) = &error {
            let (scope, kind) = (too_fast.scope.as_str(), too_fast.kind.as_str());
            layer.metrics.rate_limited_total.with_label_values(&[scope, kind]).inc();
        }
        if failed {
            // The hold of this id has ended without a charge: what comes now has one of its own.
            next.call.id = RequestId::new(born(&next.call.id));
        }
        seen.note(&next.route.model.id);
        planned = next;
    }
}

/// When a call was made, to the millisecond: its id, a UUID of version 7, begins with it.
fn born(id: &RequestId) -> Timestamp {
    let millis = id.as_bytes().iter().take(6).fold(0_i64, |sum, byte| (sum << 8) | i64::from(*byte));
    Timestamp(millis.saturating_mul(1_000))
}

async fn serve_one<S>(
    layer: MeterLayer,
    mut ready: S,
    planned: Planned,
    trail: Trail,
    gone: CancellationToken,
    is_counted: bool,
) -> Result<Reply, MeterError>
where
    S: Service<Covered, Response = Answer, Error = DispatchError> + Send + 'static,
    S::Future: Send + 'static,
{
    let recall = layer.cache.recall(&planned).await;
    let (said, place) = match recall {
        Recall::Hit(entry) => return serve_stored(layer, planned, trail, gone, entry, is_counted).await,
        Recall::Miss(place) => (Some(CacheSaid::Miss), Some(place)),
        other => (other.said(), None),
    };
    let MeterLayer { till, limits, tails, metrics, cache } = layer;
    let mut planned = planned;
    let estimate = planned.call.input_estimate.saturating_plus(planned.output_bound);
    let model = &planned.route.model.id;
    let Admitted { permit, requests, tokens } =
        limits.admit(&planned.call.caller, model, estimate, is_counted).await?;
    let (begun, mut clamped_for_money) = (Instant::now(), false);
    // No money: no upstream call.
    let mut admitted = till.admit(ask(&planned)).await;
    if let Err(refusal) = &admitted
        && let Some(shorter) = clamped(&planned, refusal)
    {
        planned = shorter;
        clamped_for_money = true;
        admitted = till.admit(ask(&planned)).await;
    }
    let planned = Arc::new(planned);
    let hold = match admitted {
        Ok(hold) => hold,
        Err(refusal) => {
            permit.settle(Tokens(0));
            return Err(refusal.into());
        }
    };
    metrics.overhead_seconds.with_label_values(&["hold"]).observe(begun.elapsed().as_secs_f64());
    let mut tab = Tab::open(hold, Arc::clone(&planned), trail.clone(), permit, metrics.clone());
    if gone.is_cancelled() {
        tab.close(Ending::HungUp);
        return Err(MeterError::Gone);
    }

    let covered = Covered { planned: Arc::clone(&planned), trail: trail.clone() };
    let (asked, hung_up) = {
        let asking = ready.call(covered).map_err(MeterError::from);
        let durable = tab.durable().map_err(MeterError::from);
        // The fsync overlaps the upstream call; no byte leaves before both are there.
        let mut both = pin!(try_join(asking, durable).map_ok(|(answer, ())| answer));
        tokio::select! {
            biased;
            asked = &mut both => (Some(asked), false),
            () = gone.cancelled() => {
                if trail.was_sent() && !trail.closing_stops_cost() {
                    (tails.bounded(both).await, true)
                } else {
                    (None, true)
                }
            }
        }
    };
    let answer = match asked {
        Some(Ok(answer)) => answer,
        Some(Err(error)) => {
            if let MeterError::HoldLost(lost) = &error {
                tracing::error!(request = %planned.call.id, %lost, "a hold was admitted and then lost: the call is cancelled");
            }
            tab.close(Ending::Failed);
            return Err(error);
        }
        None => {
            tab.close(Ending::HungUp);
            return Err(MeterError::Gone);
        }
    };

    let provider = answer.target.provider.id.clone();
    let head = ReplyHead { cache: said, ..head(&planned, &answer, &trail, requests, tokens) };
    // An answer that was cut for money is none to whoever has more.
    let place = place.filter(|_| !clamped_for_money);
    let recording = place.map(|place| cache.record(place, planned.call.stream));
    let continuation = Continuation::of(ready, &planned, &trail, &answer.target, &metrics);
    tab.served_by(&answer.target, answer.busy, answer.permit);
    metrics.overhead_seconds.with_label_values(&["total"]).observe(head.overhead.as_secs_f64());
    let body = match answer.answered {
        Answered::Whole(whole) => {
            tab.count(&whole.chunk, false);
            let bill = tab.close(if hung_up { Ending::HungUp } else { Ending::Finished });
            let recorded = Recorded::new(recording, &head);
            if let Some(mut recorded) = recorded {
                recorded.note(&whole.chunk);
                recorded.keep(&bill);
            }
            ReplyBody::Whole { json: whole.chunk.json, bill }
        }
        Answered::Stream(events) => ReplyBody::Stream(Box::new(Metered::new(
            events,
            tab,
            tails,
            &planned,
            &provider,
            &metrics,
            Noted { recorded: Recorded::new(recording, &head), continuation },
        ))),
    };
    Ok(Reply { head, body })
}

pub(super) fn ask(planned: &Planned) -> HoldAsk {
    HoldAsk {
        request: planned.call.id,
        account: planned.call.caller.account,
        key: planned.call.caller.key,
        money_only: planned.call.caller.money_only,
        livemode: planned.route.model.livemode,
        model: planned.charged.clone().unwrap_or_else(|| planned.route.model.id.clone()),
        quote: planned.quote.clone(),
        input_bound: planned.call.input_bound,
        input_estimate: planned.call.input_estimate,
        output_bound: planned.output_bound,
    }
}

fn head(
    planned: &Planned,
    answer: &Answer,
    trail: &Trail,
    requests: Option<Standing>,
    tokens: Option<Standing>,
) -> ReplyHead {
    ReplyHead {
        request: planned.call.id,
        spoken: answer.spoken,
        adjusted: answer.adjusted.iter().copied().map(Cow::Borrowed).collect(),
        provider: answer.target.provider.id.clone(),
        model: planned.route.model.id.clone(),
        attempts: trail.len(),
        decision: planned.decision(),
        price_version: planned.quote.price_version.clone(),
        output_cap: planned.output_cap,
        overhead: planned.call.received.elapsed().saturating_sub(trail.waited()),
        requests,
        tokens,
        cache: None,
    }
}
