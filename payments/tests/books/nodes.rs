//! Two nodes write one database: neither passes what the other has taken, each balance's lines have no gap, and who is
//! taken for dead writes nothing more.

use std::sync::Arc;

use payments::{
    admission::Admission,
    holds::{AdmitError, Holds, OpenHold},
    journal::Journal,
    ledger::{AccountRole, Actor, Asset, Body, BudgetPeriod, Command, HoldQuote, HoldState, Role},
    reconcile::recover,
    store::{Store, SubmitError},
};
use tempfile::TempDir;
use testbed::Database;
use tokio::task::JoinSet;
use units::{AccountId, KeyId, Livemode, NanoCny, RequestId, Tokens};

use crate::support::{RATE, START, World, command, postgres_settings, receipt, usage, yuan};

/// One process over the database.
struct Node {
    store: Store,
    holds: Holds,
    journal: Arc<Journal>,
    admission: Arc<Admission>,
    _folder: TempDir,
}

impl Node {
    async fn on(database: &Database, world: &World) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = postgres_settings(database.url(), folder.path());
        let (admission, journal) = (settings.admission.clone(), settings.journal.clone());
        let store = Store::open_postgres(settings).await.unwrap();
        let holds = Holds::new(store.clone(), admission.clone(), journal.clone(), world.clock.clone());
        Self { store, holds, journal, admission, _folder: folder }
    }

    /// Nobody hears of it any more, and its lease has run out.
    async fn is_taken_for_dead(&self, database: &Database) {
        let end = "UPDATE node_lease SET until = now() - interval '1 second' WHERE epoch = $1";
        database.connect().await.execute(end, &[&self.store.epoch()]).await.unwrap();
    }

    async fn recover(&self, world: &World) -> usize {
        let marks = std::collections::HashMap::new();
        recover(&self.store, &marks, &self.journal, &*world.clock).await.unwrap()
    }
}

async fn account(store: &Store, amount: NanoCny) -> AccountId {
    let id = AccountId::new(START);
    let (livemode, name, role) = (Livemode::Demo, "test".to_owned(), AccountRole::Customer);
    let open = Body::OpenAccount { id, livemode, name, role };
    store.submit(command(format!("open:{id}"), START, open)).await.unwrap();
    let promo = Body::GrantPromo { account: id, amount, expires_at: None };
    store.submit(command(format!("promo:{id}"), START, promo)).await.unwrap();
    id
}

/// As many calls on each node as `each`, of 500 tokens, all at once; what was admitted and committed.
async fn race(
    nodes: &[Arc<Node>],
    world: &Arc<World>,
    account: AccountId,
    each: usize,
) -> Vec<(usize, RequestId, OpenHold)> {
    let mut calls = JoinSet::new();
    let key = KeyId::new(START);
    for number in 0..each * nodes.len() {
        let at = number % nodes.len();
        let (node, world) = (nodes[at].clone(), world.clone());
        calls.spawn(async move {
            let call = world.call(account, usage(250, 250));
            let call = payments::holds::HoldRequest { key, ..call };
            let id = call.id;
            match node.holds.admit(call).await {
                Ok(mut hold) => hold.durable().await.ok().map(|()| (at, id, hold)),
                Err(AdmitError::Insufficient { .. } | AdmitError::OverBudget(_)) => None,
                Err(error) => panic!("{error}"),
            }
        });
    }
    calls.join_all().await.into_iter().flatten().collect()
}

