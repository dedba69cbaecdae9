//! The database goes away: killed, cut off behind a commit, gone for good. What was acknowledged stays, what was not is
//! asked again, and no write happens twice.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    time::Duration,
};

use payments::{
    admission::Admission,
    holds::{AdmitError, Holds},
    ledger::{AccountRole, Asset, Body, CreditSource, NewHold, OrderKind, Reply, SettleEnd, SettledBy},
    store::{Store, SubmitError},
};
use testbed::{Cable, Server, Syncs};
use tokio::{sync::watch, task::JoinSet};
use units::{AccountId, Livemode, NanoCny, OrderId, RequestId};

use crate::support::{
    APPID, MCHID, RATE, START, World, command, fen, flat, new_hold, new_order, postgres_settings, usage,
};

/// Callers that go on while the server is killed.
const CALLERS: usize = 6;
const KILLS: usize = 5;

async fn opened(store: &Store, yuan: i32) -> AccountId {
    let id = AccountId::new(START);
    let (livemode, name, role) = (Livemode::Demo, "test".to_owned(), AccountRole::Customer);
    let open = Body::OpenAccount { id, livemode, name, role };
    store.submit(command(format!("open:{id}"), START, open)).await.unwrap();
    let promo = Body::GrantPromo { account: id, amount: NanoCny::from_yuan(yuan), expires_at: None };
    store.submit(command(format!("promo:{id}"), START, promo)).await.unwrap();
    id
}

/// What one caller was told.
#[derive(Default)]
struct Told {
    promos: Vec<(String, Reply)>,
    settled: Vec<(RequestId, i64)>,
}

