//! By hand: what may an operator change that no customer can?
//!
//! Corrections of balances and charges, the standing of accounts, decisions about payments that were put aside, refunds,
//! budgets, packages and credit codes. Each is one keyed command of the ledger, which says who has to agree; who they are, whoever
//! has the administrator's token says. The same endpoints serve the running process and the command line where nothing
//! runs: there they are called in place.

mod accounts;
mod calls;
mod codes;
mod gates;
mod packages;
mod reconciliation;
mod refunds;
mod reviews;

use std::sync::Arc;

pub use self::reconciliation::ReconcileDesk;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    routing::{get, post, put},
};
use payments::{
    admission::Admission,
    holds::Holds,
    ledger::{Actor, Asset, Body, Command, Refusal, Reply, Role},
    refund::Refunds,
    store::{Store, Submission, SubmitError},
    topup::TopUps,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use units::{AccountId, Clock, NanoCny, decimal};

use crate::{cashier::PayError, plan::Snapshots};

/// Names of people have at most this many characters.
const NAME_CHARS_MAX: usize = 100;
/// Keys have at most this many characters.
const KEY_CHARS_MAX: usize = 100;

/// What the endpoints need.
#[derive(Debug, Clone)]
pub struct HandRoom {
    /// The books.
    pub store: Store,
    /// What calls were admitted on is not taken from under them.
    pub admission: Arc<Admission>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Which models there are.
    pub snapshots: Snapshots,
    /// Told whose standing has changed, where a process serves.
    pub holds: Option<Holds>,
    /// Refunds; where nothing serves they are only queued.
    pub refunds: Refunds,
    /// Whom WeChat Pay is asked by before a payment that differs counts or goes back; nobody where nothing serves.
    pub topups: Option<TopUps>,
    /// Compares days with WeChat Pay's bills, where merchants are known.
    pub reconcile: Option<ReconcileDesk>,
}

impl HandRoom {
    /// The endpoints, without a guard.
    pub fn router(self) -> Router {
        let bills = Router::new()
            .route("/admin/v1/reconciliation/runs", post(reconciliation::run))
            .layer(DefaultBodyLimit::max(reconciliation::BODY_BYTES_MAX));
        Router::new()
            .merge(bills)
            .route("/admin/v1/reconciliation/progress", get(reconciliation::progress))
            .route("/admin/v1/reconciliation/days", get(reconciliation::days))
            .route("/admin/v1/reconciliation/days/{date}/sign-off", post(reconciliation::sign_off))
            .route("/admin/v1/reconciliation/differences/{id}/resolve", post(reconciliation::resolve))
            .route("/admin/v1/accounts/{account}/adjust", post(accounts::adjust))
            .route("/admin/v1/accounts/{account}/stop", post(accounts::stop))
            .route("/admin/v1/accounts/{account}/resume", post(accounts::resume))
            .route("/admin/v1/accounts/{account}/close", post(accounts::close))
            .route("/admin/v1/accounts/{account}/budgets", put(accounts::set_budget).get(accounts::budgets))
            .route("/admin/v1/calls/{call}", get(calls::explain))
            .route("/admin/v1/calls/{call}/correct", post(calls::correct))
            .route("/admin/v1/gates", post(gates::set).get(gates::list))
            .route("/admin/v1/refunds", post(refunds::create).get(refunds::list))
            .route("/admin/v1/refunds/preview", post(refunds::preview))
            .route("/admin/v1/refunds/{refund}", get(refunds::one))
            .route("/admin/v1/refunds/{refund}/approve", post(refunds::approve))
            .route("/admin/v1/refunds/{refund}/cancel", post(refunds::cancel))
            .route("/admin/v1/reviews", get(reviews::list))
            .route("/admin/v1/reviews/{order}", post(reviews::resolve))
            .route("/admin/v1/packages", get(packages::list))
            .route("/admin/v1/packages/{package}", put(packages::set))
            .route("/admin/v1/packages/{package}/retire", post(packages::retire))
            .route("/admin/v1/codes", post(codes::issue).get(codes::list))
            .route("/admin/v1/codes/{digest}/void", post(codes::void))
            .with_state(Arc::new(self))
    }

    fn command(&self, what: &str, by: By, body: Body) -> Result<Command, PayError> {
        by.check()?;
        Ok(Command {
            key: format!("hand:{what}:{}", by.key),
            actor: person(by.operator),
            reason: by.reason,
            approver: by.approver.map(person),
            at: self.clock.now(),
            body,
        })
    }

    /// Carries out a command; a repeat is answered as before.
    async fn submit(&self, what: &str, by: By, body: Body) -> Result<Reply, PayError> {
        Ok(self.store.submit(self.command(what, by, body)?).await?)
    }

    /// The same for one that takes `amount` from a balance: only what no call was admitted on.
    async fn submit_taking(
        &self,
        command: Command,
        account: AccountId,
        asset: Asset,
        amount: i64,
    ) -> Result<Reply, PayError> {
        if let Some(earlier) = self.store.answered(&command).await? {
            return Ok(earlier?);
        }
        // Behind everything that is queued: calls that have ended gave back what they did not use.
        self.store.load_balance(account, asset.clone()).await?;
        let slot = self.store.slot().await?;
        // From here to the queue nothing waits: whoever goes away must not leave the money taken.
        let taken = self.admission.take_up_to(account, &asset, amount).amount;
        if taken < amount && self.is_agreed(&command) {
            self.admission.give_back(account, &asset, taken);
            let refusal = Refusal::Insufficient { asset, available: taken, required: amount };
            return Err(SubmitError::Refused(refusal).into());
        }
        let submission = Submission { command, taken: vec![(account, asset, taken)], receipt: None };
        Ok(slot.send(submission).committed().await?)
    }

    /// True where two people and a reason are named: what is missing otherwise the ledger says first.
    fn is_agreed(&self, command: &Command) -> bool {
        command.reason.is_some()
            && command.approver.as_ref().is_some_and(|second| second.id != command.actor.id)
    }

    /// Whether an account may spend has changed.
    fn standing_changed(&self, account: AccountId) {
        if let Some(holds) = &self.holds {
            holds.forget(account);
        }
    }
}

/// Who does it, why, and under which key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct By {
    operator: String,
    approver: Option<String>,
    reason: Option<String>,
    key: String,
}

