//! Are the books that moved to a PostgreSQL server the same books, and is there nothing half-moved?

use std::sync::Arc;

use payments::{
    holds::Holds,
    ledger::{AccountRole, Body, OrderState},
    reconcile,
    store::{
        MoveError, OpenError, PostgresSettings, Store, examine_folder, examine_postgres, move_to_postgres,
    },
};
use tempfile::TempDir;
use testbed::Database;
use units::{AccountId, Livemode, NanoCny};

use crate::support::{
    ManualClock, START, World, command, fen, postgres_settings, receipt, settings, token_kind, usage,
};

/// Closed books with something of everything, a call open among it.
async fn closed_books() -> (TempDir, AccountId, Arc<ManualClock>) {
    let world = World::new();
    let account = world.account().await;
    world.account_of(AccountRole::House, Livemode::Demo).await;
    world.pay(account, 1_000).await;
    world.pay_for(account, 2, token_kind(10_000, 2_000)).await;
    let mut spent = world.holds.admit(world.call(account, usage(2_000, 1_000))).await.unwrap();
    spent.durable().await.unwrap();
    spent.settle(Some((usage(1_200, 300), false)), |_| receipt(units::RequestId::new(START), account));
    let mut open = world.holds.admit(world.call(account, usage(2_000, 1_000))).await.unwrap();
    open.durable().await.unwrap();
    // Its process dies: nobody ends it.
    drop(open);
    let wish = payments::refund::RefundRequest {
        account,
        actor: payments::ledger::Actor::system("test"),
        amount: Some(fen(100)),
        order: None,
        reason: None,
        why: None,
        approver: None,
        idempotency_key: None,
    };
    world.refunds.request(wish).await.unwrap();
    world.store.flushed().await.unwrap();
    let World { folder, clock, store, holds, topups, refunds, .. } = world;
    drop((holds, topups, refunds));
    store.close().await;
    (folder, account, clock)
}

#[tokio::test]
async fn moved_books_are_equal_to_the_last_row_and_go_on_where_they_were() {
    let (folder, account, clock) = closed_books().await;
    let before = examine_folder(folder.path()).unwrap();
    assert_eq!(before.findings.0, Vec::<String>::new());
    let database = Database::fresh().await;
    let moved = move_to_postgres(folder.path(), database.url(), |_| {}).await.unwrap();
    assert_eq!(moved, before, "lanes, links, receipts and the epoch too");
    assert_eq!(examine_postgres(database.url()).await.unwrap(), before);
    assert_eq!(examine_folder(folder.path()).unwrap(), before, "the folder keeps its own");

    let refused = Store::open(settings(folder.path()).0);
    assert!(matches!(refused, Err(OpenError::Moved(_))), "the books go on in one place: {refused:?}");

    let elsewhere = tempfile::tempdir().unwrap();
    let store = Store::open_postgres(postgres_settings(database.url(), elsewhere.path())).await.unwrap();
    assert!(store.epoch() > before.epoch, "its lane is none that was written");
    let (journal, marks) = payments::journal::Journal::open(&folder.path().join("journal")).unwrap();
    assert_eq!(reconcile::recover(&store, &marks, &journal, &*clock).await.unwrap(), 1);
    let orders = store.orders_of(account).await.unwrap();
    assert_eq!(orders.iter().filter(|order| order.state == OrderState::Paid).count(), 2);
    assert_eq!(store.verify().await.unwrap().0, Vec::<String>::new());
    assert_eq!(store.open_holds().await.unwrap(), 0);
    store.close().await;
    let after = examine_postgres(database.url()).await.unwrap();
    assert_eq!(
        (after.lanes.len(), &after.lanes[0]),
        (2, &before.lanes[0]),
        "what was written stays as it was"
    );
}

