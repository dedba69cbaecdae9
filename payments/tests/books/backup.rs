//! Is a copy of the books the books, and does it come back to life?

use std::path::Path;

use payments::{
    ledger::{Asset, HoldState},
    reconcile,
    store::{
        BackupError, OpenError, Store, back_up, examine_backup, examine_folder, move_to_postgres, restore,
    },
};

use units::{AccountId, RequestId};

use crate::support::{START, World, fen, receipt, settings, usage};

/// A customer who has paid, used some, and has a call open.
async fn trading() -> (World, AccountId, RequestId) {
    let world = World::new();
    let account = world.account().await;
    world.pay(account, 1_000).await;
    let mut spent = world.holds.admit(world.call(account, usage(2_000, 1_000))).await.unwrap();
    spent.durable().await.unwrap();
    spent.settle(Some((usage(1_200, 300), false)), |_| receipt(RequestId::new(START), account));
    let call = world.call(account, usage(2_000, 1_000));
    let open = call.id;
    let mut hold = world.holds.admit(call).await.unwrap();
    hold.durable().await.unwrap();
    // Its process is not going to end it.
    std::mem::forget(hold);
    world.store.flushed().await.unwrap();
    (world, account, open)
}

fn left_beside(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_backup_taken_while_the_books_are_written_comes_back_whole_and_its_open_calls_are_ended() {
    let (world, account, open) = trading().await;
    std::fs::write(world.folder.path().join("key_secret"), "tgsec-0123456789").unwrap();
    let place = tempfile::tempdir().unwrap();
    let copy = place.path().join("copy");
    let taken = back_up(world.folder.path(), &copy).unwrap();
    assert_eq!(taken.state, world.store.state_hash().await.unwrap());
    assert_eq!((taken.open_holds, taken.epoch), (1, world.store.epoch()));

    // The writer goes on; the copy stays what it was.
    world.pay(account, 500).await;
    assert_ne!(taken.state, world.store.state_hash().await.unwrap());
    assert_eq!(examine_backup(&copy).unwrap(), taken);

    let refused = back_up(world.folder.path(), &copy);
    assert!(matches!(refused, Err(BackupError::Exists(_))), "nothing is overwritten: {refused:?}");
    let back = place.path().join("back");
    std::fs::create_dir(&back).unwrap();
    assert_eq!(restore(&copy, &back).unwrap(), taken);
    let refused = restore(&copy, &back);
    assert!(matches!(refused, Err(BackupError::Exists(_))), "only an empty folder: {refused:?}");
    assert_eq!(std::fs::read_to_string(back.join("key_secret")).unwrap(), "tgsec-0123456789");
    assert_eq!(left_beside(place.path()), ["back", "copy"], "and nothing half-done");

    let (settings, marks) = settings(&back);
    let journal = settings.journal.clone();
    let store = Store::open(settings).unwrap();
    assert!(store.epoch() > taken.epoch);
    assert_eq!(reconcile::recover(&store, &marks, &journal, &*world.clock).await.unwrap(), 1);
    assert_ne!(store.hold(open).await.unwrap().unwrap().state, HoldState::Open);
    assert_eq!(store.verify().await.unwrap().0, Vec::<String>::new());
    store.close().await;
}

#[tokio::test]
async fn a_backup_that_was_touched_is_not_restored() {
    let (world, ..) = trading().await;
    let place = tempfile::tempdir().unwrap();
    let copy = place.path().join("copy");
    back_up(world.folder.path(), &copy).unwrap();
    let touch = |sql: &str| {
        let file = rusqlite::Connection::open(copy.join("ledger.db")).unwrap();
        file.execute_batch(sql).unwrap();
    };
    touch("UPDATE account SET name = 'somebody else'");
    let refused = restore(&copy, &place.path().join("back"));
    assert!(matches!(refused, Err(BackupError::NotWhole { .. })), "{refused:?}");
    assert!(matches!(examine_backup(&copy), Err(BackupError::NotWhole { .. })));
    touch("UPDATE hold SET money = money + 10000000000000 WHERE state = 'open'");
    let refused = restore(&copy, &place.path().join("back"));
    assert!(matches!(refused, Err(BackupError::Unsound { .. })), "{refused:?}");
    assert!(!examine_backup(&copy).unwrap().findings.0.is_empty());
    assert_eq!(left_beside(place.path()), ["copy"]);
    let nothing = back_up(place.path(), &place.path().join("out"));
    assert!(matches!(nothing, Err(BackupError::Open(OpenError::NoBooks(_)))), "{nothing:?}");
}

#[tokio::test]
async fn books_are_looked_at_beside_the_process_that_serves_from_them() {
    let (world, account, _) = trading().await;
    let seen = examine_folder(world.folder.path()).unwrap();
    assert_eq!(seen.findings.0, Vec::<String>::new());
    assert_eq!(seen.state, world.store.state_hash().await.unwrap());
    let [lane] = &seen.lanes[..] else { panic!("{:?}", seen.lanes) };
    let entries = seen.state.tables.iter().find(|(table, ..)| *table == "entry").unwrap().1;
    assert_eq!((lane.lane, lane.lines), (0, i64::try_from(entries).unwrap()));
    assert_eq!(seen.receipts, 1);
    world.pay(account, 100).await;
    assert!(world.wallet(account, &Asset::Cny).await.posted > fen(100).get());
}

#[tokio::test]
async fn books_that_are_served_from_are_not_moved() {
    let (world, ..) = trading().await;
    let database = testbed::Database::fresh().await;
    let refused = move_to_postgres(world.folder.path(), database.url(), |_| {}).await;
    assert!(matches!(refused, Err(payments::store::MoveError::Source(OpenError::InUse(_)))), "{refused:?}");
}
