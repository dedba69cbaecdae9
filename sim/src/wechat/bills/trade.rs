//! What was paid on a day, and what was asked back?
use crate::faults::RefundStatus;
use crate::wechat::orders::{Books, Order};

/// A line of the trade bill.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// When it was paid, or when the refund was accepted.
    pub(super) at: i64,
    pub(super) appid: String,
    pub(super) device: String,
    pub(super) transaction_id: String,
    pub(super) out_trade_no: String,
    pub(super) openid: String,
    pub(super) trade_type: &'static str,
    /// Fen; nothing in the row of a refund.
    pub(super) paid: i64,
    pub(super) refund: Option<Refunded>,
    pub(super) description: String,
    pub(super) attach: String,
    /// Fen; what is given back is negative.
    pub(super) fee: i64,
    pub(super) basis_points: u32,
}

/// What the row of a refund says beside its order.
#[derive(Debug, Clone)]
pub(super) struct Refunded {
    pub(super) refund_id: String,
    pub(super) out_refund_no: String,
    /// Fen.
    pub(super) sum: i64,
    pub(super) status: RefundStatus,
    pub(super) success: Option<i64>,
}

/// The rows of a day, oldest first, with the refunds as they stood at `made`.
pub(super) fn rows(books: &Books, from: i64, until: i64, made: i64) -> Vec<Row> {
    let day = from..until;
    let mut rows = Vec::new();
    for order in books.newest() {
        let Some(payment) = &order.payment else { continue };
        if day.contains(&payment.at) {
            rows.push(Row {
                paid: order.total(),
                fee: payment.fee,
                ..row(order, payment.at, payment.basis_points)
            });
        }
        for refund in order.refunds.iter().filter(|refund| day.contains(&refund.created)) {
            let over = refund.ended.is_some_and(|ended| ended <= made);
            rows.push(Row {
                refund: Some(Refunded {
                    refund_id: refund.refund_id.clone(),
                    out_refund_no: refund.out_refund_no().to_owned(),
                    sum: refund.refund(),
                    status: if over { refund.status } else { RefundStatus::Processing },
                    success: refund.success().filter(|_| over),
                }),
                fee: -refund.fee,
                ..row(order, refund.created, refund.basis_points)
            });
        }
    }
    rows.sort_by_key(|row| row.at);
    rows
}

/// What rows of payments and of refunds have in common.
fn row(order: &Order, at: i64, basis_points: u32) -> Row {
    let payment = order.payment.as_ref();
    Row {
        at,
        appid: order.appid().to_owned(),
        device: order.device().unwrap_or_default().to_owned(),
        transaction_id: payment.map(|payment| payment.transaction_id.clone()).unwrap_or_default(),
        out_trade_no: order.out_trade_no().to_owned(),
        openid: payment.map(|payment| payment.openid.clone()).unwrap_or_default(),
        trade_type: order.trade_type().name(),
        paid: 0,
        refund: None,
        description: order.description().to_owned(),
        attach: order.attach().unwrap_or_default().to_owned(),
        fee: 0,
        basis_points,
    }
}
