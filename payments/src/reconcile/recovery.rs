//! Holds that a process left behind when it died.

use std::collections::HashMap;

use units::{Clock, NanoCny, RequestId, Tokens, Usage};

use crate::{
    journal::{Journal, Mark},
    ledger::{Actor, Body, Command, Refusal, SettleEnd},
    store::{Store, SubmitError},
};

/// Ends what earlier runs left open: by the journal where it knows, else by the reckoned input, which is the least a
/// dispatched call has cost; flagged as estimated. Safe to run again.
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
        let reckoned = |usage| SettleEnd::Charge { usage, estimated: true, extra: NanoCny::ZERO };
        let end = match marks.get(&hold.id) {
            Some(Mark::End(end)) => end.clone(),
            Some(Mark::Progress(usage)) => reckoned(*usage),
            None => {
                reckoned(Usage { input: hold.quote.input_estimate, output: Tokens(0), ..Usage::default() })
            }
        };
        let command = Command {
            key: format!("settle:{}", hold.id),
            actor: Actor::system("recovery"),
            reason: Some("the process that held it ended".to_owned()),
            approver: None,
            at: clock.now(),
            body: Body::Settle { id: hold.id, account: hold.account, model: hold.model.clone(), end },
        };
        match store.submit(command).await {
            Ok(_) => {}
            Err(SubmitError::Refused(refusal @ Refusal::OutOfRange)) => {
                tracing::error!(hold = %hold.id, %refusal, "an orphaned hold cannot be settled; it stays open");
            }
            Err(error) => return Err(error),
        }
    }
    // Marks of calls whose end the ledger has already.
    for id in marks.keys() {
        journal.forget(*id);
    }
    Ok(orphans.len())
}
