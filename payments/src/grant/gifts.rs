//! Ending what was given for a time: promotions and codes whose end has come, and bonuses whose payment went back while
//! open calls kept them.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;
use units::{AccountId, Clock};

use crate::{
    admission::Admission,
    ledger::{Actor, Asset, Body, BonusShare, Command},
    store::{Store, Submission, SubmitError},
};

/// How often it is looked for.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Pages of one look; what is behind them waits for the next.
const PAGES_MAX: usize = 50;

/// What is given for a time. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Gifts {
    store: Store,
    admission: Arc<Admission>,
    clock: Arc<dyn Clock>,
}

impl Gifts {
    /// Over the store's books.
    pub fn new(store: Store, admission: Arc<Admission>, clock: Arc<dyn Clock>) -> Self {
        Self { store, admission, clock }
    }

    /// Ends what is over until `stop`.
    pub async fn work(&self, stop: CancellationToken) {
        loop {
            // Counted from the look's beginning: a clock that is moved meanwhile is not waited for anew.
            let next = self.clock.now().after(LOOK_EVERY);
            match self.sweep().await {
                Ok(0) => {}
                Ok(ended) => tracing::info!(lots = ended, "gifts whose time is over were ended"),
                Err(error) => tracing::warn!(%error, "gifts whose time is over cannot be ended"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.clock.sleep_until(next) => {}
            }
        }
    }

    /// Ends everything that is over and that no open call needs; how many lots ended. Safe to run again, and beside
    /// another.
    ///
    /// # Errors
    /// [`SubmitError`] if the store cannot be read or written.
    pub async fn sweep(&self) -> Result<usize, SubmitError> {
        let now = self.clock.now();
        let mut ended = 0;
        // Calls that have ended gave back what they did not use, but lots and memory know it only once it is on disk.
        self.store.flushed().await?;
        let mut due = self.store.lots_due(now).await?;
        for _ in 0..PAGES_MAX {
            let Some(last) = due.last().cloned() else { break };
            for lot in &due {
                let (account, asset) = (lot.account, lot.asset.clone());
                let body = Body::ExpireLot { account, asset, lot: lot.id.clone(), expired: lot.expired };
                let key = format!("exp:{}:{}", lot.id, lot.expired);
                ended += usize::from(self.take(account, &lot.asset, lot.rem, key, body).await?);
            }
            due = self.store.lots_due_after(now, &last).await?;
        }
        for (bonus, payment) in self.store.bonuses_of_refunded().await? {
            let Some(order) = bonus.order else { continue };
            let (surplus, owed) = (BonusShare::surplus(&bonus, &payment), BonusShare::owed(&bonus, &payment));
            if surplus > 0 || owed > 0 {
                let body = Body::SweepBonus { account: bonus.account, order };
                let key = format!("bsweep:{order}:{}:{}", payment.refunded_fen, bonus.refunding);
                ended += usize::from(self.take(bonus.account, &bonus.asset, surplus, key, body).await?);
            }
        }
        Ok(ended)
    }

    /// Carries out a command that takes `amount` from a balance, once memory has set all of it aside: what calls were
    /// admitted on is not taken from under them. False if it has to wait for them.
    async fn take(
        &self,
        account: AccountId,
        asset: &Asset,
        amount: i64,
        key: String,
        body: Body,
    ) -> Result<bool, SubmitError> {
        if self.admission.is_shared() || self.admission.available(account, asset).is_none() {
            self.store.load_balance(account, asset.clone()).await?;
        }
        let slot = self.store.slot().await?;
        // From here to the queue nothing waits: whoever goes away must not leave the money taken.
        let taken = self.admission.take_up_to(account, asset, amount).amount;
        if taken < amount {
            self.admission.give_back(account, asset, taken);
            return Ok(false);
        }
        let command = Command {
            key,
            actor: Actor::system("gifts"),
            reason: Some("its time is over".to_owned()),
            approver: None,
            at: self.clock.now(),
            body,
        };
        let submission = Submission { command, taken: vec![(account, asset.clone(), taken)], receipt: None };
        match slot.send(submission).committed().await {
            Ok(_) => Ok(true),
            // The clock went back, say: the next look tells, and the other lots do not wait for this one.
            Err(SubmitError::Refused(refusal)) => {
                tracing::warn!(%account, %refusal, "a gift whose time is over does not end");
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}
