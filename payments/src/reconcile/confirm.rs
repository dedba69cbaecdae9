//! What does not agree is asked after, and what the channel confirms is put right.

use std::collections::BTreeSet;

use units::NanoCny;

use super::{BillDate, Phase, Reconciler, RunError, ours::Day};
use crate::{
    channel::{ChannelError, RefundState},
    ledger::{
        BillDifference, Body, Command, DifferenceCause, DifferenceClass, DifferenceState, ExternalRefund,
        FoundDifference, Order, OrderKind, OrderState,
    },
    store::{OurSide, SubmitError},
    topup::Confirmed,
};

/// Payments and refunds that are asked after in one run: whoever has more has a larger trouble, and the next run goes on.
const ASKED_MAX: usize = 2_000;

impl Reconciler {
    /// Asks the channel about what does not agree, and puts right what it confirms.
    pub(super) async fn ask(
        &self,
        day: &Day,
        ours: &OurSide,
        known: &[BillDifference],
        differences: &mut [FoundDifference],
        at: &(dyn Fn(Phase, usize, usize) + Send + Sync),
    ) -> Result<(), RunError> {
        use DifferenceClass as C;
        let explained: BTreeSet<&str> = known
            .iter()
            .filter(|known| known.state == DifferenceState::Resolved)
            .map(|known| known.id.as_str())
            .collect();
        let date = day.date.to_string();
        let asked: Vec<_> = differences
            .iter_mut()
            .filter(|found| {
                matches!(
                    found.class,
                    C::PaidInBillPendingLocally
                        | C::RefundMissingLocally
                        | C::MissingInBill
                        | C::AmountMismatch
                ) && !explained.contains(found.id(&day.mchid, &date).as_str())
            })
            .take(ASKED_MAX)
            .collect();
        let of = asked.len();
        for (done, difference) in asked.into_iter().enumerate() {
            at(Phase::Asking, done, of);
            let Some(order) = difference.order.and_then(|id| ours.orders.get(&id)) else { continue };
            match difference.class {
                C::PaidInBillPendingLocally => self.credit(order, difference).await,
                C::RefundMissingLocally => self.book_refund(order, difference).await?,
                // Asked, it says itself what was paid. The bill says otherwise all the same: that is for a person.
                C::AmountMismatch if !order.state.is_paid() && order.state != OrderState::Refunded => {
                    self.credit(order, difference).await;
                    difference.healed = None;
                }
                C::AmountMismatch => self.doubt_amount(order, difference).await?,
                _ => self.doubt(order, difference).await?,
            }
        }
        Ok(())
    }

    /// A payment whose notice was lost.
    async fn credit(&self, order: &Order, difference: &mut FoundDifference) {
        let (healed, detail) = match self.topups.confirm(order).await {
            Confirmed::Credited(order) => {
                self.watcher.credited(&order);
                (Some(DifferenceCause::LostNotice), "confirmed by a query and credited".to_owned())
            }
            Confirmed::Known => (Some(DifferenceCause::LostNotice), "credited meanwhile".to_owned()),
            Confirmed::PutAside => {
                (None, "it does not agree with its order and waits for a decision".to_owned())
            }
            Confirmed::Denied(state) => (None, format!("asked, WeChat Pay says {state}")),
            Confirmed::Unclear(why) => (None, format!("WeChat Pay could not be asked: {why}")),
        };
        difference.healed = healed;
        difference.detail = Some(detail);
    }

