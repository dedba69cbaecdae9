//! Accounts and their keys.

use units::{AccountId, KeyId, Livemode, NanoCny};

use super::{Draft, Refusal, Reply};
use crate::ledger::{Account, AccountRole, ApiKey, RowOp};

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
        let account = Account {
            id,
            livemode,
            name: name.to_owned(),
            role,
            stopped: false,
            stop_reason: None,
            flag: None,
            debt: NanoCny::ZERO,
            closed_at: None,
            created_at,
        };
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
}