/// Gives its account a nano-yuan and has a call of three tokens, again and again, each step under a key of its own.
async fn calls_on(
    store: Store,
    account: AccountId,
    over: Arc<AtomicBool>,
    acknowledged: watch::Sender<u64>,
) -> Told {
    let mut told = Told::default();
    while !over.load(Ordering::SeqCst) {
        let id = RequestId::new(START);
        let key = format!("promo:{id}");
        let promo = Body::GrantPromo { account, amount: NanoCny::new(1), expires_at: None };
        let reply = store.submit(command(&key, START, promo)).await.expect("the store rides it out");
        told.promos.push((key, reply));
        let new = NewHold { epoch: store.epoch(), ..new_hold(id, account, None, flat(RATE)) };
        let new = NewHold { money: NanoCny::new(10 * RATE), ..new };
        let key = new.key;
        store.submit(command("hold", START, Body::Hold(new))).await.expect("the store rides it out");
        let end = SettleEnd::Charge { usage: usage(1, 2), estimated: false, extra: NanoCny::ZERO };
        let by = SettledBy::Owner { epoch: store.epoch() };
        let settle = Body::Settle { id, account, key, tokens: Vec::new(), by, end };
        let reply = store.submit(command("settle", START, settle)).await.expect("the store rides it out");
        let Reply::Hold(hold) = reply else { panic!("{reply:?}") };
        told.settled.push((id, hold.cost.get()));
        acknowledged.send_modify(|count| *count += 1);
    }
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_killed_five_times_loses_nothing_acknowledged_and_writes_nothing_twice() {
    let mut server = Server::start(Syncs::Always);
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_postgres(postgres_settings(&server.url(), folder.path())).await.unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let (acknowledged, mut seen) = watch::channel(0_u64);
    let (mut accounts, mut callers) = (Vec::new(), JoinSet::new());
    for _ in 0..CALLERS {
        let account = opened(&store, 1).await;
        accounts.push(account);
        let calling = calls_on(store.clone(), account, over.clone(), acknowledged.clone());
        callers.spawn(async move { (account, calling.await) });
    }
    // Nobody waits for callers that have failed.
    drop(acknowledged);
    for _ in 0..KILLS {
        let before = *seen.borrow_and_update();
        seen.wait_for(|count| *count >= before + 30).await.unwrap();
        server = tokio::task::spawn_blocking(move || {
            server.kill9();
            server.start_again();
            server
        })
        .await
        .unwrap();
        // A connection for reading that was kept from before costs nobody anything.
        assert_eq!(store.accounts(None).await.unwrap().len(), CALLERS);
    }
    let before = *seen.borrow_and_update();
    seen.wait_for(|count| *count >= before + 30).await.unwrap();
    over.store(true, Ordering::SeqCst);
    while let Some(told) = callers.join_next().await {
        let (account, told) = told.unwrap();
        let mut cost = 0;
        for (id, charged) in &told.settled {
            let hold = store.hold(*id).await.unwrap().expect("what was acknowledged is there");
            assert_eq!((hold.cost.get(), *charged), (3 * RATE, 3 * RATE));
            cost += charged;
        }
        for (key, reply) in told.promos.iter().rev().take(20) {
            let again = Body::GrantPromo { account, amount: NanoCny::new(1), expires_at: None };
            assert_eq!(store.submit(command(key, START, again)).await.unwrap(), *reply);
        }
        let given = i64::try_from(told.promos.len()).unwrap();
        let posted = NanoCny::from_yuan(1).get() + given - cost;
        let balance =
            store.wallets(account).await.unwrap().into_iter().find(|wallet| wallet.asset == Asset::Cny);
        assert_eq!(balance.map(|wallet| (wallet.posted, wallet.held)), Some((posted, 0)), "each once");
    }
    assert_eq!(store.verify().await.unwrap().0, Vec::<String>::new());
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_is_lost_is_answered_as_what_it_was_and_written_once() {
    let server = Server::start(Syncs::Always);
    let cable = Cable::to(&server.socket());
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open_postgres(postgres_settings(&cable.url("postgres"), folder.path())).await.unwrap();
    let account = opened(&store, 1).await;
    let cut = async |key: &str, body: Body| {
        let before = cable.cuts();
        cable.cut_behind_commit();
        let reply = store.submit(command(key, START, body)).await.unwrap();
        assert_eq!(cable.cuts(), before + 1);
        reply
    };
    let promo = Body::GrantPromo { account, amount: NanoCny::from_yuan(1), expires_at: None };
    assert_eq!(cut("p", promo).await, Reply::Done);
    // Told as what it was: the payment was credited, it is no duplicate.
    let order = OrderId::new(START);
    let new = new_order(order, account, fen(500), OrderKind::Wallet);
    cut("order", Body::CreateOrder(new)).await;
    let paid = Body::OrderPaid {
        order,
        account,
        asset: Asset::Cny,
        transaction_id: "T1".to_owned(),
        total: fen(500),
        currency: None,
        mchid: MCHID.to_owned(),
        appid: APPID.to_owned(),
        payer: None,
        success_time: None,
        source: CreditSource::Notify,
        event: Some("E1".to_owned()),
    };
    let Reply::Order { step, .. } = cut("pay", paid).await else { panic!() };
    assert_eq!(step, payments::ledger::OrderStep::Credited);
    // And the chain goes on behind it.
    let promo = Body::GrantPromo { account, amount: NanoCny::from_yuan(1), expires_at: None };
    store.submit(command("q", START, promo)).await.unwrap();
    let wallet = store.wallets(account).await.unwrap().remove(0);
    assert_eq!(wallet.posted, NanoCny::from_yuan(8).get());
    assert_eq!(store.verify().await.unwrap().0, Vec::<String>::new());
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stays_away_stops_the_store_and_nothing_is_held_any_more() {
    let mut server = Server::start(Syncs::Always);
    let folder = tempfile::tempdir().unwrap();
    let settings = postgres_settings(&server.url(), folder.path());
    let (admission, journal): (Arc<Admission>, _) = (settings.admission.clone(), settings.journal.clone());
    let store = Store::open_postgres_waiting(settings, Duration::from_millis(1)).await.unwrap();
    let world = World::new();
    let holds = Holds::new(store.clone(), admission.clone(), journal, world.clock.clone());
    let account = opened(&store, 10).await;
    let mut call = holds.admit(world.call(account, usage(2, 1))).await.unwrap();
    call.durable().await.unwrap();
    let available = admission.available(account, &Asset::Cny);

    server.kill9();
    store.stopped().await;
    let promo = || Body::GrantPromo { account, amount: NanoCny::from_yuan(1), expires_at: None };
    let refused = store.submit(command("p", START, promo())).await.unwrap_err();
    assert!(
        matches!(&refused, SubmitError::Stopped(_)),
        "to be tried again, no word of the ledger's: {refused}"
    );
    let refused = holds.admit(world.call(account, usage(2, 1))).await.unwrap_err();
    assert!(matches!(refused, AdmitError::Store(SubmitError::Stopped(_))), "{refused}");
    assert_eq!(admission.available(account, &Asset::Cny), available, "nothing was taken for it");
    assert!(store.reserve().is_err());
    std::mem::forget(call);
    store.close().await;

    // The next run finds the call, and its end.
    server.start_again();
    let next = Store::open_postgres(postgres_settings(&server.url(), folder.path())).await.unwrap();
    assert_eq!(next.submit(command("p", START, promo())).await.unwrap(), Reply::Done);
    assert_eq!(next.open_holds().await.unwrap(), 1);
    assert_eq!(next.verify().await.unwrap().0, Vec::<String>::new());
    next.close().await;
}

/// What the journal says of one balance and when, by a clock that stands `back` behind after a restart.
async fn written_before_and_after(open: impl AsyncFn() -> Store, back: i64) {
    let store = open().await;
    let account = opened(&store, 1).await;
    store.close().await;
    let store = open().await;
    let earlier = units::Timestamp(START.0 - back);
    let next = AtomicI64::new(0);
    for _ in 0..3 {
        let key = format!("late:{}", next.fetch_add(1, Ordering::SeqCst));
        let promo = Body::GrantPromo { account, amount: NanoCny::from_yuan(1), expires_at: None };
        store.submit(command(key, earlier, promo)).await.unwrap();
    }
    let lines = store.entries_of(account).await.unwrap();
    let order: Vec<i64> = lines.iter().map(|line| line.at.0).collect();
    assert_eq!(lines.len(), 4);
    assert!(order.is_sorted(), "{order:?}");
    assert_eq!(lines.iter().map(|line| line.n).collect::<Vec<_>>(), [1, 2, 3, 4]);
    assert_eq!(store.balance_at(account, Asset::Cny, earlier).await.unwrap(), 0, "nothing was there then");
    assert_eq!(store.verify().await.unwrap().0, Vec::<String>::new());
    store.close().await;
}

#[tokio::test]
async fn a_clock_that_goes_back_over_a_restart_takes_no_line_back_in_the_embedded_store() {
    let folder = tempfile::tempdir().unwrap();
    let open = async || Store::open(crate::support::settings(folder.path()).0).unwrap();
    written_before_and_after(open, 3_600_000_000).await;
}

#[tokio::test]
async fn a_clock_that_goes_back_over_a_restart_takes_no_line_back_in_postgres() {
    let database = testbed::Database::fresh().await;
    let folder = tempfile::tempdir().unwrap();
    let open = async || Store::open_postgres(postgres_settings(database.url(), folder.path())).await.unwrap();
    written_before_and_after(open, 3_600_000_000).await;
}