    /// A refund from the channel's console. It is a fact once it has arrived; before, it may still be closed.
    async fn book_refund(&self, order: &Order, difference: &mut FoundDifference) -> Result<(), RunError> {
        let number = difference.out_refund_no.clone().unwrap_or_default();
        let report = match self.topups.foreign_refund(order, &number).await {
            Ok(report) => report,
            Err(error) => {
                difference.detail = Some(format!("WeChat Pay could not be asked: {error}"));
                return Ok(());
            }
        };
        let amount = report.refund.filter(|amount| Some(NanoCny::from(*amount)) == difference.bill);
        let (Some(amount), Some(refund_id)) = (amount, report.refund_id) else {
            difference.detail = Some("asked, WeChat Pay names another amount, or no number".to_owned());
            return Ok(());
        };
        if report.state != RefundState::Success {
            difference.detail = Some(format!("asked, WeChat Pay says {}", report.state));
            return Ok(());
        }
        let found = ExternalRefund {
            refund_id: refund_id.clone(),
            order: order.id,
            account: order.account,
            asset: order.kind.asset(),
            amount,
        };
        match self.submit(format!("xr:{refund_id}"), Body::ExtRefund(found)).await {
            Ok(_) => {
                difference.healed = Some(DifferenceCause::ConsoleRefund);
                difference.detail = Some("confirmed by a query and booked".to_owned());
                self.watcher.stopped(order.account);
            }
            Err(SubmitError::Refused(refusal)) => difference.detail = Some(format!("not booked: {refusal}")),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// A payment that we have and the bill does not. If the channel denies it as well, somebody has made it up: its
    /// account is stopped.
    async fn doubt(&self, order: &Order, difference: &mut FoundDifference) -> Result<(), RunError> {
        let denied = match self.topups.asked_again(order).await {
            Ok(trade) if trade.state.was_paid() => {
                let paid = trade.success_time.and_then(BillDate::of).map(|date| format!(" on {date}"));
                difference.detail =
                    Some(format!("asked, WeChat Pay has it as paid{}", paid.unwrap_or_default()));
                return Ok(());
            }
            Ok(trade) => trade.state.as_str().to_owned(),
            Err(ChannelError::NotFound { code, .. }) => code,
            Err(error) => {
                difference.detail = Some(format!("WeChat Pay could not be asked: {error}"));
                return Ok(());
            }
        };
        difference.detail = Some(format!("asked, WeChat Pay says {denied}: this payment was made up"));
        tracing::error!(order = %order.id, account = %order.account, denied, "WeChat Pay knows nothing of a payment");
        self.stop(order, format!("WeChat Pay knows nothing of the payment of order {}", order.id)).await
    }

    /// A payment that was credited, and the bill says another amount. If the channel says so as well, too much or too little
    /// was credited: its account is stopped, so that no more of it is spent before a person has decided.
    async fn doubt_amount(&self, order: &Order, difference: &mut FoundDifference) -> Result<(), RunError> {
        let total = match self.topups.asked_again(order).await {
            Ok(trade) => trade.total.filter(|_| trade.state.was_paid()),
            Err(error) => {
                difference.detail = Some(format!("WeChat Pay could not be asked: {error}"));
                return Ok(());
            }
        };
        match total {
            Some(total) if total == order.amount => {
                difference.detail = Some(format!("asked, WeChat Pay says {total} yuan, as we do"));
                Ok(())
            }
            Some(total) => {
                difference.detail =
                    Some(format!("asked, WeChat Pay says {total} yuan: another amount than was credited"));
                tracing::error!(order = %order.id, account = %order.account, %total, "another amount was credited than was paid");
                self.stop(order, format!("another amount was credited for order {} than was paid", order.id))
                    .await
            }
            None => {
                difference.detail = Some("asked, WeChat Pay does not say what was paid".to_owned());
                Ok(())
            }
        }
    }

    /// Nothing more is spent of an account that was credited what it did not pay.
    async fn stop(&self, order: &Order, reason: String) -> Result<(), RunError> {
        if matches!(order.kind, OrderKind::Goods { .. }) {
            return Ok(());
        }
        let command = Command {
            reason: Some(reason),
            ..self.command(format!("recon-stop:{}", order.id), Body::StopAccount { account: order.account })
        };
        match self.store.submit(command).await {
            Ok(_) | Err(SubmitError::Refused(_)) => self.watcher.stopped(order.account),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}
