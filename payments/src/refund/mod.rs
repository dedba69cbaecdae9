//! Refund: what state is this refund in, and what moves it on?
//!
//! The money is reserved out of the lots first; then each item is sent to WeChat Pay under its own number, which never
//! changes, one at a time. What came of an unclear answer is asked for before anything is sent again. Speaks to the
//! ledger through the store and to the channel.

mod observer;
mod preview;
mod request;
mod send;
mod work;

use std::sync::Arc;

use tokio::sync::Notify;
use units::{Clock, Fen, RefundId};

use self::observer::{Told, Unobserved};
pub use self::{
    observer::RefundObserver,
    preview::{PlannedRefund, RefundPreview},
    request::{GoodsRefundRequest, Refund, RefundRequest, RefundRequestError},
};
use crate::{
    admission::Admission,
    channel::{ChannelError, RefundReport, RefundState},
    ledger::{Actor, Body, Command, RefundItem, RefundItemState, RefundNews, Reply, Role},
    store::{Store, SubmitError},
    topup::{Merchant, Merchants},
};

/// Refunds and their way. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Refunds {
    store: Store,
    admission: Arc<Admission>,
    merchants: Arc<Merchants>,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn RefundObserver>,
    told: Arc<Told>,
    /// More than this takes a second person.
    approve_above: Option<Fen>,
    /// Woken when there is something to send or to ask that there was not before.
    fresh: Arc<Notify>,
}

/// Why news of a refund did nothing.
#[derive(Debug, thiserror::Error)]
pub enum RefundNewsError {
    /// We have no such refund.
    #[error("no refund {0}")]
    Unknown(String),
    /// It says something else than what was sent.
    #[error("refund {item}: {what}")]
    Mismatch {
        /// Which.
        item: RefundId,
        /// What differs.
        what: String,
    },
    /// WeChat Pay was asked, and gave no answer to act upon.
    #[error("refund {item}: {error}")]
    Unanswered {
        /// Which.
        item: RefundId,
        /// What happened.
        error: ChannelError,
    },
    /// The ledger says no, or cannot be reached.
    #[error(transparent)]
    Store(#[from] SubmitError),
}

impl Refunds {
    /// Over the store and the configured merchants.
    pub fn new(
        store: Store,
        admission: Arc<Admission>,
        merchants: Arc<Merchants>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let observer = Arc::new(Unobserved);
        Self {
            store,
            admission,
            merchants,
            clock,
            observer,
            told: Arc::default(),
            approve_above: None,
            fresh: Arc::default(),
        }
    }

    /// The same, with somebody who is told how they go.
    #[must_use]
    pub fn observed_by(self, observer: Arc<dyn RefundObserver>) -> Self {
        Self { observer, ..self }
    }

    /// The same, where more than `bound` in one request takes a second person: an operator names another operator, and what a
    /// customer asks for waits until an operator agrees.
    #[must_use]
    pub fn approved_above(self, bound: Option<Fen>) -> Self {
        Self { approve_above: bound, ..self }
    }

    /// True of an amount that takes a second person.
    pub fn takes_two(&self, amount: Fen) -> bool {
        self.approve_above.is_some_and(|bound| amount > bound)
    }

    /// There is something to send that somebody else queued.
    pub fn wake(&self) {
        self.fresh.notify_one();
    }

    /// Takes in a notice of a refund; `event` is its id. One about an item that was not sent, or was turned away for now, is a
    /// hint: something was done that our books do not know of, after they were put back from a copy perhaps. WeChat Pay is
    /// asked then, before anything is sent.
    ///
    /// # Errors
    /// [`RefundNewsError`]; nothing moved.
    pub async fn noticed(&self, report: &RefundReport, event: String) -> Result<RefundItem, RefundNewsError> {
        let (item, news) = self.agreeing(report).await?;
        if is_news_to_us(&item) {
            tracing::warn!(item = %item.id, said = %news, "a notice about a refund that is not known to be sent");
            return Ok(self.report(&item, RefundNews::Unclear, None, None, Some(event)).await?);
        }
        Ok(self.report(&item, news, report.refund_id.clone(), evidence(news, report), Some(event)).await?)
    }

    /// Takes in what WeChat Pay says of a refund when it is asked; `event` is the id of the notice that made us ask.
    ///
    /// # Errors
    /// [`RefundNewsError`]; nothing moved.
    pub async fn reported(
        &self,
        report: &RefundReport,
        event: Option<String>,
    ) -> Result<RefundItem, RefundNewsError> {
        let (mut item, news) = self.agreeing(report).await?;
        if is_news_to_us(&item) {
            item = self.report(&item, RefundNews::Unclear, None, None, None).await?;
        }
        Ok(self.report(&item, news, report.refund_id.clone(), evidence(news, report), event).await?)
    }

