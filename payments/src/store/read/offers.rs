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

    /// Every payment that named this order and was put aside, whatever became of it.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn suspense_of(&self, order: OrderId) -> Result<Vec<SuspensePayment>, SubmitError> {
        // Few payments are ever put aside: all of them are looked at.
        let query = format!("{} ORDER BY transaction_id", select(&SUSPENSE));
        let all = self.read(move |db| db.many(&query, &[], payment)).await?;
        Ok(all.into_iter().filter(|payment| payment.order == order).collect())
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

    /// The page of [`Store::lots_due`] behind this lot.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn lots_due_after(&self, now: Timestamp, last: &Lot) -> Result<Vec<Lot>, SubmitError> {
        let due = "rem > 0 AND expires_at IS NOT NULL AND expires_at <= ?1 AND class IN ('promo', 'bonus')";
        let query = format!(
            "{} WHERE {due} AND (expires_at, id) > (?2, ?3) ORDER BY expires_at, id LIMIT {PAGE}",
            select(&LOT)
        );
        let params = [now.into(), last.expires_at.into(), last.id.as_str().into()];
        self.read(move |db| db.many(&query, &params, lot)).await
    }

    /// Bonuses of which more is left, or was used, than their payment earns: each with its payment. Those that open calls
    /// keep so wait among them.
    ///
    /// # Errors
    /// See [`Store::account`].
    pub async fn bonuses_of_refunded(&self) -> Result<Vec<(Lot, Lot)>, SubmitError> {
        self.read(move |db| {
            // Both sides are shares of a whole: equal ones are equal as doubles too, and their products would not fit a
            // BIGINT.
            let share = |part: &str, whole: &str| format!("CAST({part} AS DOUBLE PRECISION) / {whole}");
            let surplus = format!(
                "(bonus.rem > 0 AND {} > {}) OR (bonus.consumed > 0 AND {} > {})",
                share("bonus.rem + bonus.consumed", "bonus.orig"),
                share("paid.paid_fen - paid.refunded_fen", "paid.paid_fen"),
                share("bonus.consumed", "bonus.orig"),
                share("paid.paid_fen - paid.refunded_fen + paid.refunding / 10000000", "paid.paid_fen"),
            );
            let pairs = format!(
                "SELECT bonus.id, paid.id FROM lot AS paid JOIN lot AS bonus ON bonus.id = 'bonus:' || substr(paid.id, 5)
                 WHERE paid.class = 'paid' AND paid.refunded_fen > 0 AND bonus.account = paid.account AND ({surplus})
                 ORDER BY bonus.id LIMIT {PAGE}"
            );
            let pairs = db.many(&pairs, &[], |cells| Ok((cells.text()?, cells.text()?)))?;
            let by_id = format!("{} WHERE id = ?1", select(&LOT));
            let mut found = Vec::with_capacity(pairs.len());
            for (bonus, paid) in pairs {
                let bonus = db.one(&by_id, &[bonus.into()], lot)?;
                let paid = db.one(&by_id, &[paid.into()], lot)?;
                found.extend(bonus.zip(paid));
            }
            Ok(found)
        })
        .await
    }
}
