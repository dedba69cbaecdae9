//! Moving grants on.

use tokio_util::sync::CancellationToken;
use units::{RequestId, Timestamp};

use super::{Grants, next_look};
use crate::{
    ledger::{Asset, Body, Grant, GrantState, Refusal, Reply},
    store::{Submission, SubmitError},
};

impl Grants {
    /// Sweeps grants until `stop`: as their time comes, and whenever a key was revoked, as closing an order does.
    pub async fn work(&self, stop: CancellationToken) {
        let mut keys = self.store.keys_changed();
        loop {
            let next = match self.sweep_all().await {
                Ok(next) => next,
                Err(error) => {
                    tracing::warn!(%error, "temporary grants cannot be swept");
                    Some(self.clock.now().after(std::time::Duration::from_secs(5)))
                }
            };
            let idle = async {
                match next {
                    Some(at) => self.clock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.fresh.notified() => {}
                changed = keys.changed() => if changed.is_err() { return },
                () = idle => {}
            }
        }
    }

    /// Looks at every grant about which something is left to be done; when to look again.
    ///
    /// # Errors
    /// [`SubmitError`] if the store cannot be read or written.
    pub async fn sweep_all(&self) -> Result<Option<Timestamp>, SubmitError> {
        let mut next = None;
        for grant in self.store.unresolved_grants().await? {
            let grant = self.sweep(&grant).await?;
            if grant.resolved_at.is_none() {
                let at = next_look(&grant, self.clock.now());
                next = Some(next.map_or(at, |other: Timestamp| other.min(at)));
            }
        }
        Ok(next)
    }

    /// Moves one grant on, if it is its turn.
    async fn sweep(&self, grant: &Grant) -> Result<Grant, SubmitError> {
        if grant.state == GrantState::Active && self.clock.now() < grant.expires_at {
            return Ok(grant.clone());
        }
        let (order, account) = (grant.order, grant.account);
        // Calls that have ended gave back what they did not use, but memory knows it only once it is on disk.
        self.store.flushed().await?;
        if self.admission.available(account, &Asset::Cny).is_none() {
            self.store.load_balance(account, Asset::Cny).await?;
        }
        let slot = self.store.slot().await?;
        // From here to the queue nothing waits: whoever goes away must not leave the money taken.
        let granted = self.admission.take_up_to(account, &Asset::Cny, grant.amount.get()).amount;
        // Each sweep is a command of its own: said twice it must not take what only a second one may.
        let key = format!("tsweep:{order}:{}", RequestId::new(self.clock.now()).bare());
        let command = self.command(key, Body::SweepGrant { order, account, granted });
        let submission = Submission { command, taken: vec![(account, Asset::Cny, granted)], receipt: None };
        match slot.send(submission).committed().await? {
            Reply::Grant(grant) => Ok(*grant),
            _ => Err(SubmitError::Refused(Refusal::UnknownGrant(order))),
        }
    }
}