    /// The item that a report is about, and what it says of it, if it agrees with what was sent.
    async fn agreeing(&self, report: &RefundReport) -> Result<(RefundItem, RefundNews), RefundNewsError> {
        let unknown = || RefundNewsError::Unknown(report.out_refund_no.clone());
        let id = RefundId::from_bare(&report.out_refund_no).map_err(|_| unknown())?;
        let item = self.store.refund_item(id).await?.ok_or_else(unknown)?;
        if let Some(cash) = report.refund.filter(|cash| *cash != item.amount) {
            let what = format!("{cash} yuan refunded, {} yuan were sent", item.amount);
            return Err(RefundNewsError::Mismatch { item: id, what });
        }
        if let Some(number) = report.out_trade_no.as_ref().filter(|number| **number != item.order.bare()) {
            let what = format!("it is of payment {number}, {} was meant", item.order.bare());
            return Err(RefundNewsError::Mismatch { item: id, what });
        }
        let news = match &report.state {
            RefundState::Processing => RefundNews::Processing,
            RefundState::Success => RefundNews::Success,
            RefundState::Closed => RefundNews::Closed,
            RefundState::Abnormal => RefundNews::Abnormal,
            RefundState::Unknown(state) => {
                let what = format!("its state is {state:?}");
                return Err(RefundNewsError::Mismatch { item: id, what });
            }
        };
        Ok((item, news))
    }

    /// Asks WeChat Pay what became of a refund of this merchant's, because somebody who need not be WeChat Pay says that there
    /// is news; `event` is what it is called.
    ///
    /// # Errors
    /// [`RefundNewsError`]; nothing moved.
    pub async fn ask_about(
        &self,
        merchant: &Merchant,
        out_refund_no: &str,
        event: String,
    ) -> Result<RefundItem, RefundNewsError> {
        let unknown = || RefundNewsError::Unknown(out_refund_no.to_owned());
        let id = RefundId::from_bare(out_refund_no).map_err(|_| unknown())?;
        let item = self.store.refund_item(id).await?.ok_or_else(unknown)?;
        let order = self.store.order(item.order).await?;
        let order = order.filter(|order| order.merchant == merchant.name).ok_or_else(unknown)?;
        match merchant.query_refund(&order, out_refund_no).await {
            Ok(report) => self.reported(&report, Some(event)).await,
            Err(error) => Err(RefundNewsError::Unanswered { item: id, error }),
        }
    }

    /// Writes down what is known of an item.
    async fn report(
        &self,
        item: &RefundItem,
        news: RefundNews,
        refund_id: Option<String>,
        detail: Option<String>,
        event: Option<String>,
    ) -> Result<RefundItem, SubmitError> {
        let asset = self.asset_of(item).await?;
        let body = Body::RefundReported {
            item: item.id,
            batch: item.batch,
            order: item.order,
            account: item.account,
            asset,
            news,
            refund_id,
            detail,
            event,
            payment: item.payment.clone(),
        };
        let before = item.state;
        let item = self.item_command(item, Role::Channel, body).await?;
        if item.state != before && self.told.is_new(&item) {
            self.observer.moved(&item);
        }
        // An item that ended makes room for the next one.
        self.fresh.notify_one();
        Ok(item)
    }

    async fn item_command(
        &self,
        item: &RefundItem,
        role: Role,
        body: Body,
    ) -> Result<RefundItem, SubmitError> {
        let command = Command {
            key: format!("refund:{}", item.id),
            actor: Actor { id: "refund".to_owned(), role },
            reason: None,
            approver: None,
            at: self.clock.now(),
            body,
        };
        match self.store.submit(command).await? {
            Reply::Item(item) => Ok(*item),
            _ => Ok(item.clone()),
        }
    }
}

/// What is remembered of it beside the state.
fn evidence(news: RefundNews, report: &RefundReport) -> Option<String> {
    match news {
        RefundNews::Closed => Some("WeChat Pay closed the refund: nothing went back".to_owned()),
        _ => report.request_id.as_ref().map(|id| format!("Request-ID {id}")),
    }
}

/// True of an item that, as far as our books know, WeChat Pay has not taken: not sent, or turned away for now.
const fn is_news_to_us(item: &RefundItem) -> bool {
    matches!(item.state, RefundItemState::Queued | RefundItemState::Wait)
}