#[tokio::test]
async fn books_are_moved_into_an_empty_database_only() {
    let (folder, ..) = closed_books().await;
    let database = Database::fresh().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let store = Store::open_postgres(postgres_settings(database.url(), elsewhere.path())).await.unwrap();
    let refused = move_to_postgres(folder.path(), database.url(), |_| {}).await;
    assert!(matches!(refused, Err(MoveError::NotEmpty)), "somebody is at work there: {refused:?}");
    store.close().await;
    // Nothing was written and nobody is left: what was begun there does no harm.
    let moved = move_to_postgres(folder.path(), database.url(), |_| {}).await.unwrap();
    let again = move_to_postgres(folder.path(), database.url(), |_| {}).await;
    assert!(matches!(again, Err(MoveError::NotEmpty)), "{again:?}");
    assert_eq!(examine_postgres(database.url()).await.unwrap(), moved);
}

#[tokio::test]
async fn a_move_that_breaks_off_half_way_leaves_nothing_there() {
    let (folder, ..) = closed_books().await;
    let database = Database::fresh().await;
    let url = database.url().to_owned();
    let cut = move |copied: payments::store::Copied| {
        if copied.table == "entry" {
            cut_off(&url);
        }
    };
    let broken = move_to_postgres(folder.path(), database.url(), cut).await;
    assert!(matches!(broken, Err(MoveError::Broken(_))), "{broken:?}");
    let client = database.connect().await;
    for table in ["account", "wallet", "entry", "chain", "receipt"] {
        let rows: i64 = client.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await.unwrap().get(0);
        assert_eq!(rows, 0, "{table}");
    }
    // And nothing keeps the next attempt from it.
    let moved = move_to_postgres(folder.path(), database.url(), |_| {}).await.unwrap();
    assert_eq!(moved, examine_folder(folder.path()).unwrap());
}

/// Ends every other connection to the database, as a server that restarts would.
fn cut_off(url: &str) {
    let url = url.to_owned();
    let cutting = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let client = testbed::connect(&url).await.unwrap();
            let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                       WHERE datname = current_database() AND pid <> pg_backend_pid()";
            client.batch_execute(end).await.unwrap();
        });
    });
    cutting.join().unwrap();
}

#[tokio::test]
async fn a_run_of_the_same_node_ends_the_one_before_and_no_other() {
    let database = Database::fresh().await;
    let folder = tempfile::tempdir().unwrap();
    let world = World::new();
    let open = async |node: &str| {
        let settings = postgres_settings(database.url(), folder.path());
        let settings = PostgresSettings { node: node.to_owned(), ..settings };
        let (admission, journal) = (settings.admission.clone(), settings.journal.clone());
        let store = Store::open_postgres(settings).await.unwrap();
        (store.clone(), Holds::new(store, admission, journal, world.clock.clone()))
    };
    let ((first, calls), (other, _)) = (open("one").await, open("two").await);
    let account = AccountId::new(START);
    let (livemode, name, role) = (Livemode::Demo, "test".to_owned(), AccountRole::Customer);
    let promo = |amount| Body::GrantPromo { account, amount: NanoCny::from_yuan(amount), expires_at: None };
    let opening = Body::OpenAccount { id: account, livemode, name, role };
    first.submit(command("open", START, opening)).await.unwrap();
    first.submit(command("promo", START, promo(10))).await.unwrap();
    let mut call = calls.admit(world.call(account, usage(2_000, 1_000))).await.unwrap();
    call.durable().await.unwrap();
    std::mem::forget(call);
    let orphans = other.orphaned_holds(other.epoch()).await.unwrap();
    assert!(orphans.is_empty(), "an earlier run that is alive answers for its own: {orphans:?}");

    // The first was killed and begins anew: its lease would run on for half a minute.
    let (again, _) = open("one").await;
    assert_eq!(again.orphaned_holds(again.epoch()).await.unwrap().len(), 1);
    let late = first.submit(command("late", START, promo(5))).await;
    assert!(late.is_err(), "a run whose node has begun anew writes no more");
    again.submit(command("again", START, promo(1))).await.unwrap();
    other.submit(command("other", START, promo(1))).await.unwrap();
    assert_eq!(again.verify().await.unwrap().0, Vec::<String>::new());
    drop(calls);
    for store in [first, again, other] {
        store.close().await;
    }
}
