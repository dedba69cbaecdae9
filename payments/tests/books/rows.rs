//! How many rows does a call write, and how much does it read? Counted by the engines themselves: bounds on work, not on
//! time.

use std::collections::BTreeMap;

use payments::{
    holds::Holds,
    ledger::{AccountRole, Body, NewHold},
    store::{Store, examine_postgres},
};
use testbed::Database;
use tokio::task::JoinSet;
use tokio_postgres::Client;
use units::{AccountId, Livemode, NanoCny, RequestId};

use crate::support::{RATE, START, World, command, flat, new_hold, postgres_settings, receipt, usage};

/// What the server counted since its database was made.
#[derive(Debug, Clone)]
struct Counted {
    /// Rows written, by table: of the books, without what says who writes them.
    rows: BTreeMap<String, i64>,
    /// How often the holds were looked through, by whichever way.
    scans: i64,
}

/// Reads the counts once every session of ours has ended and handed in its own.
async fn counted(client: &Client) -> Counted {
    let ours = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'tollgate'";
    let mut looks = 0;
    while client.query_one(ours, &[]).await.unwrap().get::<_, i64>(0) > 0 {
        looks += 1;
        assert!(looks < 100_000, "a session stays");
    }
    let counts = "SELECT relname::text, n_tup_ins + n_tup_upd + n_tup_del, seq_scan + coalesce(idx_scan, 0)
                  FROM pg_stat_user_tables";
    let (mut rows, mut scans) = (BTreeMap::new(), 0);
    for count in client.query(counts, &[]).await.unwrap() {
        let table: String = count.get(0);
        if table == "hold" {
            scans = count.get(2);
        }
        if !["node_lease", "meta", "hold_progress", "receipt"].contains(&table.as_str()) {
            rows.insert(table, count.get(1));
        }
    }
    Counted { rows, scans }
}

/// What a run wrote and read in which one call after the other is made, each alone in its commits.
async fn lone_calls(database: &Database, world: &World, account: AccountId, calls: i64) -> Counted {
    let client = database.connect().await;
    let before = counted(&client).await;
    let folder = tempfile::tempdir().unwrap();
    let settings = postgres_settings(database.url(), folder.path());
    let (admission, journal) = (settings.admission.clone(), settings.journal.clone());
    let store = Store::open_postgres(settings).await.unwrap();
    let holds = Holds::new(store.clone(), admission, journal, world.clock.clone());
    for _ in 0..calls {
        let call = world.call(account, usage(10, 10));
        let id = call.id;
        let mut hold = holds.admit(call).await.unwrap();
        hold.durable().await.unwrap();
        hold.settle(Some((usage(5, 5), false)), |_| receipt(id, account));
        store.flushed().await.unwrap();
    }
    drop(holds);
    store.close().await;
    let after = counted(&client).await;
    let since = |(table, now): (String, i64)| {
        let written = now - before.rows.get(&table).copied().unwrap_or(0);
        (written > 0).then_some((table, written))
    };
    Counted { rows: after.rows.into_iter().filter_map(since).collect(), scans: after.scans - before.scans }
}

#[tokio::test]
async fn a_call_on_postgres_writes_five_rows_and_reads_the_open_holds_once_a_commit_however_many() {
    let world = World::new();
    let database = Database::fresh().await;
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_postgres(postgres_settings(database.url(), folder.path())).await.unwrap();
    let account = AccountId::new(START);
    let (livemode, name, role) = (Livemode::Demo, "test".to_owned(), AccountRole::Customer);
    let open = Body::OpenAccount { id: account, livemode, name, role };
    store.submit(command("open", START, open)).await.unwrap();
    let promo = Body::GrantPromo { account, amount: NanoCny::from_yuan(1_000), expires_at: None };
    store.submit(command("promo", START, promo)).await.unwrap();
    store.clone().close().await;

    const CALLS: i64 = 5;
    let few = lone_calls(&database, &world, account, CALLS).await;
    let expected = [("chain", 1), ("entry", 1), ("hold", 2), ("lot", 1), ("wallet", 1)];
    let expected = expected.map(|(table, each)| (table.to_owned(), each * CALLS));
    assert_eq!(few.rows, BTreeMap::from(expected), "five a call, and the link");

    let store = Store::open_postgres(postgres_settings(database.url(), folder.path())).await.unwrap();
    let mut opening = JoinSet::new();
    for _ in 0..1_000 {
        let (store, id) = (store.clone(), RequestId::new(START));
        let money = NanoCny::new(RATE);
        let hold = NewHold { money, ..new_hold(id, account, None, flat(RATE)) };
        opening
            .spawn(async move { store.submit(command(format!("hold:{id}"), START, Body::Hold(hold))).await });
    }
    assert!(opening.join_all().await.iter().all(Result::is_ok));
    assert_eq!(store.open_holds().await.unwrap(), 1_000);
    assert_eq!(store.wallets(account).await.unwrap()[0].held, 1_000 * RATE);
    store.clone().close().await;
    drop(store);

    let many = lone_calls(&database, &world, account, CALLS).await;
    assert_eq!(many.rows, few.rows);
    // Whatever else looks at them does so by the clock.
    let more = many.scans - few.scans;
    assert!(more < 20, "a commit with a thousand open calls asks once, as any does: {few:?}, {many:?}");
    let found = examine_postgres(database.url()).await.unwrap();
    assert_eq!((found.findings.0, found.open_holds), (Vec::<String>::new(), 1_000));
}
