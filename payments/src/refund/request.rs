//! Asking for money back.

use units::{AccountId, Fen, NanoCny, OrderId, RefundBatchId, RefundId};

use super::Refunds;
use crate::{
    ledger::{
        Actor, Asset, Body, Command, OrderKind, RefundBatch, RefundItem, Refundable, Refusal, Reply,
        refundable,
    },
    store::{Submission, SubmitError},
};

/// An account has at most this many payments refunded by one request; a larger one is made in parts.
const ITEMS_MAX: usize = 200;

/// A wish to have money back.
#[derive(Debug, Clone)]
pub struct RefundRequest {
    /// For whom.
    pub account: AccountId,
    /// Who asks.
    pub actor: Actor,
    /// How much; all that can be refunded where absent.
    pub amount: Option<Fen>,
    /// Only of this order, where given; a payment for tokens must be named.
    pub order: Option<OrderId>,
    /// Shown to the payer.
    pub reason: Option<String>,
    /// The same key and wish give the same refund.
    pub idempotency_key: Option<String>,
}

/// Why nothing is refunded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefundRequestError {
    /// The account has no such order.
    #[error("no order {0}")]
    UnknownOrder(OrderId),
    /// The ledger says no, or cannot be reached.
    #[error(transparent)]
    Store(#[from] SubmitError),
}

impl Refunds {
    /// Reserves the refund and queues its items.
    ///
    /// # Errors
    /// [`RefundRequestError`]; nothing was reserved.
    pub async fn request(
        &self,
        request: RefundRequest,
    ) -> Result<(RefundBatch, Vec<RefundItem>), RefundRequestError> {
        let asset = self.asset_for(request.account, request.order).await?;
        let now = self.clock.now();
        let batch = RefundBatchId::new(now);
        let key = match &request.idempotency_key {
            Some(key) => format!("refund:{}:{key}", request.account),
            None => format!("refund:{batch}"),
        };
        // Calls that have ended gave back what they did not use, but memory knows it only once it is on disk.
        self.store.flushed().await?;
        if self.admission.available(request.account, &asset).is_none() {
            self.store.load_balance(request.account, asset.clone()).await?;
        }
        let slot = self.store.slot().await?;
        // How much goes, the ledger decides, never more than asked for; until it has, no call may be admitted on the
        // money. From here to the queue nothing waits: a caller who goes away must not leave the money taken.
        let wanted = match (&asset, request.amount) {
            (Asset::Cny, Some(amount)) => NanoCny::from(amount).get(),
            _ => i64::MAX,
        };
        let taken = self.admission.take_up_to(request.account, &asset, wanted).unwrap_or(0);
        let command = Command {
            key,
            actor: request.actor,
            reason: request.reason.clone(),
            approver: None,
            at: now,
            body: Body::RequestRefund {
                batch,
                account: request.account,
                asset: asset.clone(),
                amount: request.amount,
                granted: taken,
                order: request.order,
                reason: request.reason,
                item_ids: (0..ITEMS_MAX).map(|_| RefundId::new(now)).collect(),
            },
        };
        let submission = Submission { command, taken: vec![(request.account, asset, taken)], receipt: None };
        let Reply::Refund { batch, items } = slot.send(submission).committed().await? else {
            return Err(SubmitError::Refused(Refusal::UnknownBatch(batch)).into());
        };
        self.fresh.notify_one();
        // A repeat is answered with the refund as it was first reserved; what became of it since, its rows say.
        Ok(self.store.refund(batch.id).await?.unwrap_or((*batch, items)))
    }

    /// What of an account's money could go back now, payment by payment.
    ///
    /// # Errors
    /// [`SubmitError`] if the store cannot be read.
    pub async fn refundable(&self, account: AccountId) -> Result<Vec<(Asset, Vec<Refundable>)>, SubmitError> {
        let now = self.clock.now();
        let balances = self.store.balances(account).await?;
        Ok(balances
            .into_iter()
            .map(|balance| {
                let open = refundable(balance.lots.iter(), balance.wallet.held, now);
                (balance.wallet.asset, open)
            })
            .collect())
    }

    async fn asset_for(
        &self,
        account: AccountId,
        order: Option<OrderId>,
    ) -> Result<Asset, RefundRequestError> {
        let Some(id) = order else { return Ok(Asset::Cny) };
        let order = self.store.order(id).await?.filter(|order| order.account == account);
        match order.ok_or(RefundRequestError::UnknownOrder(id))?.kind {
            OrderKind::Wallet => Ok(Asset::Cny),
            OrderKind::Tokens { model, .. } => Ok(Asset::Tokens(model)),
        }
    }

    /// The balance an item was taken from.
    pub(super) async fn asset_of(&self, item: &RefundItem) -> Result<Asset, SubmitError> {
        let order = self.store.order(item.order).await?;
        match order.map(|order| order.kind) {
            Some(OrderKind::Tokens { model, .. }) => Ok(Asset::Tokens(model)),
            Some(OrderKind::Wallet) => Ok(Asset::Cny),
            None => Err(SubmitError::Refused(Refusal::UnknownOrder(item.order))),
        }
    }
}
