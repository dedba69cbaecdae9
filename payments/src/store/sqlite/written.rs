//! For tests: how many rows does a call write? SQLite counts them.

use rusqlite::Connection;
use units::AccountId;

use super::{engine::Sqlite, schema::migrated_in_memory};
use crate::{
    ledger::{Asset, Command},
    store::{
        lane::Engine,
        scripted::{Caller, MONEY},
    },
};

fn engine() -> Sqlite {
    Sqlite::new(migrated_in_memory(), Connection::open_in_memory().unwrap()).unwrap()
}

/// Carries commands out in one commit; how many rows that wrote.
fn rows(engine: &mut Sqlite, commands: &[&Command]) -> u64 {
    let before = engine.ledger.total_changes();
    for applied in engine.commit(commands).unwrap().applied {
        applied.outcome.unwrap();
    }
    engine.ledger.total_changes() - before
}

fn held(engine: &mut Sqlite, account: AccountId) -> i64 {
    let available = engine.available(account, &Asset::Cny).unwrap();
    units::NanoCny::from_yuan(1_000).get() - available
}

#[test]
fn a_call_alone_writes_five_rows_and_a_link_of_the_chain() {
    let (mut engine, caller) = (engine(), Caller::new());
    rows(&mut engine, &caller.opening().each_ref());
    let [open, end] = &caller.call();
    assert_eq!(rows(&mut engine, &[open]), 1, "the hold");
    assert_eq!(rows(&mut engine, &[end]), 4 + 1, "the hold, its balance, its lot and a line; the link");
}

#[test]
fn a_balance_that_was_dropped_from_memory_comes_back_with_what_its_open_calls_hold() {
    let (mut engine, caller) = (engine(), Caller::new());
    rows(&mut engine, &caller.opening().each_ref());
    let calls: Vec<[Command; 2]> = (0..3).map(|_| caller.call()).collect();
    for [open, _] in &calls {
        rows(&mut engine, &[open]);
    }
    assert_eq!(held(&mut engine, caller.account), 3 * MONEY);
    // A run that begins anew has nothing in memory.
    let Sqlite { ledger, receipts, .. } = engine;
    let mut engine = Sqlite::new(ledger, receipts).unwrap();
    assert_eq!(held(&mut engine, caller.account), 3 * MONEY);
    for (ended, [_, end]) in (1..).zip(&calls) {
        rows(&mut engine, &[end]);
        let spent = ended * MONEY / 2;
        assert_eq!(held(&mut engine, caller.account), (3 - ended) * MONEY + spent);
    }
}
