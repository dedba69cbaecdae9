//! Packages, credit codes, what ends, and what waits for a person.

use units::{OrderId, Timestamp};

use super::{PAGE, Unboxed, nothing_to_read, reader, select};
use crate::{
    ledger::{CreditCode, Lot, Package, RowOp, SuspensePayment},
    store::{
        Store, SubmitError,
        tables::{CREDIT_CODE, LOT, PACKAGE, SUSPENSE},
        value::{Broken, Cells},
    },
};

reader!(code, CREDIT_CODE, Code, CreditCode);
reader!(package, PACKAGE, Package, Package);
reader!(payment, SUSPENSE, Suspense, SuspensePayment);
reader!(lot, LOT, Lot, Lot);

impl Store {
    /// The credit code with this digest.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn credit_code(&self, digest: String) -> Result<Option<CreditCode>, SubmitError> {
        let query = format!("{} WHERE digest = ?1", select(&CREDIT_CODE));
        self.read(move |db| db.one(&query, &[digest.into()], code)).await
    }

    /// A campaign's credit codes.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn credit_codes(&self, campaign: String) -> Result<Vec<CreditCode>, SubmitError> {
        let query = format!("{} WHERE campaign = ?1 ORDER BY digest LIMIT {PAGE}", select(&CREDIT_CODE));
        self.read(move |db| db.many(&query, &[campaign.into()], code)).await
    }

    /// The packages that are sold now.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn packages_on_sale(&self) -> Result<Vec<Package>, SubmitError> {
        let query = format!("{} WHERE retired_at IS NULL ORDER BY package, version", select(&PACKAGE));
        self.read(move |db| db.many(&query, &[], package)).await
    }

    /// Every version of a package, oldest first.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn package_versions(&self, id: String) -> Result<Vec<Package>, SubmitError> {
        let query = format!("{} WHERE package = ?1 ORDER BY version", select(&PACKAGE));
        self.read(move |db| db.many(&query, &[id.into()], package)).await
    }

    /// Payments that wait for a person.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn open_suspense(&self) -> Result<Vec<SuspensePayment>, SubmitError> {
        let query = format!("{} WHERE state = 'open' ORDER BY transaction_id", select(&SUSPENSE));
        self.read(move |db| db.many(&query, &[], payment)).await
    }

    /// The open payments that named this order.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn open_suspense_of(&self, order: OrderId) -> Result<Vec<SuspensePayment>, SubmitError> {
        let open = self.open_suspense().await?;
        Ok(open.into_iter().filter(|payment| payment.order == order).collect())
    }

    /// Promotions whose time is over and of which something is left, the longest overdue first.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn lots_due(&self, now: Timestamp) -> Result<Vec<Lot>, SubmitError> {
        let due = "rem > 0 AND expires_at IS NOT NULL AND expires_at <= ?1 AND class IN ('promo', 'bonus')";
        let query = format!("{} WHERE {due} ORDER BY expires_at, id LIMIT {PAGE}", select(&LOT));
        self.read(move |db| db.many(&query, &[now.into()], lot)).await
    }
}
