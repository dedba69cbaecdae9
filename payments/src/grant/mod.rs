//! Grant: what is lent while a payment is on its way, what is given for a time, and when does either end?
//!
//! The ledger decides every step; this room says when. A grant is opened on the payer's word (or by policy), and then
//! swept: when its time is over, at once when its order fails or is closed (which revokes its key, and that is what this
//! room listens for), and again until nothing is left to be done about it. Speaks to the ledger through the store, and
//! to admission, so that nothing is taken back that a call was admitted on.

mod gifts;
mod sweep;

use std::{sync::Arc, time::Duration};

use tokio::sync::Notify;
use units::{Clock, KeyId, NanoCny, Timestamp};

pub use self::gifts::Gifts;
pub use crate::ledger::GrantCaps;
use crate::{
    admission::Admission,
    ledger::{
        Actor, ApiKey, Body, Command, Grant, GrantBlock, GrantClaim, Order, OrderKind, OrderState, Refusal,
        Reply, Role,
    },
    store::{Store, SubmitError},
};

/// Temporary grants. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Grants {
    store: Store,
    admission: Arc<Admission>,
    clock: Arc<dyn Clock>,
    caps: GrantCaps,
    /// Woken when there is a grant to watch that there was not before.
    fresh: Arc<Notify>,
}

/// A key without the key: what is kept of it.
#[derive(Debug, Clone)]
pub struct TemporaryKey {
    /// Its digest.
    pub digest: String,
    /// Its first characters.
    pub prefix: String,
}

/// What an order's payer may be lent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lent {
    /// Nothing: temporary access was not asked for.
    Nothing,
    /// So much, once the payer says to have paid.
    Offered(NanoCny),
    /// This.
    Granted(Box<Grant>),
}

impl Grants {
    /// Over the store's books, within `caps`.
    pub fn new(store: Store, admission: Arc<Admission>, clock: Arc<dyn Clock>, caps: GrantCaps) -> Self {
        Self { store, admission, clock, caps, fresh: Arc::default() }
    }

    /// Binds a key to an order: it opens nothing until the grant is opened, and ends with it. False if the order has one
    /// already.
    ///
    /// # Errors
    /// [`SubmitError`]; an order for anything but yuan, or one that is not payable any more, is refused.
    pub async fn offer(&self, order: &Order, key: TemporaryKey) -> Result<bool, SubmitError> {
        let block = if order.kind != OrderKind::Wallet {
            Some(GrantBlock::NotMoney)
        } else if matches!(order.state, OrderState::Created | OrderState::Pending) {
            None
        } else {
            Some(GrantBlock::NotPending)
        };
        if let Some(why) = block {
            return Err(SubmitError::Refused(Refusal::GrantRefused { order: order.id, why }));
        }
        let id = KeyId::of_order(order.id);
        if self.store.key(id).await?.is_some() {
            return Ok(false);
        }
        let now = self.clock.now();
        let row = ApiKey {
            id,
            account: order.account,
            digest: key.digest,
            prefix: key.prefix,
            name: format!("temporary access, {}", order.id),
            livemode: order.livemode,
            requests_per_minute: None,
            tokens_per_minute: None,
            concurrency_max: None,
            created_at: now,
            revoked_at: None,
            expires_at: Some(order.expires_at.after(self.lasts())),
            grant: Some(order.id),
        };
        match self.store.submit(self.command(format!("key:{id}"), Body::AddKey(row))).await {
            Ok(_) => Ok(true),
            // Two repeats of one wish at once: the first made the key.
            Err(SubmitError::Refused(Refusal::KeyExists | Refusal::KeyReused)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Lends on an order for which temporary access was asked, on the payer's word that it is paid; `None` where it was
    /// not asked for.
    ///
    /// # Errors
    /// [`SubmitError`]; the refusal says which rule does not allow it.
    pub async fn open(&self, order: &Order, claim: GrantClaim) -> Result<Option<Grant>, SubmitError> {
        if self.store.key(KeyId::of_order(order.id)).await?.is_none() {
            return Ok(None);
        }
        let body = Body::OpenGrant { order: order.id, account: order.account, claim, caps: self.caps };
        match self.store.submit(self.command(format!("temp:{}", order.id), body)).await? {
            Reply::Grant(grant) => {
                self.fresh.notify_one();
                Ok(Some(*grant))
            }
            _ => Err(SubmitError::Refused(Refusal::UnknownGrant(order.id))),
        }
    }

    /// True if the operator lends without being told that it is paid.
    pub const fn needs_no_claim(&self) -> bool {
        self.caps.unclaimed
    }

    /// What the payer of an order is lent, or may be.
    ///
    /// # Errors
    /// [`SubmitError`] if the store cannot be read.
    pub async fn lent_on(&self, order: &Order) -> Result<Lent, SubmitError> {
        if let Some(grant) = self.store.grant(order.id).await? {
            return Ok(Lent::Granted(Box::new(grant)));
        }
        if !matches!(order.state, OrderState::Created | OrderState::Pending)
            || self.store.key(KeyId::of_order(order.id)).await?.is_none()
        {
            return Ok(Lent::Nothing);
        }
        let standing = self.store.grant_standing(order.account).await?;
        Ok(Lent::Offered(self.caps.amount(NanoCny::from(order.amount), standing.has_paid)))
    }

    fn lasts(&self) -> Duration {
        Duration::from_secs(u64::try_from(self.caps.lasts_secs).unwrap_or(0))
    }

    fn command(&self, key: String, body: Body) -> Command {
        let actor = Actor { id: "grant".to_owned(), role: Role::System };
        Command { key, actor, reason: None, approver: None, at: self.clock.now(), body }
    }
}

/// When a grant is looked at next.
fn next_look(grant: &Grant, now: Timestamp) -> Timestamp {
    /// What is over but not resolved waits for calls to end or for an order to be closed.
    const PAUSE: Duration = Duration::from_secs(5);
    if grant.expires_at > now { grant.expires_at } else { now.after(PAUSE) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_small_and_never_more_than_the_order() {
        let caps = GrantCaps::default();
        assert_eq!(caps.amount(NanoCny::from_yuan(50), false), NanoCny::from_yuan(1));
        assert_eq!(caps.amount(NanoCny::from_yuan(50), true), NanoCny::from_yuan(5));
        assert_eq!(caps.amount(NanoCny::new(7), true), NanoCny::new(7));
    }
}
