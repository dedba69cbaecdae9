//! How much of each balance do its open holds set aside? Summed where a balance is loaded: no row says it, so that
//! opening a call writes none but the hold.

use std::collections::{BTreeMap, BTreeSet};

use units::AccountId;

use super::{
    query::{Query, ReadError},
    value::{Broken, Cells, Value},
};
use crate::ledger::{Asset, RowOp, TokenLeg, Wallet};

/// Sums over the open holds of some accounts, in each asset's unit.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// What is held of each balance.
    pub(super) sums: BTreeMap<(AccountId, Asset), i128>,
    /// Accounts with a hold whose sum of tokens is not that of its legs.
    pub(super) uneven: BTreeSet<AccountId>,
}

/// The statement that sums; `of` names the table `hold` as `h` and says whose. A row for the holds of an account with no
/// tokens, and one for each way in which tokens are set aside. The halves of amounts are summed apart, since one engine's
/// sums fail beyond 64 bits and the other's grow out of them. Schema 1 had one leg, of the model's own balance.
pub(super) fn sums(of: &str) -> String {
    format!(
        "SELECT h.account, h.legs,
                CASE WHEN h.legs IS NULL AND h.tokens_milli > 0 THEN h.model END AS only_leg, CAST(count(*) AS BIGINT),
                CAST(sum(h.money >> 32) AS BIGINT), CAST(sum(h.money & 4294967295) AS BIGINT),
                CAST(sum(h.tokens_milli >> 32) AS BIGINT), CAST(sum(h.tokens_milli & 4294967295) AS BIGINT)
         FROM {of} AND h.state IN ('open', 'orphan') GROUP BY h.account, h.legs, only_leg"
    )
}

/// The same of the one account that is asked for.
pub(super) fn sums_of_one() -> String {
    sums("hold h WHERE h.account = ?1")
}

impl Held {
    /// Takes a row of [`sums`] in.
    pub(super) fn add(&mut self, row: &[Value]) -> Result<(), Broken> {
        let mut cells = Cells::new(row);
        let (account, legs, only_leg): (AccountId, Option<Vec<TokenLeg>>, _) =
            (cells.word()?, cells.maybe_json()?, cells.maybe_text()?);
        let holds = i128::from(cells.int()?);
        let whole = |high: i64, low: i64| (i128::from(high) << 32) + i128::from(low);
        let money = whole(cells.int()?, cells.int()?);
        let milli = whole(cells.int()?, cells.int()?);
        let mut add = |asset, amount| *self.sums.entry((account, asset)).or_default() += amount;
        add(Asset::Cny, money);
        if let Some(model) = only_leg {
            add(Asset::Tokens(model), milli);
            return Ok(());
        }
        let mut in_legs = 0;
        for leg in legs.into_iter().flatten() {
            let amount = i128::from(leg.milli) * holds;
            in_legs += amount;
            add(leg.asset, amount);
        }
        if in_legs != milli {
            self.uneven.insert(account);
        }
        Ok(())
    }

    /// Says of a balance what is held of it.
    pub(super) fn fill(&self, wallet: &mut Wallet) -> Result<(), Broken> {
        let sum = self.sums.get(&(wallet.account, wallet.asset.clone())).copied().unwrap_or(0);
        wallet.held = i64::try_from(sum).map_err(|_| Broken {
            column: 0,
            what: format!("the open holds of {} come to {sum} of {}", wallet.account, wallet.asset),
        })?;
        Ok(())
    }

    /// A row as it was loaded, whole.
    pub(super) fn filled(&self, mut op: RowOp) -> Result<RowOp, Broken> {
        if let RowOp::Wallet(wallet) = &mut op {
            self.fill(wallet)?;
        }
        Ok(op)
    }
}

/// The same of every account.
pub(super) fn sums_of_all() -> String {
    sums("hold h WHERE TRUE")
}

/// What the open holds of an account set aside.
pub(super) fn of_account(db: &mut dyn Query, account: AccountId) -> Result<Held, ReadError> {
    let mut held = Held::default();
    for row in db.rows(&sums_of_one(), &[Value::word(account)])? {
        held.add(&row)?;
    }
    Ok(held)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use rusqlite::Connection;

    use super::*;
    use crate::store::{
        read::watched::Watched,
        scripted::{Caller, MONEY},
        sqlite::books_in_memory,
    };

    fn held(db: &Connection, account: AccountId) -> (Held, i64) {
        let taken = RefCell::default();
        let held = of_account(&mut Watched::new(db, &taken), account).unwrap();
        let taken = taken.into_inner();
        (held, taken.iter().map(|taken| taken.steps).sum())
    }

    #[test]
    fn the_sum_costs_the_open_holds_of_the_account_and_nothing_of_its_history() {
        let of = |calls: usize| {
            let caller = Caller::new();
            let mut commands = caller.history(calls);
            commands.extend((0..10).map(|_| caller.call()).map(|[open, _]| open));
            let (held, steps) = held(&books_in_memory(&commands), caller.account);
            assert_eq!(held.sums[&(caller.account, Asset::Cny)], 10 * i128::from(MONEY));
            steps
        };
        assert_eq!(of(10), of(1_000), "steps of SQLite's machine");
    }

    #[test]
    fn legs_are_summed_by_balance_as_each_schema_wrote_them() {
        let caller = Caller::new();
        let mut commands: Vec<_> = caller.opening().into();
        commands.extend((0..5).map(|_| caller.call()).map(|[open, _]| open));
        let db = books_in_memory(&commands);
        let leg = |asset: &str, milli: i64| {
            let weights = crate::ledger::Weights::PLAIN;
            TokenLeg { asset: asset.parse().unwrap(), milli, weights }
        };
        let of = |hold: i64, legs: Option<&[TokenLeg]>, milli: i64| {
            let legs = legs.map(|legs| serde_json::to_string(legs).unwrap());
            let one = "UPDATE hold SET legs = ?1, tokens_milli = ?2 WHERE id = (SELECT id FROM hold ORDER BY id LIMIT 1 OFFSET ?3)";
            assert_eq!(db.execute(one, rusqlite::params![legs, milli, hold]).unwrap(), 1);
        };
        let two = [leg("TOK:t", 5), leg("TOK:u", 2)];
        of(0, Some(&two), 7);
        of(1, Some(&two), 7);
        of(2, Some(&[leg("TOK:t", 1)]), 1);
        // Schema 1: of the model's own balance.
        of(3, None, 100);
        let (sums, _) = held(&db, caller.account);
        let of_asset = |asset: &str| sums.sums[&(caller.account, asset.parse().unwrap())];
        assert_eq!(["CNY", "TOK:t", "TOK:u", "TOK:m"].map(of_asset), [5 * i128::from(MONEY), 11, 4, 100]);
        assert!(sums.uneven.is_empty());
        of(2, Some(&two), 8);
        assert!(held(&db, caller.account).0.uneven.contains(&caller.account), "8 are not 5 and 2");
    }

    #[test]
    fn a_sum_beyond_an_amount_is_refused() {
        let caller = Caller::new();
        let mut commands: Vec<_> = caller.opening().into();
        commands.extend((0..2).map(|_| caller.call()).map(|[open, _]| open));
        let db = books_in_memory(&commands);
        db.execute("UPDATE hold SET money = 9223372036854775807", []).unwrap();
        let (held, _) = held(&db, caller.account);
        let mut wallet = Wallet::empty(caller.account, Asset::Cny);
        let said = held.fill(&mut wallet).unwrap_err().to_string();
        assert!(said.contains("18446744073709551614"), "{said}");
    }
}
