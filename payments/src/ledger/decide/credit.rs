//! What a payment brings: yuan, tokens, or a sale.

use units::{NanoCny, Timestamp};

use super::{Draft, Posting, Refusal, book_of, new_lot};
use crate::ledger::{
    Asset, Book, EntryKind, Lot, LotClass, Order, OrderKind, RowOp, TokenTerms,
    order::{bonus_lot, paid_lot},
};

impl Draft<'_> {
    /// Credits an order's payment out of `from`: WeChat Pay's book, or suspense where a person decided so.
    pub(super) fn credit(&mut self, order: &mut Order, from: Book) -> Result<(), Refusal> {
        let at = order.paid_at.unwrap_or(self.command.at);
        match order.kind.clone() {
            OrderKind::Wallet => self.credit_yuan(order, from, at),
            OrderKind::Tokens { tokens, terms, .. } => self.credit_tokens(order, from, at, tokens, terms),
            OrderKind::Package { offer } => {
                let terms = offer.terms(self.command.at);
                self.credit_tokens(order, from, at, offer.tokens, terms)
            }
            OrderKind::Goods { .. } => {
                self.post_payment(order, from, Book::Sales, None);
                Ok(())
            }
        }
    }

    fn credit_yuan(&mut self, order: &mut Order, from: Book, at: Timestamp) -> Result<(), Refusal> {
        let paid = NanoCny::from(order.amount).get();
        let mut wallet = self.rows.wallet(order.account, &Asset::Cny);
        wallet.posted = wallet.posted.checked_add(paid).ok_or(Refusal::OutOfRange)?;
        let mut lot = self.payment_lot(order, Asset::Cny, LotClass::Paid, paid, at);
        self.post_payment(order, from, book_of(lot.class), Some(&lot));
        self.note_payer(order);
        self.pay_grant_back(order, &mut lot, &mut wallet)?;
        self.ops.push(RowOp::Lot(lot));
        let given = order.bonus.get();
        if given > 0 {
            wallet.posted = wallet.posted.checked_add(given).ok_or(Refusal::OutOfRange)?;
            let mut bonus =
                new_lot(bonus_lot(order.id), order.account, Asset::Cny, LotClass::Bonus, given, at);
            bonus.order = Some(order.id);
            self.post(Posting {
                kind: EntryKind::BonusGrant,
                debit: Book::PromoCost,
                credit: book_of(bonus.class),
                asset: &Asset::Cny,
                amount: given,
                account: Some(order.account),
                lot: Some(&bonus.id),
                hold: None,
                order: Some(order.id),
            });
            self.ops.push(RowOp::Lot(bonus));
        }
        self.put_wallet(wallet);
        Ok(())
    }

    fn credit_tokens(
        &mut self,
        order: &mut Order,
        from: Book,
        at: Timestamp,
        tokens: i64,
        terms: TokenTerms,
    ) -> Result<(), Refusal> {
        self.terms_agree(&terms)?;
        let asset = terms.asset();
        let milli = tokens.checked_mul(1_000).ok_or(Refusal::OutOfRange)?;
        let mut wallet = self.rows.wallet(order.account, &asset);
        wallet.posted = wallet.posted.checked_add(milli).ok_or(Refusal::OutOfRange)?;
        let lot = self.payment_lot(order, asset.clone(), LotClass::Tokens, milli, at);
        self.post_payment(order, from, Book::TokenLiability, Some(&lot));
        self.note_payer(order);
        self.post(Posting {
            kind: EntryKind::TokenGrant,
            debit: Book::TokenIssue,
            credit: book_of(lot.class),
            asset: &asset,
            amount: milli,
            account: Some(order.account),
            lot: Some(&lot.id),
            hold: None,
            order: Some(order.id),
        });
        if self.rows.terms(&terms.id).is_none() {
            self.ops.push(RowOp::Terms(terms));
        }
        self.ops.push(RowOp::Lot(lot));
        self.put_wallet(wallet);
        Ok(())
    }

    fn payment_lot(
        &self,
        order: &mut Order,
        asset: Asset,
        class: LotClass,
        units: i64,
        at: Timestamp,
    ) -> Lot {
        let mut lot = new_lot(paid_lot(order.id), order.account, asset, class, units, at);
        lot.order = Some(order.id);
        lot.paid_fen = order.amount;
        order.lot = Some(lot.id.clone());
        lot
    }

    fn post_payment(&mut self, order: &Order, from: Book, to: Book, lot: Option<&Lot>) {
        self.post(Posting {
            kind: EntryKind::PayCredit,
            debit: from,
            credit: to,
            asset: &Asset::Cny,
            amount: NanoCny::from(order.amount).get(),
            account: Some(order.account),
            lot: lot.map(|lot| lot.id.as_str()),
            hold: None,
            order: Some(order.id),
        });
    }
}