async fn assert_gapless(node: &Node, account: AccountId) {
    let lines = node.store.entries_of(account).await.unwrap();
    let mut numbers: Vec<i64> = lines.iter().map(|line| line.n).collect();
    numbers.sort_unstable();
    let all: Vec<i64> = (1..=i64::try_from(lines.len()).unwrap()).collect();
    assert_eq!(numbers, all);
    assert_eq!(node.store.verify().await.unwrap().0, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_node_said_of_its_calls_outlives_its_disk() {
    let (database, world) = (Database::fresh().await, Arc::new(World::new()));
    let (gone, left) = (Node::on(&database, &world).await, Node::on(&database, &world).await);
    let account = account(&gone.store, yuan("1")).await;
    let mut calls = Vec::new();
    for progress in [Some(usage(300, 120)), Some(usage(0, 40)), None] {
        let call = world.call(account, usage(1_000, 1_000));
        let quote = HoldQuote { input_estimate: Tokens(250), ..call.quote };
        let call = payments::holds::HoldRequest { key: KeyId::new(START), quote, ..call };
        let id = call.id;
        let mut hold = gone.holds.admit(call).await.unwrap();
        hold.durable().await.unwrap();
        // The latest counts.
        progress.iter().for_each(|_| hold.progress(usage(1, 1)));
        progress.iter().for_each(|used| hold.progress(*used));
        while progress.is_some() && left.store.carried_progress(id).await.unwrap() != progress {}
        calls.push((id, hold));
    }
    let ended = world.call(account, usage(1_000, 1_000));
    let ended = payments::holds::HoldRequest { key: KeyId::new(START), ..ended };
    let id = ended.id;
    let mut hold = gone.holds.admit(ended).await.unwrap();
    hold.durable().await.unwrap();
    hold.progress(usage(9, 9));
    hold.settle(Some((usage(10, 10), false)), |_| receipt(id, account));
    gone.store.flushed().await.unwrap();
    gone.is_taken_for_dead(&database).await;
    drop(gone);
    assert_eq!(left.recover(&world).await, 3);
    for ((id, _hold), used) in calls.iter().zip([usage(300, 120), usage(250, 40), usage(250, 0)]) {
        let row = left.store.hold(*id).await.unwrap().unwrap();
        assert_eq!((row.state, row.estimated, row.usage), (HoldState::Settled, true, Some(used)));
    }
    assert_eq!(left.store.hold(id).await.unwrap().unwrap().usage, Some(usage(10, 10)));
    assert_gapless(&left, account).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_nodes_that_race_for_one_balance_never_admit_more_than_there_is() {
    let (database, world) = (Database::fresh().await, Arc::new(World::new()));
    let nodes = [Arc::new(Node::on(&database, &world).await), Arc::new(Node::on(&database, &world).await)];
    let each = 500 * RATE;
    let account = account(&nodes[0].store, NanoCny::new(40 * each + each / 2)).await;
    // A few at a time, so that neither is done before the other has begun.
    let mut admitted = Vec::new();
    for _ in 0..15 {
        admitted.extend(race(&nodes, &world, account, 4).await);
    }
    let wallet = nodes[0].store.wallets(account).await.unwrap().remove(0);
    let sum = each * i64::try_from(admitted.len()).unwrap();
    assert_eq!(wallet.held, sum, "what was promised is what is set aside");
    assert!(sum <= wallet.posted);
    assert!(admitted.len() >= 30, "it is nearly used up: {}", admitted.len());
    let by = |node| admitted.iter().filter(|(at, ..)| *at == node).count();
    assert!(by(0) > 0 && by(1) > 0, "both had a share: {} and {}", by(0), by(1));
    for (index, (_, id, hold)) in admitted.into_iter().enumerate() {
        hold.settle(Some((usage(index as u64 * 10, 10), false)), |_| receipt(id, account));
    }
    for node in &nodes {
        node.store.flushed().await.unwrap();
    }
    assert_eq!(nodes[0].store.open_holds().await.unwrap(), 0);
    assert_gapless(&nodes[0], account).await;
    for node in &nodes {
        node.store.load_balance(account, Asset::Cny).await.unwrap();
        let posted = node.store.wallets(account).await.unwrap().remove(0).posted;
        assert_eq!(node.admission.available(account, &Asset::Cny), Some(posted), "memory has nothing taken");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_nodes_together_never_pass_a_budget() {
    let (database, world) = (Database::fresh().await, Arc::new(World::new()));
    let nodes = [Arc::new(Node::on(&database, &world).await), Arc::new(Node::on(&database, &world).await)];
    let each = 500 * RATE;
    let account = account(&nodes[0].store, NanoCny::from_yuan(10)).await;
    let limit = Some(NanoCny::new(12 * each));
    let budget = Body::SetBudget { account, key: None, period: BudgetPeriod::Day, limit };
    let operator = |id: &str| Actor { id: id.to_owned(), role: Role::Operator };
    let (actor, reason, approver) = (operator("ann"), Some("a ticket".to_owned()), Some(operator("bob")));
    let budget = Command { actor, reason, approver, ..command("budget", START, budget) };
    nodes[0].store.submit(budget).await.unwrap();
    let admitted = race(&nodes, &world, account, 30).await;
    assert_eq!(admitted.len(), 12, "as many as the budget allows, and no more");
    for (_, id, hold) in admitted {
        hold.settle(Some((usage(250, 250), false)), |_| receipt(id, account));
    }
    for node in &nodes {
        node.store.flushed().await.unwrap();
    }
    assert_eq!(race(&nodes, &world, account, 5).await.len(), 0, "what was spent counts");
    assert_gapless(&nodes[1], account).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_calls_of_a_dead_node_are_ended_by_another_and_those_of_a_live_one_are_left_alone() {
    let (database, world) = (Database::fresh().await, World::new());
    let (dead, live) = (Node::on(&database, &world).await, Node::on(&database, &world).await);
    let heir = Node::on(&database, &world).await;
    let account = account(&heir.store, NanoCny::from_yuan(10)).await;
    let begin = async |node: &Node| {
        let call = world.call(account, usage(250, 250));
        let id = call.id;
        let mut hold = node.holds.admit(call).await.unwrap();
        hold.durable().await.unwrap();
        (id, hold)
    };
    let ((lost, lost_hold), (kept, kept_hold)) = (begin(&dead).await, begin(&live).await);
    assert_eq!(heir.recover(&world).await, 0, "all are alive");

    dead.is_taken_for_dead(&database).await;
    assert_eq!(heir.recover(&world).await, 1);
    let ended = heir.store.hold(lost).await.unwrap().unwrap();
    // Its journal is on another disk: the reckoned input is what is known.
    assert_eq!((ended.state, ended.cost.get(), ended.estimated), (HoldState::Settled, 7 * RATE, true));
    assert_eq!(heir.store.hold(kept).await.unwrap().unwrap().state, HoldState::Open);
    assert_eq!(heir.recover(&world).await, 0, "again it finds nothing");

    // It wakes: the end of its call reaches nobody, and nothing of it is written.
    let before = heir.store.state_hash().await.unwrap();
    lost_hold.settle(Some((usage(200, 200), false)), |_| receipt(lost, account));
    dead.store.stopped().await;
    let late = dead.store.submit(command("late", START, Body::StopAccount { account })).await;
    assert!(matches!(late, Err(SubmitError::Stopped(_))), "{late:?}");
    assert_eq!(heir.store.state_hash().await.unwrap(), before);

    kept_hold.settle(Some((usage(100, 100), false)), |_| receipt(kept, account));
    live.store.flushed().await.unwrap();
    assert_eq!(heir.store.hold(kept).await.unwrap().unwrap().cost.get(), 200 * RATE);
    assert_gapless(&heir, account).await;
}
