//! Money that moved without us: refunds found in the bill, fees, and what a person paid back by hand.

use units::{Fen, NanoCny};

use super::{
    Draft, Lot, Posting, Refusal, Reply, book_of,
    check::{invalid, name, text},
    goods::spread_over_lines,
    refund::all_withheld,
};
use crate::ledger::{
    Asset, Book, EntryKind, ExternalRefund, LotClass, ManualPayout, Order, OrderKind, OrderState, RowOp,
    Wallet, burn_order, order::paid_lot, out_of_channel, refund_plan::units_for,
};

/// Lines of the journal about one order.
fn about<'a>(
    order: &'a Order,
    kind: EntryKind,
    lot: Option<&'a Lot>,
) -> impl Fn(Book, Book, &'a Asset, i64) -> Posting<'a> {
    move |debit, credit, asset, amount| Posting {
        kind,
        debit,
        credit,
        asset,
        amount,
        account: Some(order.account),
        lot: lot.map(|lot| lot.id.as_str()),
        hold: None,
        order: Some(order.id),
    }
}

impl Draft<'_> {
    /// A refund that the bill knows and we do not. It is a fact: what the payment's lot, and then the other payments,
    /// have unpledged goes; what was spent already is owed, of the bonus that came with it as well.
    pub(super) fn ext_refund(&mut self, found: &ExternalRefund) -> Result<Reply, Refusal> {
        self.staff()?;
        name("refund_id", &found.refund_id)?;
        self.keyed_as(&format!("xr:{}", found.refund_id))?;
        found.amount.at_least_one().map_err(|_| Refusal::NotPositive)?;
        let mut order = self.find_order(found.order)?;
        if order.account != found.account || order.kind.asset() != found.asset {
            return Err(Refusal::UnknownOrder(found.order));
        }
        if !order.state.is_paid() && order.state != OrderState::Refunded {
            return Err(Refusal::OrderState { order: order.id, state: order.state });
        }
        if found.amount > order.amount {
            return Err(invalid("amount", &format!("{} yuan were paid", order.amount)));
        }
        let detail = format!("{} {}", found.refund_id, found.amount);
        self.paid_back(&mut order, found.amount, "refunded_elsewhere", "bill", &detail)?;
        let wanted = NanoCny::from(found.amount).get();
        let covered = match &mut order.kind {
            OrderKind::Goods { lines, .. } => {
                spread_over_lines(lines, found.amount)?;
                self.post(about(&order, EntryKind::ExtRefund, None)(
                    Book::Sales,
                    Book::WechatClearing,
                    &Asset::Cny,
                    wanted,
                ));
                wanted
            }
            OrderKind::Wallet => self.take_back_yuan(&order, found.amount)?,
            OrderKind::Tokens { .. } | OrderKind::Package { .. } => {
                self.take_back_tokens(&order, found.amount)?
            }
        };
        let short = wanted - covered;
        if short > 0 {
            self.post(about(&order, EntryKind::ExtRefund, None)(
                Book::WalletDebt,
                Book::WechatClearing,
                &Asset::Cny,
                short,
            ));
            self.owe(order.account, short)?;
        }
        let order = self.put_order(order);
        Ok(Reply::Order { order: Box::new(order), step: super::OrderStep::Moved })
    }

    /// Takes what is unpledged, of the payment's own lot first, then of the others in burn order; how much that was.
    fn take_back_yuan(&mut self, order: &Order, amount: Fen) -> Result<i64, Refusal> {
        let mut wallet = self.rows.wallet(order.account, &Asset::Cny);
        let wanted = NanoCny::from(amount).get();
        let mut left = wanted.min(wallet.available());
        let own = self.rows.lots.get(&paid_lot(order.id)).ok_or(Refusal::OutOfRange)?.clone();
        let part = own.rem.min(left);
        left -= part;
        wallet.posted -= part;
        let own = Lot {
            rem: own.rem - part,
            refunded: own.refunded + part,
            refunded_fen: own.refunded_fen.plus(amount)?.min(own.paid_fen),
            ..own
        };
        self.post(about(order, EntryKind::ExtRefund, Some(&own))(
            book_of(own.class),
            Book::WechatClearing,
            &Asset::Cny,
            part,
        ));
        let others: Vec<Lot> = burn_order(self.rows.lots_of(order.account, &Asset::Cny))
            .into_iter()
            .filter(|lot| lot.class == LotClass::Paid && lot.id != own.id)
            .cloned()
            .collect();
        for lot in others {
            let part = lot.rem.min(left);
            if part == 0 {
                continue;
            }
            left -= part;
            wallet.posted -= part;
            let lot = Lot { rem: lot.rem - part, voided: lot.voided + part, ..lot };
            self.post(about(order, EntryKind::ExtRefund, Some(&lot))(
                book_of(lot.class),
                Book::WechatClearing,
                &Asset::Cny,
                part,
            ));
            self.ops.push(RowOp::Lot(lot));
        }
        let before = self.rows.wallet(order.account, &Asset::Cny).posted;
        let covered = before - wallet.posted;
        self.align_bonus(&own, &mut wallet)?;
        self.ops.push(RowOp::Lot(own));
        self.put_wallet(wallet);
        Ok(covered)
    }

    /// Takes the tokens that the refund stands for, as far as they are there and unpledged; what they cost, in nano.
    fn take_back_tokens(&mut self, order: &Order, amount: Fen) -> Result<i64, Refusal> {
        let asset = order.kind.asset();
        let mut wallet: Wallet = self.rows.wallet(order.account, &asset);
        let lot = self.rows.lots.get(&paid_lot(order.id)).ok_or(Refusal::OutOfRange)?.clone();
        let paid = i128::from(lot.paid_fen.get().max(1));
        let whole = (i128::from(lot.orig) * i128::from(amount.get()) + paid - 1) / paid;
        let whole = i64::try_from(whole).map_err(|_| Refusal::OutOfRange)?.min(lot.orig);
        let part = whole.min(lot.rem).min(wallet.available());
        let wanted = NanoCny::from(amount).get();
        let worth =
            i128::from(NanoCny::from(lot.paid_fen).get()) * i128::from(part) / i128::from(lot.orig.max(1));
        let worth = if part == whole { wanted } else { i64::try_from(worth).unwrap_or(wanted).min(wanted) };
        let lot = Lot {
            rem: lot.rem - part,
            refunded: lot.refunded + part,
            refunded_fen: lot.refunded_fen.plus(amount)?.min(lot.paid_fen),
            ..lot
        };
        wallet.posted -= part;
        self.post(about(order, EntryKind::ExtRefund, Some(&lot))(
            Book::WalletTokens,
            Book::TokenIssue,
            &asset,
            part,
        ));
        self.post(about(order, EntryKind::ExtRefund, Some(&lot))(
            Book::TokenLiability,
            Book::WechatClearing,
            &Asset::Cny,
            worth,
        ));
        self.ops.push(RowOp::Lot(lot));
        self.put_wallet(wallet);
        Ok(worth)
    }

    pub(super) fn post_fee(&mut self, bill_row: &str, amount: NanoCny) -> Result<Reply, Refusal> {
        self.staff()?;
        text("bill_row", bill_row)?;
        self.keyed_as(&format!("fee:{bill_row}"))?;
        let (debit, credit) = if amount.is_negative() {
            (Book::WechatClearing, Book::WechatFee)
        } else {
            (Book::WechatFee, Book::WechatClearing)
        };
        self.post(Posting {
            kind: EntryKind::Fee,
            debit,
            credit,
            asset: &Asset::Cny,
            amount: amount.get().checked_abs().ok_or(Refusal::OutOfRange)?,
            account: None,
            lot: None,
            hold: None,
            order: None,
        });
        Ok(Reply::Done)
    }

    /// What WeChat Pay no longer refunds (a payment older than a year, or refunded fifty times), paid back by a person.
    pub(super) fn manual_payout(&mut self, paid: &ManualPayout) -> Result<Reply, Refusal> {
        self.two_people()?;
        name("ticket", &paid.ticket)?;
        self.keyed_as(&format!("payout:{}", paid.ticket))?;
        text("evidence", &paid.evidence)?;
        paid.amount.at_least_one().map_err(|_| Refusal::NotPositive)?;
        let account = self.rows.account(paid.account).ok_or(Refusal::UnknownAccount(paid.account))?;
        if let Some(blocked) = self.refund_block(account) {
            return Err(blocked);
        }
        let mut order = self.find_order(paid.order)?;
        if order.account != paid.account || order.kind.asset() != paid.asset {
            return Err(Refusal::UnknownOrder(paid.order));
        }
        let mut wallet = self.rows.wallet(paid.account, &paid.asset);
        let lots = self.rows.lots_of(paid.account, &paid.asset);
        let open = out_of_channel(lots, wallet.held, self.command.at);
        let open = open.into_iter().find(|lot| lot.order == paid.order).ok_or_else(|| {
            Refusal::NothingRefundable(
                "of this payment nothing is left that WeChat Pay would not refund".to_owned(),
            )
        })?;
        if open.cap == Fen::ZERO {
            return Err(all_withheld());
        }
        if paid.amount > open.cap {
            return Err(Refusal::RefundTooMuch { requested: paid.amount, refundable: open.cap });
        }
        let lot = self.rows.lots.get(&open.lot).ok_or(Refusal::OutOfRange)?.clone();
        let units = units_for(&open, lot.class, paid.amount.get());
        let lot = Lot {
            rem: lot.rem - units,
            refunded: lot.refunded + units,
            refunded_fen: lot.refunded_fen.plus(paid.amount)?,
            ..lot
        };
        wallet.posted -= units;
        let cash = NanoCny::from(paid.amount).get();
        if lot.class == LotClass::Tokens {
            self.post(about(&order, EntryKind::ManualPayout, Some(&lot))(
                Book::WalletTokens,
                Book::TokenIssue,
                &paid.asset,
                units,
            ));
            self.post(about(&order, EntryKind::ManualPayout, Some(&lot))(
                Book::TokenLiability,
                Book::Payout,
                &Asset::Cny,
                cash,
            ));
        } else {
            self.post(about(&order, EntryKind::ManualPayout, Some(&lot))(
                book_of(lot.class),
                Book::Payout,
                &Asset::Cny,
                cash,
            ));
            self.align_bonus(&lot, &mut wallet)?;
        }
        self.ops.push(RowOp::Lot(lot));
        self.put_wallet(wallet);
        self.paid_back(&mut order, paid.amount, "paid_out", "operator", &paid.evidence)?;
        let order = self.put_order(order);
        Ok(Reply::Order { order: Box::new(order), step: super::OrderStep::Moved })
    }
}
