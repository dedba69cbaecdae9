//! May this money go back, and has it? By whichever API the refund was asked for, and whichever made the order.
use serde_json::{Value, json};

use super::fees::share;
use super::orders::{Books, Order, TradeState};
use super::refusal::Refusal;
use crate::clock::rfc3339;
use crate::faults::{Api, RefundStatus};

/// Partial refunds of one order.
const REFUNDS_MAX: usize = 50;
/// Between two refunds of one order, microseconds.
const BETWEEN_MIN: i64 = 60_000_000;
/// After the payment, microseconds.
const YEAR: i64 = 365 * 24 * 3_600_000_000;

/// What a refund call asks for, checked as far as the call goes.
#[derive(Debug)]
pub(super) struct RefundWish {
    pub(super) api: Api,
    pub(super) appid: Option<String>,
    /// The order by either number; both have to mean the same one.
    pub(super) transaction_id: Option<String>,
    pub(super) out_trade_no: Option<String>,
    pub(super) out_refund_no: String,
    pub(super) reason: Option<String>,
    pub(super) notify_url: Option<String>,
    /// Fen.
    pub(super) refund: i64,
    /// Of the order, fen.
    pub(super) total: i64,
    /// The whole request, as far as a repeat has to be identical.
    pub(super) asked: Value,
}

/// One refund.
#[derive(Debug)]
pub(crate) struct Refund {
    wish: RefundWish,
    pub(super) refund_id: String,
    pub(super) transaction_id: String,
    pub(super) out_trade_no: String,
    pub(super) created: i64,
    pub(super) ended: Option<i64>,
    pub(crate) status: RefundStatus,
    /// What WeChat Pay gives back of its fee, fen.
    pub(super) fee: i64,
    pub(super) basis_points: u32,
}

impl Refund {
    pub(super) fn api(&self) -> Api {
        self.wish.api
    }
    pub(super) fn appid(&self) -> Option<&str> {
        self.wish.appid.as_deref()
    }
    pub(crate) fn out_refund_no(&self) -> &str {
        &self.wish.out_refund_no
    }
    pub(super) fn reason(&self) -> Option<&str> {
        self.wish.reason.as_deref()
    }
    pub(super) fn notify_url(&self) -> Option<&str> {
        self.wish.notify_url.as_deref()
    }
    /// Fen.
    pub(crate) fn refund(&self) -> i64 {
        self.wish.refund
    }
    /// Of the order, fen.
    pub(super) fn total(&self) -> i64 {
        self.wish.total
    }

    /// When it succeeded.
    pub(super) fn success(&self) -> Option<i64> {
        self.ended.filter(|_| self.status == RefundStatus::Success)
    }

    /// For the controls.
    pub(super) fn controls(&self) -> Value {
        json!({
            "api": self.api(),
            "out_refund_no": self.out_refund_no(),
            "refund_id": self.refund_id,
            "refund": self.refund(),
            "status": self.status,
            "notify_url": self.notify_url(),
            "created_at": rfc3339(self.created),
            "ended_at": self.ended.map(rfc3339),
        })
    }
}

impl Books {
    /// Accepts a refund under the number `refund_id`, or finds the one that is there. `true` with a new one.
    pub(super) fn refund(
        &mut self,
        wish: RefundWish,
        refund_id: String,
        now: i64,
    ) -> Result<(&Refund, bool), Refusal> {
        let number = wish.out_refund_no.clone();
        let new = self.find_refund(&number).is_none();
        if new {
            self.accept(wish, refund_id, now)?;
        } else if self.find_refund(&number).is_some_and(|known| known.wish.asked != wish.asked) {
            return Err(Refusal::RefundDiffers);
        }
        let refund = self.find_refund(&number).ok_or(Refusal::RefundUnknown)?;
        Ok((refund, new))
    }

    fn accept(&mut self, wish: RefundWish, refund_id: String, now: i64) -> Result<(), Refusal> {
        let by_transaction = wish.transaction_id.as_deref().map(|id| self.transaction_order(id));
        let out_trade_no = match (by_transaction, &wish.out_trade_no) {
            (Some(None), _) | (None, None) => return Err(Refusal::OrderUnknown),
            (Some(Some(found)), Some(named)) if found != named => return Err(Refusal::TwoOrders),
            (Some(Some(found)), _) => found.to_owned(),
            (None, Some(named)) => named.clone(),
        };
        let order = self.order_mut(&out_trade_no).ok_or(Refusal::OrderUnknown)?;
        let payment = order.payment.as_ref().ok_or(Refusal::NotPaid)?;
        if wish.total != order.total() {
            return Err(Refusal::WrongTotal);
        }
        let standing = order.refunds.iter().filter(|refund| refund.status != RefundStatus::Closed);
        let (before, fees): (i64, i64) =
            standing.fold((0, 0), |sum, refund| (sum.0 + refund.refund(), sum.1 + refund.fee));
        if wish.refund > order.total() - before {
            return Err(Refusal::TooMuch);
        }
        if order.refunds.len() >= REFUNDS_MAX {
            return Err(Refusal::TooManyRefunds);
        }
        if now - payment.at > YEAR {
            return Err(Refusal::TooOld);
        }
        if order.refunds.last().is_some_and(|last| now - last.created < BETWEEN_MIN) {
            return Err(Refusal::TooSoon);
        }
        let basis_points = payment.basis_points;
        let refund = Refund {
            fee: share(wish.refund, basis_points).min(payment.fee - fees),
            basis_points,
            transaction_id: payment.transaction_id.clone(),
            out_trade_no: out_trade_no.clone(),
            refund_id,
            created: now,
            ended: None,
            status: RefundStatus::Processing,
            wish,
        };
        let number = refund.out_refund_no().to_owned();
        order.refunds.push(refund);
        self.by_refund.insert(number, out_trade_no);
        Ok(())
    }

    pub(super) fn find_refund(&self, out_refund_no: &str) -> Option<&Refund> {
        let order = self.order(self.by_refund.get(out_refund_no)?)?;
        order.refunds.iter().find(|refund| refund.out_refund_no() == out_refund_no)
    }

    /// The order that a refund of ours belongs to, by WeChat Pay's number of the refund.
    pub(super) fn refund_order(&self, refund_id: &str) -> Option<&Order> {
        self.newest().find(|order| order.refunds.iter().any(|refund| refund.refund_id == refund_id))
    }

    /// Ends a refund.
    ///
    /// # Errors
    /// `None`: there is no such refund. `Some(status)`: it has ended already, like this.
    pub(super) fn resolve(
        &mut self,
        out_refund_no: &str,
        status: RefundStatus,
        now: i64,
    ) -> Result<&Refund, Option<RefundStatus>> {
        let out_trade_no = self.by_refund.get(out_refund_no).cloned().ok_or(None)?;
        let order = self.order_mut(&out_trade_no).ok_or(None)?;
        let named = |refund: &&mut Refund| refund.out_refund_no() == out_refund_no;
        let refund = order.refunds.iter_mut().find(named).ok_or(None)?;
        if matches!(refund.status, RefundStatus::Success | RefundStatus::Closed) {
            return Err(Some(refund.status));
        }
        refund.status = status;
        refund.ended = Some(now).filter(|_| status != RefundStatus::Processing);
        if status == RefundStatus::Success {
            order.state = TradeState::Refund;
        }
        self.find_refund(out_refund_no).ok_or(None)
    }

    /// Whether a refund is still under way, so that its timer has something to end.
    pub(super) fn processing(&self, out_refund_no: &str) -> bool {
        self.find_refund(out_refund_no).is_some_and(|refund| refund.status == RefundStatus::Processing)
    }
}
