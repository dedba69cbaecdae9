//! What would a refund be made of?
//!
//! The ledger decides it as it would decide the request itself, on the same rows and by the same rules, and nothing is carried
//! out: what is shown is what is then reserved, unless something is spent in between.

use units::{Fen, NanoCny, OrderId};

use super::{RefundRequest, RefundRequestError, Refunds};
use crate::{
    ledger::{
        Asset, Decision, LotClass, RefundBatchState, RefundItem, Refusal, RowOp, Rows, Staying, refundable,
        staying,
    },
    store::SubmitError,
};

/// A part of a refund, of one payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedRefund {
    /// Of which payment.
    pub order: OrderId,
    /// The cash that goes back.
    pub amount: Fen,
    /// What it takes out of the balance, in its unit.
    pub units: i64,
    /// What is taken back of the bonus that came with the payment.
    pub bonus: NanoCny,
}

/// What a refund would be made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundPreview {
    /// Out of which balance.
    pub asset: Asset,
    /// How much in all.
    pub amount: Fen,
    /// How much could go back at most.
    pub refundable: Fen,
    /// Its parts; none where nothing can go back.
    pub items: Vec<PlannedRefund>,
    /// What of the balance cannot go back, and why.
    pub staying: Vec<Staying>,
    /// It would wait for an operator to agree.
    pub waits: bool,
}

impl Refunds {
    /// What [`Refunds::request`] would do with this now.
    ///
    /// # Errors
    /// [`RefundRequestError`] as the request would fail, except that an account of which nothing can go back is told why.
    pub async fn preview(&self, request: RefundRequest) -> Result<RefundPreview, RefundRequestError> {
        let (account, order) = (request.account, request.order);
        let asset = self.asset_for(account, order).await?;
        self.store.flushed().await?;
        if self.admission.available(account, &asset).is_none() {
            self.store.load_balance(account, asset.clone()).await?;
        }
        let granted = self.admission.available(account, &asset).unwrap_or(0);
        let all = request.amount.is_none();
        let command = self.command(request, asset.clone(), granted);
        let balances = self.store.balances(account).await?;
        let found = balances.into_iter().find(|balance| balance.wallet.asset == asset);
        let (lots, held) = found.map(|found| (found.lots, found.wallet.held)).unwrap_or_default();
        let open = refundable(lots.iter(), held, self.clock.now());
        let open = open.iter().filter(|payment| order.is_none_or(|order| order == payment.order));
        let open = open.fold(0, |sum: i64, payment| sum.saturating_add(payment.cap.get()));
        let preview = RefundPreview {
            asset,
            amount: Fen::ZERO,
            refundable: Fen::new(open).unwrap_or(Fen::MAX),
            items: Vec::new(),
            staying: staying(lots.iter(), held, self.clock.now()),
            waits: false,
        };
        match self.store.rehearse(command).await {
            Ok((rows, decision)) => Ok(of(&rows, &decision, preview)),
            Err(SubmitError::Refused(Refusal::NothingRefundable(_))) if all => Ok(preview),
            Err(error) => Err(error.into()),
        }
    }
}

/// What was decided, as it is shown.
fn of(rows: &Rows, decision: &Decision, empty: RefundPreview) -> RefundPreview {
    let mut preview = empty;
    let mut amount = 0;
    for op in &decision.ops {
        match op {
            RowOp::Item(item) => {
                amount += item.amount.get();
                let bonus = NanoCny::new(frozen(rows, decision, item));
                let RefundItem { order, amount, units, .. } = *item;
                preview.items.push(PlannedRefund { order, amount, units, bonus });
            }
            RowOp::Batch(batch) => preview.waits = batch.state == RefundBatchState::Waiting,
            _ => {}
        }
    }
    preview.amount = Fen::new(amount).unwrap_or(Fen::MAX);
    preview
}

/// What the decision sets aside of the bonus that came with the item's payment.
fn frozen(rows: &Rows, decision: &Decision, item: &RefundItem) -> i64 {
    let of_payment = decision.ops.iter().find_map(|op| match op {
        RowOp::Lot(lot) if lot.class == LotClass::Bonus && lot.order == Some(item.order) => Some(lot),
        _ => None,
    });
    of_payment.map_or(0, |after| {
        let before = rows.lots.get(&after.id).map_or(0, |before| before.refunding + before.voided);
        after.refunding + after.voided - before
    })
}
