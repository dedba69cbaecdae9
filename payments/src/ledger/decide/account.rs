//! Accounts, keys and money that nobody paid.

use units::{AccountId, KeyId, Livemode, NanoCny, Timestamp};

use super::{Draft, Posting, Refusal, Reply, book_of, new_lot, positive};
use crate::ledger::{Account, AccountRole, ApiKey, Asset, Book, EntryKind, LotClass, RowOp};

impl Draft<'_> {
    pub(super) fn open_account(
        &mut self,
        id: AccountId,
        livemode: Livemode,
        name: &str,
        role: AccountRole,
    ) -> Result<Reply, Refusal> {
        if self.rows.account(id).is_some() {
            return Err(Refusal::AccountExists(id));
        }
        let created_at = self.command.at;
        let account = Account { id, livemode, name: name.to_owned(), role, stopped: false, created_at };
        self.ops.push(RowOp::Account(account.clone()));
        Ok(Reply::Account(Box::new(account)))
    }

    pub(super) fn add_key(&mut self, key: &ApiKey) -> Result<Reply, Refusal> {
        let account = self.active_account(key.account)?;
        if account.livemode != key.livemode {
            return Err(Refusal::LivemodeMismatch);
        }
        // Also under another id: two keys of one digest could not be told apart.
        if self.rows.keys.values().any(|known| known.id == key.id || known.digest == key.digest) {
            return Err(Refusal::KeyExists);
        }
        self.fence_temporary_key(key)?;
        self.ops.push(RowOp::Key(key.clone()));
        Ok(Reply::Done)
    }

    pub(super) fn revoke_key(&mut self, account: AccountId, id: KeyId) -> Result<Reply, Refusal> {
        let key =
            self.rows.keys.get(&id).filter(|key| key.account == account).ok_or(Refusal::UnknownKey(id))?;
        if key.revoked_at.is_some() {
            return Ok(Reply::Already);
        }
        self.ops.push(RowOp::Key(ApiKey { revoked_at: Some(self.command.at), ..key.clone() }));
        Ok(Reply::Done)
    }

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
        let mut wallet = self.rows.wallet(account, &Asset::Cny);
        wallet.posted = wallet.posted.checked_add(amount).ok_or(Refusal::OutOfRange)?;
        self.post(Posting {
            kind: EntryKind::PromoGrant,
            debit: Book::PromoCost,
            credit: book_of(lot.class),
            asset: &Asset::Cny,
            amount,
            account: Some(account),
            lot: Some(&lot.id),
            hold: None,
            order: None,
        });
        self.ops.push(RowOp::Lot(lot));
        self.put_wallet(wallet);
        Ok(Reply::Done)
    }
}
