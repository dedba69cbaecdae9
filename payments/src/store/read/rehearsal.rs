//! What would a command lead to, if it were asked now?

use crate::{
    ledger::{Command, Decision, Needs, Refusal, Rows, decide},
    store::{
        Store, SubmitError,
        fetch::{self, Fetch},
        held::{Held, sums_of_one},
        query::{Query, ReadError},
    },
};

/// The rows a decision was made on, and the decision.
pub(crate) type Rehearsed = (Rows, Decision);

impl Store {
    /// Decides a command as it would be decided now, and carries nothing out: by the same rows and the same rules, so that what
    /// is shown to somebody is what they get, unless something changes in between.
    ///
    /// # Errors
    /// [`SubmitError::Refused`] as the command would be refused; otherwise see [`Store::account`].
    pub(crate) async fn rehearse(&self, command: Command) -> Result<Rehearsed, SubmitError> {
        let decided: Result<Rehearsed, Refusal> = self
            .read(move |db| {
                let rows = rows_for(db, &command)?;
                Ok(decide(&rows, &command).map(|decision| (rows, decision)))
            })
            .await?;
        Ok(decided?)
    }
}

fn rows_for(db: &mut dyn Query, command: &Command) -> Result<Rows, ReadError> {
    let (mut needs, mut rows) = (Needs::default(), Rows::default());
    command.needs(&mut needs);
    let fetches = fetch::plan(&needs, &rows);
    let mut held = Held::default();
    for account in fetch::whose_balances(&fetches) {
        for row in db.rows(&sums_of_one(), &[account.into()])? {
            held.add(&row)?;
        }
    }
    take_in(db, &fetches, &held, &mut rows)?;
    let further = fetch::plan_further(&needs, &rows);
    take_in(db, &further, &held, &mut rows)?;
    rows.looked_up(&needs);
    Ok(rows)
}

fn take_in(db: &mut dyn Query, fetches: &[Fetch], held: &Held, rows: &mut Rows) -> Result<(), ReadError> {
    for fetch in fetches {
        for key in &fetch.keys {
            for row in db.rows(&fetch.select_one(), key)? {
                rows.put(&held.filled(fetch.table.read(&row)?)?);
            }
        }
    }
    Ok(())
}
