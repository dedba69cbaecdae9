//! Asking for money back.

use units::{AccountId, Fen, NanoCny, OrderId, RefundBatchId, RefundId};

use super::Refunds;
use crate::{
    ledger::{
        Actor, Asset, Body, Command, GoodsRefund, LineRefund, LotClass, RefundBatch, RefundItem, Refundable,
        Refusal, Reply, Role, refundable,
    },
    store::{Submission, SubmitError},
};

/// An account has at most this many payments refunded by one request; a larger one is made in parts.
const ITEMS_MAX: usize = 200;

/// A request to refund with its items.
pub type Refund = (RefundBatch, Vec<RefundItem>);

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
    /// Why, where an operator asks; for us.
    pub why: Option<String>,
    /// The operator who agrees, where another one asks for much.
    pub approver: Option<Actor>,
    /// The same key and wish give the same refund.
    pub idempotency_key: Option<String>,
}

/// A wish to give back what was paid for goods.
#[derive(Debug, Clone)]
pub struct GoodsRefundRequest {
    /// The merchant.
    pub account: AccountId,
    /// Who asks.
    pub actor: Actor,
    /// Of which order.
    pub order: OrderId,
    /// How much of which line.
    pub lines: Vec<LineRefund>,
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
    /// The account has no such refund.
    #[error("no refund {0}")]
    UnknownRefund(RefundBatchId),
    /// The ledger said something else than it should.
    #[error("the ledger gave an unexpected answer")]
    Odd,
    /// The ledger says no, or cannot be reached.
    #[error(transparent)]
    Store(#[from] SubmitError),
}

impl Refunds {
    /// Reserves the refund and queues its items.
    ///
    /// # Errors
    /// [`RefundRequestError`]; nothing was reserved.
    pub async fn request(&self, request: RefundRequest) -> Result<Refund, RefundRequestError> {
        let asset = self.asset_for(request.account, request.order).await?;
        let account = request.account;
        // Calls that have ended gave back what they did not use, but memory knows it only once it is on disk.
        self.store.flushed().await?;
        if self.admission.available(account, &asset).is_none() {
            self.store.load_balance(account, asset.clone()).await?;
        }
        // How much goes, the ledger decides, never more than asked for and the bonuses that go with it; until it has, no
        // call may be admitted on the money.
        let wanted = match (&asset, request.amount) {
            (Asset::Cny, Some(amount)) => {
                NanoCny::from(amount).get().saturating_add(self.tied_bonus(account).await?)
            }
            _ => i64::MAX,
        };
        let slot = self.store.slot().await?;
        // From here to the queue nothing waits: a caller who goes away must not leave the money taken.
        let taken = self.admission.take_up_to(account, &asset, wanted).amount;
        let command = self.command(request, asset.clone(), taken);
        let submission = Submission { command, taken: vec![(account, asset, taken)], receipt: None };
        let Reply::Refund { batch, items } = slot.send(submission).committed().await? else {
            return Err(RefundRequestError::Odd);
        };
        self.observer.requested(&batch);
        self.fresh.notify_one();
        // A repeat is answered with the refund as it was first reserved; what became of it since, its rows say.
        Ok(self.store.refund(batch.id).await?.unwrap_or((*batch, items)))
    }

