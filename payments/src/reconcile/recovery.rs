//! Holds that nobody answers for any more.

use std::collections::HashMap;

use units::{Clock, NanoCny, RequestId, Tokens, Usage};

use crate::{
    journal::{Journal, Mark},
    ledger::{Actor, Body, Command, Hold, HoldState, Refusal, SettleEnd, SettledBy, Stranded},
    store::{Store, SubmitError},
};

/// Ends what earlier runs left open: what was never sent is given back; the rest by the journal where it knows, else by
/// the reckoned input, which is the least a dispatched call has cost, or by what its node last said of it in the books,
/// where that is more; flagged as estimated. Safe to run again.
///
/// # Errors
/// [`SubmitError`] if the store cannot be read or written.
pub async fn recover(
    store: &Store,
    marks: &HashMap<RequestId, Mark>,
    journal: &Journal,
    clock: &dyn Clock,
) -> Result<usize, SubmitError> {
    let orphans = store.orphaned_holds(store.epoch()).await?;
    for hold in &orphans {
        let why = Stranded::EpochOver { epoch: hold.epoch };
        let mark = match marks.get(&hold.id) {
            Some(mark) => Some(mark.clone()),
            None => store.carried_progress(hold.id).await?.map(|usage| Mark::Progress(at_least(hold, usage))),
        };
        end(store, clock, hold, why, mark.as_ref()).await?;
    }
    // Marks of calls whose end the ledger has already.
    for id in marks.keys() {
        journal.forget(*id);
    }
    Ok(orphans.len())
}

/// Ends the holds of this run whose deadline has passed: their calls are lost, and what they say later is our cost.
///
/// # Errors
/// [`SubmitError`] if the store cannot be read or written.
pub async fn end_overdue(store: &Store, journal: &Journal, clock: &dyn Clock) -> Result<usize, SubmitError> {
    let overdue = store.overdue_holds(clock.now()).await?;
    for hold in &overdue {
        let mark = journal.last(hold.id).unwrap_or_else(|error| {
            tracing::error!(%error, hold = %hold.id, "the journal cannot be read; the hold ends by an estimate");
            None
        });
        end(store, clock, hold, Stranded::Overdue, mark.as_ref()).await?;
    }
    Ok(overdue.len())
}

async fn end(
    store: &Store,
    clock: &dyn Clock,
    hold: &Hold,
    why: Stranded,
    mark: Option<&Mark>,
) -> Result<(), SubmitError> {
    let (id, account, key) = (hold.id, hold.account, hold.key);
    let command = |verb: &str, body| Command {
        key: format!("{verb}:{id}"),
        actor: Actor::system("recovery"),
        reason: Some("nobody answers for it".to_owned()),
        approver: None,
        at: clock.now(),
        body,
    };
    if hold.state == HoldState::Open {
        match store.submit(command("orphan", Body::Orphan { id, account, why })).await {
            // It ended by itself in the meantime.
            Err(SubmitError::Refused(Refusal::HoldEnded(_))) => return Ok(()),
            outcome => drop(outcome?),
        }
    }
    let (tokens, by) = (hold.token_assets(), SettledBy::Recovery);
    let end = ending(hold, mark);
    match store.submit(command("settle", Body::Settle { id, account, key, tokens, by, end })).await {
        Err(SubmitError::Refused(refusal @ Refusal::OutOfRange)) => {
            tracing::error!(hold = %id, %refusal, "an orphaned hold cannot be settled; it stays set aside");
            Ok(())
        }
        outcome => outcome.map(drop),
    }
}

/// What a node said in passing, and no less than the reckoned input: it may have said it before the prompt was counted.
fn at_least(hold: &Hold, usage: Usage) -> Usage {
    let input = hold.quote.input_estimate.0.saturating_sub(usage.prompt().0.saturating_sub(usage.input.0));
    Usage { input: Tokens(usage.input.0.max(input)), ..usage }
}

/// What is known of how the call went.
fn ending(hold: &Hold, mark: Option<&Mark>) -> SettleEnd {
    let reckoned = |usage| SettleEnd::Charge { usage, estimated: true, extra: NanoCny::ZERO };
    match mark {
        Some(Mark::End(end)) => end.clone(),
        Some(Mark::Progress(usage)) => reckoned(*usage),
        None if !hold.dispatched => SettleEnd::NotSent,
        None => reckoned(Usage { input: hold.quote.input_estimate, output: Tokens(0), ..Usage::default() }),
    }
}
