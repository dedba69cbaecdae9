//! Accounts and their keys.

use std::sync::Arc;

use axum::{
    extract::{Query, State},
    response::Response,
};
use bytes::Bytes;
use http::StatusCode;
use payments::{
    ledger::{Account, AccountRole, Actor, ApiKey, Body, Command, Reply, Role},
    store::Store,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use units::{AccountId, Clock, KeyId, Livemode};

use super::Admin;
use crate::{
    cashier::{PayError, reply},
    keys::{digest, fresh_secret},
};

/// The shortest secret that may be brought along: less can be guessed.
const OWN_SECRET_CHARS_MIN: usize = 20;
/// Longer names help nobody.
const NAME_CHARS_MAX: usize = 100;

/// A new account.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewAccount {
    /// What people call it.
    pub name: String,
    /// Whether its money is real.
    pub livemode: Option<Livemode>,
    /// True for an account of our own, which is never refused for money.
    #[serde(default)]
    pub house: bool,
}

/// A new key.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// Whose.
    pub account: AccountId,
    /// What people call it.
    pub name: Option<String>,
    /// A secret that exists already, to be taken over from another gateway.
    pub secret: Option<String>,
    /// Requests per minute.
    pub requests_per_minute: Option<u32>,
    /// Tokens per minute.
    pub tokens_per_minute: Option<u64>,
    /// Calls in flight at once.
    pub concurrency_max: Option<u32>,
}

impl std::fmt::Debug for NewKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewKey")
            .field("account", &self.account)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A key as it is shown, once.
#[derive(Clone, Serialize)]
pub struct CreatedKey {
    /// Its id.
    pub id: KeyId,
    /// Whose.
    pub account: AccountId,
    /// The key itself.
    pub key: String,
    /// What people call it.
    pub name: String,
    /// Whether its account's money is real.
    pub livemode: Livemode,
}

impl std::fmt::Debug for CreatedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreatedKey").field("id", &self.id).finish_non_exhaustive()
    }
}

pub(super) fn operator() -> Actor {
    Actor { id: "admin-token".to_owned(), role: Role::Operator }
}

/// Opens an account.
///
/// # Errors
/// [`PayError`] naming the field.
pub async fn create_account(
    store: &Store,
    clock: &dyn Clock,
    new: &NewAccount,
    default: Livemode,
) -> Result<Account, PayError> {
    let name = new.name.trim();
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX {
        return Err(PayError::invalid("name", "name has 1 to 100 characters"));
    }
    let at = clock.now();
    let id = AccountId::new(at);
    let role = if new.house { AccountRole::House } else { AccountRole::Customer };
    let livemode = new.livemode.unwrap_or(default);
    let body = Body::OpenAccount { id, livemode, name: name.to_owned(), role };
    let command =
        Command { key: format!("account:{id}"), actor: operator(), reason: None, approver: None, at, body };
    match store.submit(command).await? {
        Reply::Account(account) => Ok(*account),
        _ => Err(PayError::unavailable("the account was not opened")),
    }
}

/// Gives an account a key; the secret is in the answer and nowhere else.
///
/// # Errors
/// [`PayError`] naming the field.
pub async fn create_key(
    store: &Store,
    key_secret: &[u8],
    clock: &dyn Clock,
    new: NewKey,
) -> Result<CreatedKey, PayError> {
    let account = store.account(new.account).await?;
    let unknown = || PayError::not_found("account", format!("No account {}", new.account));
    let livemode = account.ok_or_else(unknown)?.livemode;
    let secret = match new.secret {
        Some(own) => {
            let own = own.trim().to_owned();
            if own.len() < OWN_SECRET_CHARS_MIN || !own.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(PayError::invalid("secret", "a secret has at least 20 visible ASCII characters"));
            }
            own
        }
        None => fresh_secret(livemode).map_err(|error| PayError::unavailable(error.to_string()))?,
    };
    let name = new.name.unwrap_or_else(|| "default".to_owned());
    if name.trim().is_empty() || name.chars().count() > NAME_CHARS_MAX {
        return Err(PayError::invalid("name", "name has 1 to 100 characters"));
    }
    let at = clock.now();
    let id = KeyId::new(at);
    let digest = base16ct::lower::encode_string(&digest(key_secret, &secret).0);
    if store.key_by_digest(digest.clone()).await?.is_some() {
        return Err(PayError::conflict("exists_already", "This secret is a key already."));
    }
    let row = ApiKey {
        id,
        account: new.account,
        digest,
        prefix: secret.chars().take(16).collect(),
        name: name.clone(),
        livemode,
        requests_per_minute: new.requests_per_minute,
        tokens_per_minute: new.tokens_per_minute,
        concurrency_max: new.concurrency_max,
        created_at: at,
        revoked_at: None,
        expires_at: None,
        grant: None,
    };
    let body = Body::AddKey(row);
    let command =
        Command { key: format!("key:{id}"), actor: operator(), reason: None, approver: None, at, body };
    store.submit(command).await?;
    Ok(CreatedKey { id, account: new.account, key: secret, name, livemode })
}

fn parse<T: for<'de> Deserialize<'de>>(body: &[u8]) -> Result<T, PayError> {
    serde_json::from_slice(body)
        .map_err(|error| PayError::body(format!("The body is not as expected: {error}")))
}

/// `POST /admin/v1/accounts`
pub(super) async fn post_account(State(admin): State<Arc<Admin>>, body: Bytes) -> Result<Response, PayError> {
    let new: NewAccount = parse(&body)?;
    let account = create_account(&admin.store, &*admin.clock, &new, Livemode::Live).await?;
    Ok(reply(StatusCode::CREATED, &account_view(&account)))
}

/// Which page of a list.
#[derive(Debug, Deserialize)]
pub(super) struct Page {
    /// The last id of the page before.
    after: Option<AccountId>,
}

/// `GET /admin/v1/accounts`, oldest first; `?after=<id>` for the page behind that account.
pub(super) async fn list(
    State(admin): State<Arc<Admin>>,
    Query(page): Query<Page>,
) -> Result<Response, PayError> {
    let accounts = admin.store.accounts(page.after).await?;
    let data: Vec<Value> = accounts.iter().map(account_view).collect();
    let last = accounts.last().map(|account| account.id.to_string());
    Ok(reply(StatusCode::OK, &json!({"object": "list", "data": data, "last_id": last})))
}

/// `POST /admin/v1/keys`
pub(super) async fn post_key(State(admin): State<Arc<Admin>>, body: Bytes) -> Result<Response, PayError> {
    let new: NewKey = parse(&body)?;
    let key = create_key(&admin.store, &admin.key_secret, &*admin.clock, new).await?;
    let shown = serde_json::to_value(&key).map_err(|error| PayError::unavailable(error.to_string()))?;
    Ok(reply(StatusCode::CREATED, &shown))
}

/// An account as operators see it.
pub fn account_view(account: &Account) -> Value {
    json!({
        "id": account.id.to_string(),
        "name": account.name,
        "livemode": account.livemode.as_str(),
        "role": account.role.as_str(),
        "stopped": account.stopped,
        "stop_reason": account.stop_reason,
        "flag": account.flag,
        "debt": account.debt.to_string(),
        "closed_at": account.closed_at.map(|at| at.0),
    })
}
