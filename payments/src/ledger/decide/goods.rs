//! Goods: what may be sold, and what of it goes back, line by line.

use units::{AccountId, Fen, Livemode};

use super::{
    Draft, Refusal, Reply,
    check::{invalid, text},
};
use crate::ledger::{
    GoodsLine, GoodsRefund, OrderKind, RefundBatchState, RefundItem, RowOp, refund_plan::channel_refunds,
};

/// An order has at most this many lines.
const LINES_MAX: usize = 100;

impl Draft<'_> {
    pub(super) fn sells_goods(
        &self,
        amount: Fen,
        lines: &[GoodsLine],
        buyer: Option<AccountId>,
        refunds: i64,
        livemode: Livemode,
    ) -> Result<(), Refusal> {
        if lines.is_empty() || lines.len() > LINES_MAX {
            return Err(invalid("lines", &format!("an order has 1 to {LINES_MAX} lines")));
        }
        if refunds != 0 {
            return Err(invalid("refunds", "nothing can have gone back of a new order"));
        }
        if let Some(buyer) = buyer {
            let buyer = self.rows.account(buyer).ok_or(Refusal::UnknownAccount(buyer))?;
            if buyer.livemode != livemode {
                return Err(Refusal::LivemodeMismatch);
            }
        }
        let mut sum = Fen::ZERO;
        for (n, line) in lines.iter().enumerate() {
            let field = |name: &str| format!("lines[{n}].{name}");
            text(&field("title"), &line.title)?;
            line.sku.as_ref().map_or(Ok(()), |sku| text(&field("sku"), sku))?;
            if line.quantity <= 0 {
                return Err(invalid(&field("quantity"), "it must be at least 1"));
            }
            if i128::from(line.unit.get()) * i128::from(line.quantity) != i128::from(line.amount.get()) {
                return Err(invalid(&field("amount"), "it is not quantity times unit"));
            }
            if line.refunded != Fen::ZERO {
                return Err(invalid(&field("refunded"), "nothing can have gone back of a new order"));
            }
            sum = sum.plus(line.amount)?;
        }
        if sum == amount {
            Ok(())
        } else {
            Err(invalid("amount", &format!("the lines come to {sum} yuan, the order to {amount} yuan")))
        }
    }

    pub(super) fn refund_goods(&mut self, wish: &GoodsRefund) -> Result<Reply, Refusal> {
        self.refund_account(wish.account)?;
        if self.rows.batches.contains_key(&wish.batch) {
            return Err(Refusal::KeyReused);
        }
        let mut order = self.find_order(wish.order)?;
        let at = self.command.at;
        let paid_at = order.paid_at.unwrap_or(at);
        let OrderKind::Goods { lines, refunds, .. } = &mut order.kind else {
            return Err(invalid("order", "it is not for goods"));
        };
        if order.account != wish.account {
            return Err(Refusal::UnknownOrder(wish.order));
        }
        if !order.state.is_paid() {
            return Err(Refusal::OrderState { order: order.id, state: order.state });
        }
        if !channel_refunds(paid_at, *refunds, at) {
            return Err(Refusal::NothingRefundable("WeChat Pay no longer takes refunds of it".to_owned()));
        }
        if wish.lines.is_empty() {
            return Err(invalid("lines", "say what of which line goes back"));
        }
        *refunds += 1;
        let mut total = Fen::ZERO;
        for back in &wish.lines {
            let line =
                lines.get_mut(back.line).ok_or_else(|| invalid("line", "the order has no such line"))?;
            back.amount.at_least_one().map_err(|_| Refusal::NotPositive)?;
            let refundable = line.amount.minus(line.refunded)?;
            if back.amount > refundable {
                return Err(Refusal::RefundTooMuch { requested: back.amount, refundable });
            }
            line.refunded = line.refunded.plus(back.amount)?;
            total = total.plus(back.amount)?;
        }
        let item = RefundItem {
            lines: wish.lines.clone(),
            ..self.new_item(wish.item, wish.batch, wish.account, wish.order, total)
        };
        self.put_order(order);
        self.ops.push(RowOp::Item(item.clone()));
        let standing = (wish.reason.clone(), RefundBatchState::Reserved);
        self.new_batch(wish.batch, wish.account, standing, vec![item])
    }
}

/// Counts what went back by another way on the lines, first to last, as far as they go.
pub(super) fn spread_over_lines(lines: &mut [GoodsLine], amount: Fen) -> Result<(), Refusal> {
    let mut left = amount;
    for line in lines {
        let part = left.min(line.amount.minus(line.refunded)?);
        line.refunded = line.refunded.plus(part)?;
        left = left.minus(part)?;
    }
    Ok(())
}
