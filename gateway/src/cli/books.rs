//! Accounts, keys and the books, from the command line.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use reqwest::Method;
use serde_json::{Value, json};
use units::{AccountId, Livemode};

use super::{
    Exit, Failed, check,
    desk::{Desk, ask},
    output::Format,
};
use crate::{
    admin::{self, NewAccount, NewKey},
    settings::Settings,
};

/// The livemode of new accounts: what the configured models cost.
pub(super) fn default_livemode(settings: &Settings) -> Livemode {
    let all_demo = settings.table.models.values().all(|model| model.livemode == Livemode::Demo);
    if all_demo { Livemode::Demo } else { Livemode::Live }
}

/// `accounts create`
pub(super) async fn create_account(
    config: &Path,
    name: String,
    livemode: Option<Livemode>,
    house: bool,
    format: Format,
) -> Result<Exit, Failed> {
    let settings = check::load(config)?;
    let livemode = livemode.unwrap_or_else(|| default_livemode(&settings));
    let desk = Desk::open(&settings).await?;
    let made = match &desk {
        Desk::Local { store, clock, .. } => {
            let new = NewAccount { name, livemode: Some(livemode), house };
            let made = admin::create_account(store, &**clock, &new, livemode).await;
            made.map(|account| admin::account_view(&account)).map_err(Failed::from)
        }
        Desk::Remote { client, url, token } => {
            let body = json!({"name": name, "livemode": livemode.as_str(), "house": house});
            ask(client, token, Method::POST, format!("{url}/admin/v1/accounts"), Some(&body)).await
        }
    };
    desk.close().await;
    format.show(&made?)?;
    Ok(Exit::Ok)
}

/// What `keys create` was told.
pub(super) struct KeyWish {
    pub(super) account: AccountId,
    pub(super) name: Option<String>,
    pub(super) secret_file: Option<PathBuf>,
    pub(super) requests_per_minute: Option<u32>,
    pub(super) tokens_per_minute: Option<u64>,
    pub(super) concurrency_max: Option<u32>,
}

/// `keys create`
pub(super) async fn create_key(config: &Path, wish: KeyWish, format: Format) -> Result<Exit, Failed> {
    let settings = check::load(config)?;
    let secret = wish.secret_file.as_deref().map(read_secret).transpose()?;
    let desk = Desk::open(&settings).await?;
    let made = match &desk {
        Desk::Local { store, key_secret, clock, .. } => {
            let new = NewKey {
                account: wish.account,
                name: wish.name,
                secret,
                requests_per_minute: wish.requests_per_minute,
                tokens_per_minute: wish.tokens_per_minute,
                concurrency_max: wish.concurrency_max,
            };
            let key = admin::create_key(store, key_secret.as_bytes(), &**clock, new).await;
            match key {
                Ok(key) => serde_json::to_value(&key).map_err(Failed::from),
                Err(error) => Err(error.into()),
            }
        }
        Desk::Remote { client, url, token } => {
            let body = json!({
                "account": wish.account,
                "name": wish.name,
                "secret": secret,
                "requests_per_minute": wish.requests_per_minute,
                "tokens_per_minute": wish.tokens_per_minute,
                "concurrency_max": wish.concurrency_max,
            });
            ask(client, token, Method::POST, format!("{url}/admin/v1/keys"), Some(&body)).await
        }
    };
    desk.close().await;
    format.show(&made?)?;
    Ok(Exit::Ok)
}

fn read_secret(path: &Path) -> Result<String, Failed> {
    let text = if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        text
    } else {
        std::fs::read_to_string(path).map_err(|error| Failed {
            exit: Exit::NotFound,
            error: anyhow::anyhow!("{}: {error}", path.display()),
        })?
    };
    Ok(text.trim().to_owned())
}

/// `ledger trial-balance`
pub(super) async fn trial_balance(config: &Path, format: Format) -> Result<Exit, Failed> {
    let settings = check::load(config)?;
    let desk = Desk::open(&settings).await?;
    let found: Result<Value, Failed> = match &desk {
        Desk::Local { store, .. } => admin::trial_balance(store).await.map_err(Failed::from),
        Desk::Remote { client, url, token } => {
            ask(client, token, Method::GET, format!("{url}/admin/v1/ledger/trial-balance"), None).await
        }
    };
    desk.close().await;
    let found = found?;
    format.show(&found)?;
    Ok(if found["balanced"] == true { Exit::Ok } else { Exit::Differences })
}