impl By {
    fn check(&self) -> Result<(), PayError> {
        name("operator", &self.operator)?;
        self.approver.as_deref().map_or(Ok(()), |approver| name("approver", approver))?;
        if self.approver.as_ref() == Some(&self.operator) {
            let what =
                format!("`{}` is the operator: whoever approves has to be somebody else", self.operator);
            return Err(PayError::invalid("approver", what));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if self.key.is_empty() || self.key.len() > KEY_CHARS_MAX || !self.key.chars().all(plain) {
            let what = "a key is 1 to 100 letters, digits, `-`, `_` and `.`";
            return Err(PayError::invalid("key", what));
        }
        Ok(())
    }
}

fn name(param: &'static str, name: &str) -> Result<(), PayError> {
    let length = name.chars().count();
    if name.trim().is_empty() || length > NAME_CHARS_MAX || name.chars().any(char::is_control) {
        return Err(PayError::invalid(param, format!("{param} is a name of 1 to 100 characters")));
    }
    Ok(())
}

fn person(id: String) -> Actor {
    Actor { id, role: Role::Operator }
}

/// Reads a JSON body.
fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, PayError> {
    serde_json::from_slice(body)
        .map_err(|error| PayError::body(format!("The body is not as expected: {error}")))
}

fn account_of(id: &str) -> Result<AccountId, PayError> {
    id.parse().map_err(|_| PayError::not_found("account", format!("no account {id}")))
}

/// An account that there is.
async fn known(room: &HandRoom, account: AccountId) -> Result<AccountId, PayError> {
    let found = room.store.account(account).await?;
    found.ok_or_else(|| PayError::not_found("account", format!("no account {account}")))?;
    Ok(account)
}

/// A balance: yuan where none is named.
fn asset_of(name: Option<&str>) -> Result<Asset, PayError> {
    let read = name.unwrap_or("CNY").parse();
    read.map_err(|error: payments::ledger::UnknownAsset| PayError::invalid("asset", error.to_string()))
}

/// An amount of a balance: yuan, or tokens with up to three decimals.
fn amount_of(asset: &Asset, text: &str) -> Result<i64, PayError> {
    let read = match asset {
        Asset::Cny => text.parse().map(NanoCny::get),
        Asset::Tokens(_) => decimal::parse(text, 3),
    };
    read.map_err(|error| PayError::invalid("amount", format!("amount is a decimal number as text: {error}")))
}

/// The answer where the ledger said something else than it should.
fn odd_reply(reply: &Reply) -> PayError {
    PayError::unavailable(format!("the ledger gave an unexpected answer: {reply:?}"))
}

/// A list of rows.
fn listed(rows: Vec<Value>) -> Value {
    serde_json::json!({"object": "list", "data": rows})
}
