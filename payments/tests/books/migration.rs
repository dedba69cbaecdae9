//! Books that a released program left behind: are they whole in this one's hands?

use payments::{
    ledger::{AccountRole, Asset, LotClass},
    store::Store,
};

use crate::support::settings;

/// What each released schema left, oldest first.
const RELEASED: &[&str] = &[include_str!("released/v1.sql")];

#[tokio::test]
async fn books_of_every_released_schema_are_taken_over_whole() {
    for (version, dump) in RELEASED.iter().enumerate() {
        let folder = tempfile::tempdir().unwrap();
        let file = rusqlite::Connection::open(folder.path().join("ledger.db")).unwrap();
        file.execute_batch(dump).unwrap();
        let count = |table: &str| -> i64 {
            file.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
        };
        let before =
            ["account", "api_key", "lot", "hold", "pay_order", "refund_item", "entry", "chain", "command"]
                .map(|table| (table, count(table)));
        drop(file);

        let (settings, _) = settings(folder.path());
        let store = Store::open(settings).unwrap();
        assert_eq!(store.verify().await.unwrap().0, Vec::<String>::new(), "schema {}", version + 1);
        let file = rusqlite::Connection::open(folder.path().join("ledger.db")).unwrap();
        for (table, rows) in before {
            let now: i64 =
                file.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
            assert_eq!(now, rows, "{table}");
        }
        let customer = store.accounts(None).await.unwrap();
        let customer = customer.iter().find(|account| account.role == AccountRole::Customer).unwrap();
        let balances = store.balances(customer.id).await.unwrap();
        let money = balances.iter().find(|balance| balance.wallet.asset == Asset::Cny).unwrap();
        assert!(money.lots.iter().any(|lot| lot.class == LotClass::Paid));
        let lines = store.entries_of(customer.id).await.unwrap();
        let last = lines.iter().rev().find(|line| line.asset == Asset::Cny).unwrap();
        assert_eq!(last.balance, money.wallet.posted, "the last line says what the balance is");
        store.close().await;
    }
}
