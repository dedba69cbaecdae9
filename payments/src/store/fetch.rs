//! Which rows do these commands name? As look-ups by key that any engine can carry out.

use std::collections::BTreeSet;

use super::{
    tables::{
        self, ACCOUNT, API_KEY, BILL_DAY, BILL_DIFFERENCE, BUDGET, CREDIT_CODE, FX_PAIR, GATE, GRANT, HOLD,
        LOT, NOTICE, PACKAGE, PAY_ORDER, PRICE_ASSIGNMENT, PRICE_LIST, REFUND_BATCH, REFUND_ITEM, STANDING,
        SUSPENSE, TERMS, Table, WALLET,
    },
    value::Value,
};
use crate::ledger::{Needs, Rows};

/// One look-up: the rows of a table whose `by` columns have one of `keys`' values, and for which `only` holds.
#[derive(Debug)]
pub(super) struct Fetch {
    pub(super) table: &'static Table,
    pub(super) by: &'static [&'static str],
    pub(super) only: Option<&'static str>,
    pub(super) keys: Vec<Vec<Value>>,
}

impl Fetch {
    /// The SELECT for one key, its values as `?1`, `?2`...
    pub(super) fn select_one(&self) -> String {
        let by: Vec<String> =
            self.by.iter().enumerate().map(|(i, column)| format!("{column} = ?{}", i + 1)).collect();
        let only = self.only.map(|only| format!(" AND {only}")).unwrap_or_default();
        format!(
            "SELECT {} FROM {} WHERE {}{only}",
            self.table.column_list(),
            self.table.name,
            by.join(" AND ")
        )
    }
}

fn by(table: &'static Table, by: &'static [&'static str], keys: Vec<Vec<Value>>) -> Fetch {
    Fetch { table, by, only: None, keys }
}

fn words<T: std::fmt::Display>(ids: impl IntoIterator<Item = T>) -> Vec<Vec<Value>> {
    ids.into_iter().map(|id| vec![Value::word(id)]).collect()
}

/// The look-ups for what `needs` names, less what `kept` has from before.
pub(super) fn plan(needs: &Needs, kept: &Rows) -> Vec<Fetch> {
    let accounts = needs.accounts.iter().filter(|id| kept.account(**id).is_none());
    let balances: Vec<_> = needs.wallets.iter().filter(|(key, _)| !kept.has_balance(key)).collect();
    let lots: Vec<_> = needs.wallets.iter().filter(|(key, with)| **with && !kept.has_lots(key)).collect();
    let wallet_key = |(account, asset): &(units::AccountId, crate::ledger::Asset)| {
        vec![Value::word(account), Value::word(asset)]
    };
    let budgets = needs.budgets.iter().filter(|owner| !kept.has_budgets(owner));
    let budget_key = |(account, key): &(units::AccountId, Option<units::KeyId>)| {
        vec![Value::word(account), tables::key_word(*key)]
    };
    let holds = needs.holds.iter().filter(|id| kept.hold(**id).is_none());
    let packages = needs.packages.iter().map(|(id, version)| format!("{id}@{version}"));
    let bill_day = |(mchid, day): &(String, String)| vec![mchid.as_str().into(), day.as_str().into()];
    let bill_days = || needs.bill_days.iter().map(bill_day).collect::<Vec<Vec<Value>>>();
    let fetches = vec![
        by(&ACCOUNT, &["id"], words(accounts)),
        by(&API_KEY, &["id"], words(needs.keys.iter().filter(|id| kept.key(**id).is_none()))),
        by(&API_KEY, &["digest"], words(&needs.digests)),
        by(&TERMS, &["id"], words(needs.terms.iter().filter(|id| kept.terms(id).is_none()))),
        by(&WALLET, &["account", "asset"], balances.into_iter().map(|(key, _)| wallet_key(key)).collect()),
        Fetch {
            only: Some("rem > 0"),
            ..by(&LOT, &["account", "asset"], lots.into_iter().map(|(key, _)| wallet_key(key)).collect())
        },
        by(&HOLD, &["id"], words(holds)),
        by(&PAY_ORDER, &["id"], words(&needs.orders)),
        Fetch {
            only: Some("state IN ('created', 'pending')"),
            ..by(&PAY_ORDER, &["account"], words(&needs.awaited))
        },
        by(&LOT, &["id"], words(&needs.lots)),
        by(&WALLET, &["account"], words(&needs.whole)),
        by(&LOT, &["account"], words(&needs.whole)),
        by(&CREDIT_CODE, &["digest"], words(&needs.codes)),
        by(&PACKAGE, &["id"], words(packages)),
        by(&SUSPENSE, &["transaction_id"], words(&needs.suspense)),
        by(&PAY_ORDER, &["transaction_id"], words(&needs.transactions)),
        by(&REFUND_BATCH, &["id"], words(&needs.batches)),
        by(&REFUND_ITEM, &["batch"], words(&needs.batches)),
        by(&NOTICE, &["id"], words(&needs.notices)),
        by(&GATE, &["name"], words(&needs.gates)),
        by(&GRANT, &["id"], words(&needs.orders)),
        by(&STANDING, &["account"], words(&needs.standings)),
        by(&BUDGET, &["account", "api_key"], budgets.map(budget_key).collect()),
        by(&PRICE_LIST, &["name"], words(&needs.price_lists)),
        by(&PRICE_ASSIGNMENT, &["account"], words(&needs.price_assignments)),
        by(&FX_PAIR, &["pair"], words(&needs.fx_pairs)),
        by(&BILL_DAY, &["mchid", "day"], bill_days()),
        by(&BILL_DIFFERENCE, &["mchid", "day"], bill_days()),
    ];
    fetches.into_iter().filter(|fetch| !fetch.keys.is_empty()).collect()
}

/// Whose balances are looked up: what is held of those is reckoned from their holds.
pub(super) fn whose_balances(fetches: &[Fetch]) -> BTreeSet<&str> {
    let balances = fetches.iter().filter(|fetch| std::ptr::eq(fetch.table, &raw const WALLET));
    let accounts = balances.flat_map(|fetch| &fetch.keys).filter_map(|key| key.first());
    accounts
        .filter_map(|account| if let Value::Text(id) = account { Some(id.as_str()) } else { None })
        .collect()
}

/// What the rows that were found name in turn: the lots of refund items, and the bonuses of payments.
pub(super) fn plan_further(needs: &Needs, found: &Rows) -> Vec<Fetch> {
    let items = needs.batches.iter().flat_map(|batch| found.items_of(*batch));
    let of_items = items.filter_map(|item| item.lot.clone());
    let bonuses = needs.tied.iter().flat_map(|account| found.bonuses_to_load(*account));
    let lots: BTreeSet<String> = of_items.chain(bonuses).collect();
    let fetch = by(&LOT, &["id"], words(lots));
    if fetch.keys.is_empty() { Vec::new() } else { vec![fetch] }
}
