//! What moved on the merchant's account on a day?
use crate::faults::RefundStatus;
use crate::wechat::orders::Books;

/// Booked a second after it happened.
const BOOKED: i64 = 1_000_000;
/// What lay on the account when the books were opened, fen.
const OPENING: i64 = 100_000_000;

/// A line of the fund-flow bill.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) at: i64,
    /// The transaction or the refund.
    pub(super) business: String,
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    /// Fen; what leaves is negative.
    pub(super) amount: i64,
    /// What lies there afterwards, fen.
    pub(super) balance: i64,
    /// Who asked for it, beside the system.
    pub(super) by: Option<String>,
    pub(super) remark: String,
    /// The merchant's number.
    pub(super) voucher: String,
}

/// The rows of a day, oldest first.
pub(super) fn rows(books: &Books, from: i64, until: i64) -> Vec<Row> {
    let mut all = Vec::new();
    for order in books.newest() {
        let Some(payment) = &order.payment else { continue };
        let of_payment = |kind, amount| Row {
            at: payment.at + BOOKED,
            business: payment.transaction_id.clone(),
            name: "交易",
            kind,
            amount,
            balance: 0,
            by: None,
            remark: String::new(),
            voucher: order.out_trade_no().to_owned(),
        };
        all.push(of_payment("交易", order.total()));
        all.push(of_payment("扣除交易手续费", -payment.fee));
        for refund in &order.refunds {
            let of_refund = |at: i64, kind, amount| Row {
                at: at + BOOKED,
                business: refund.refund_id.clone(),
                name: "退款",
                kind,
                amount,
                balance: 0,
                by: None,
                remark: String::new(),
                voucher: refund.out_refund_no().to_owned(),
            };
            all.push(Row {
                by: Some(format!("{}API", books.mchid)),
                remark: refund.reason().unwrap_or_default().to_owned(),
                ..of_refund(refund.created, "退款", -refund.refund())
            });
            all.push(of_refund(refund.created, "退还交易手续费", refund.fee));
            if let (RefundStatus::Closed, Some(ended)) = (refund.status, refund.ended) {
                all.push(of_refund(ended, "退款关闭", refund.refund()));
                all.push(of_refund(ended, "扣除交易手续费", -refund.fee));
            }
        }
    }
    all.retain(|row| row.amount != 0 && row.at < until);
    all.sort_by_key(|row| row.at);
    let mut balance = OPENING;
    for row in &mut all {
        balance += row.amount;
        row.balance = balance;
    }
    all.retain(|row| row.at >= from);
    all
}