    /// The request as the ledger is asked, with fresh numbers; `granted` is what was set aside for it.
    pub(super) fn command(&self, request: RefundRequest, asset: Asset, granted: i64) -> Command {
        let now = self.clock.now();
        let batch = RefundBatchId::new(now);
        let account = request.account;
        let key = match (&request.idempotency_key, request.actor.role) {
            (Some(key), Role::Operator) => format!("hand:refund:{account}:{key}"),
            (Some(key), _) => format!("refund:{account}:{key}"),
            (None, _) => format!("refund:{batch}"),
        };
        Command {
            key,
            actor: request.actor,
            reason: request.why,
            approver: request.approver,
            at: now,
            body: Body::RequestRefund {
                batch,
                account,
                asset,
                amount: request.amount,
                granted,
                approve_above: self.approve_above,
                order: request.order,
                reason: request.reason,
                item_ids: (0..ITEMS_MAX).map(|_| RefundId::new(now)).collect(),
            },
        }
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

    pub(super) async fn asset_for(
        &self,
        account: AccountId,
        order: Option<OrderId>,
    ) -> Result<Asset, RefundRequestError> {
        let Some(id) = order else { return Ok(Asset::Cny) };
        let order = self.store.order(id).await?.filter(|order| order.account == account);
        Ok(order.ok_or(RefundRequestError::UnknownOrder(id))?.kind.asset())
    }

    /// What the account has left of bonuses that came with payments: at most that much freezes with a refund.
    async fn tied_bonus(&self, account: AccountId) -> Result<i64, SubmitError> {
        let balances = self.store.balances(account).await?;
        let lots = balances.iter().flat_map(|balance| &balance.lots);
        let tied = lots.filter(|lot| lot.class == LotClass::Bonus && lot.order.is_some());
        Ok(tied.fold(0, |sum: i64, lot| sum.saturating_add(lot.rem)))
    }

    /// The balance an item was taken from; what lies in none is yuan.
    pub(super) async fn asset_of(&self, item: &RefundItem) -> Result<Asset, SubmitError> {
        if item.lot.is_none() {
            return Ok(Asset::Cny);
        }
        let order = self.store.order(item.order).await?;
        order.map(|order| order.kind.asset()).ok_or(SubmitError::Refused(Refusal::UnknownOrder(item.order)))
    }

    /// Queues a refund of goods, line by line.
    ///
    /// # Errors
    /// [`RefundRequestError`]; nothing was reserved.
    pub async fn request_goods(&self, request: GoodsRefundRequest) -> Result<Refund, RefundRequestError> {
        let now = self.clock.now();
        let batch = RefundBatchId::new(now);
        let wish = GoodsRefund {
            batch,
            item: RefundId::new(now),
            account: request.account,
            order: request.order,
            lines: request.lines,
            reason: request.reason.clone(),
        };
        let command = Command {
            key: match &request.idempotency_key {
                Some(key) => format!("refund:{}:{key}", request.account),
                None => format!("refund:{batch}"),
            },
            actor: request.actor,
            reason: request.reason,
            approver: None,
            at: now,
            body: Body::RefundGoods(wish),
        };
        let Reply::Refund { batch, items } = self.store.submit(command).await? else {
            return Err(RefundRequestError::Odd);
        };
        self.observer.requested(&batch);
        self.fresh.notify_one();
        Ok(self.store.refund(batch.id).await?.unwrap_or((*batch, items)))
    }

    /// Takes a request back, of which nothing was sent yet; only one of this account's, where `whose` names one. An operator says
    /// why.
    ///
    /// # Errors
    /// [`RefundRequestError`]; the refund goes on.
    pub async fn cancel(
        &self,
        whose: Option<AccountId>,
        actor: Actor,
        why: Option<String>,
        id: RefundBatchId,
    ) -> Result<Refund, RefundRequestError> {
        let found = self.store.refund(id).await?;
        let found = found.filter(|(batch, _)| whose.is_none_or(|account| account == batch.account));
        let (batch, items) = found.ok_or(RefundRequestError::UnknownRefund(id))?;
        let asset = match items.first() {
            Some(item) => self.asset_of(item).await?,
            None => Asset::Cny,
        };
        let body = Body::CancelRefund {
            batch: id,
            account: batch.account,
            asset,
            orders: items.iter().map(|item| item.order).collect(),
            payments: items.iter().filter_map(|item| item.payment.clone()).collect(),
        };
        self.decide_about(format!("cancel:{id}"), actor, why, body).await
    }

    /// An operator agrees to a request that waits for it, and says why.
    ///
    /// # Errors
    /// [`RefundRequestError`]; the refund goes on waiting.
    pub async fn approve(
        &self,
        actor: Actor,
        why: Option<String>,
        id: RefundBatchId,
    ) -> Result<Refund, RefundRequestError> {
        let (batch, _) = self.store.refund(id).await?.ok_or(RefundRequestError::UnknownRefund(id))?;
        let body = Body::ApproveRefund { batch: id, account: batch.account };
        self.decide_about(format!("approve:{id}"), actor, why, body).await
    }

    async fn decide_about(
        &self,
        key: String,
        actor: Actor,
        reason: Option<String>,
        body: Body,
    ) -> Result<Refund, RefundRequestError> {
        let command = Command { key, actor, reason, approver: None, at: self.clock.now(), body };
        let Reply::Refund { batch, items } = self.store.submit(command).await? else {
            return Err(RefundRequestError::Odd);
        };
        self.fresh.notify_one();
        Ok((*batch, items))
    }
}
