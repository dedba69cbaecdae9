//! Money that nobody paid: promotions, credit codes, and their end.

use units::{AccountId, NanoCny, Timestamp};

use super::{
    Draft, Lot, Posting, Refusal, Reply, book_of,
    check::{invalid, name},
    new_lot,
    order::WALLET_CAP,
    positive,
};
use crate::ledger::{Asset, Book, CreditCode, EntryKind, LotClass, NewCode, RowOp, code::campaign_lot};

/// A code's hint has at most this many characters: it must not give the code away.
const HINT_MAX: usize = 4;

impl Draft<'_> {
    pub(super) fn grant_promo(
        &mut self,
        account: AccountId,
        amount: NanoCny,
        expires_at: Option<Timestamp>,
    ) -> Result<Reply, Refusal> {
        self.active_account(account)?;
        let amount = positive(amount)?;
        let id = format!("promo:{}", self.command.key);
        let mut lot = new_lot(id, account, Asset::Cny, LotClass::Promo, amount, self.command.at);
        lot.expires_at = expires_at;
        self.give(lot)?;
        Ok(Reply::Done)
    }

    fn give(&mut self, lot: Lot) -> Result<(), Refusal> {
        let mut wallet = self.rows.wallet(lot.account, &Asset::Cny);
        wallet.posted = wallet.posted.checked_add(lot.orig).ok_or(Refusal::OutOfRange)?;
        self.post(Posting {
            kind: EntryKind::PromoGrant,
            debit: Book::PromoCost,
            credit: book_of(lot.class),
            asset: &Asset::Cny,
            amount: lot.orig,
            account: Some(lot.account),
            lot: Some(&lot.id),
            hold: None,
            order: None,
        });
        self.ops.push(RowOp::Lot(lot));
        self.put_wallet(wallet);
        Ok(())
    }

    pub(super) fn create_code(&mut self, new: &NewCode) -> Result<Reply, Refusal> {
        self.staff()?;
        let at = self.command.at;
        let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        if new.digest.len() != 64 || !new.digest.chars().all(hex) {
            return Err(invalid("digest", "it is no SHA-256 in lower-case hex"));
        }
        if new.hint.chars().count() > HINT_MAX {
            return Err(invalid("hint", &format!("it is longer than {HINT_MAX} characters")));
        }
        name("campaign", &new.campaign)?;
        positive(new.amount)?;
        if new.amount > WALLET_CAP {
            return Err(Refusal::WalletCap { cap: WALLET_CAP, balance: new.amount });
        }
        if new.uses <= 0 {
            return Err(invalid("uses", "it must be at least 1"));
        }
        if new.valid_until.is_some_and(|until| until <= at) {
            return Err(invalid("valid_until", "it is over already"));
        }
        if new.lifetime_s.is_some_and(|seconds| seconds <= 0 || lot_end(at, seconds).is_none()) {
            return Err(invalid("lifetime_s", "it must be positive and end some day"));
        }
        if let Some(known) = self.rows.code(&new.digest) {
            return if known.terms == *new { Ok(Reply::Already) } else { Err(Refusal::CodeExists) };
        }
        self.ops.push(RowOp::Code(CreditCode {
            terms: new.clone(),
            used: 0,
            created_at: at,
            voided_at: None,
        }));
        Ok(Reply::Done)
    }

    pub(super) fn redeem_code(
        &mut self,
        account: AccountId,
        digest: &str,
        campaign: &str,
    ) -> Result<Reply, Refusal> {
        let livemode = self.active_account(account)?.livemode;
        let at = self.command.at;
        let code = self.rows.code(digest).filter(|code| code.terms.campaign == campaign);
        let code = code.ok_or(Refusal::UnknownCode)?.clone();
        let terms = &code.terms;
        let id = campaign_lot(campaign, account);
        if terms.livemode != livemode {
            return Err(Refusal::LivemodeMismatch);
        }
        if self.rows.lots.contains_key(&id) {
            return Err(Refusal::CodeRedeemed { campaign: campaign.to_owned() });
        }
        if code.voided_at.is_some() {
            return Err(Refusal::CodeVoid);
        }
        if let Some(until) = terms.valid_until.filter(|until| *until <= at) {
            return Err(Refusal::CodeExpired { until });
        }
        if code.used >= terms.uses {
            return Err(Refusal::CodeUsedUp);
        }
        let balance = NanoCny::new(self.rows.wallet(account, &Asset::Cny).posted).plus(terms.amount)?;
        if balance > WALLET_CAP {
            return Err(Refusal::WalletCap { cap: WALLET_CAP, balance });
        }
        let mut lot = new_lot(id, account, Asset::Cny, LotClass::Promo, terms.amount.get(), at);
        lot.expires_at = match terms.lifetime_s {
            Some(seconds) => Some(lot_end(at, seconds).ok_or(Refusal::OutOfRange)?),
            None => None,
        };
        self.give(lot.clone())?;
        self.ops.push(RowOp::Code(CreditCode { used: code.used + 1, ..code }));
        Ok(Reply::Lot(Box::new(lot)))
    }

    pub(super) fn void_code(&mut self, digest: &str) -> Result<Reply, Refusal> {
        self.staff()?;
        let code = self.rows.code(digest).ok_or(Refusal::UnknownCode)?;
        if code.voided_at.is_some() {
            return Ok(Reply::Already);
        }
        self.ops.push(RowOp::Code(CreditCode { voided_at: Some(self.command.at), ..code.clone() }));
        Ok(Reply::Done)
    }

    /// Takes what is left of a promotion whose time is over, except for what open holds need: that ends later, or is
    /// used.
    pub(super) fn expire_lot(
        &mut self,
        account: AccountId,
        asset: &Asset,
        id: &str,
        expired: i64,
    ) -> Result<Reply, Refusal> {
        self.staff()?;
        let own = |lot: &&Lot| lot.account == account && lot.asset == *asset;
        let lot =
            self.rows.lots.get(id).filter(own).ok_or_else(|| Refusal::UnknownLot(id.to_owned()))?.clone();
        let untied = matches!(lot.class, LotClass::Promo | LotClass::Bonus) && lot.order.is_none();
        let ends = lot.expires_at.filter(|_| untied);
        let ends = ends.ok_or_else(|| invalid("lot", "it does not end"))?;
        if self.command.at < ends {
            return Err(Refusal::NotDue { lot: id.to_owned(), at: ends });
        }
        let mut wallet = self.rows.wallet(account, asset);
        let part = lot.rem.min(wallet.available());
        if lot.expired != expired || part == 0 {
            return Ok(Reply::Lot(Box::new(lot)));
        }
        self.post(Posting {
            kind: EntryKind::Expire,
            debit: book_of(lot.class),
            credit: Book::PromoCost,
            asset,
            amount: part,
            account: Some(account),
            lot: Some(id),
            hold: None,
            order: None,
        });
        wallet.posted -= part;
        let lot = Lot { rem: lot.rem - part, expired: lot.expired + part, ..lot };
        self.ops.push(RowOp::Lot(lot.clone()));
        self.put_wallet(wallet);
        Ok(Reply::Lot(Box::new(lot)))
    }
}

fn lot_end(at: Timestamp, seconds: i64) -> Option<Timestamp> {
    seconds.checked_mul(1_000_000).and_then(|micros| at.0.checked_add(micros)).map(Timestamp)
}
