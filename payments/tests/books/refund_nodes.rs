//! Several nodes over one database refund as one would: each item is sent by one of them, and at a distance from the last.

use std::time::Duration;

use payments::{
    ledger::{Actor, RefundItemState},
    refund::RefundRequest,
};
use testbed::Database;
use units::{AccountId, Timestamp};

use crate::support::{Answer, FarSide, ManualClock, Op, Running, START, World, fen};

/// Nodes over one database, with one far side and one time.
async fn nodes<const N: usize>(database: &Database) -> [World; N] {
    let clock = ManualClock::at(START);
    let far = FarSide::new(clock.clone());
    let mut nodes = Vec::new();
    for _ in 0..N {
        nodes.push(World::node(database.url(), clock.clone(), far.clone()).await);
    }
    nodes.try_into().ok().unwrap()
}

async fn refund(node: &World, account: AccountId, amount: Option<i64>) {
    let wish = RefundRequest {
        account,
        actor: Actor::system("test"),
        amount: amount.map(fen),
        order: None,
        reason: None,
        why: None,
        approver: None,
        idempotency_key: None,
    };
    node.refunds.request(wish).await.unwrap();
}

async fn states(node: &World, account: AccountId) -> Vec<RefundItemState> {
    let refunds = node.store.refunds_of(account).await.unwrap();
    refunds.iter().flat_map(|(_, items)| items).map(|item| item.state).collect()
}

async fn all_are(node: &World, account: AccountId, state: RefundItemState) -> bool {
    states(node, account).await.iter().all(|found| *found == state)
}

fn at_least(gap: Duration, times: &[Timestamp]) {
    let gaps: Vec<_> = times.windows(2).map(|pair| pair[1].since(pair[0])).collect();
    assert!(gaps.iter().all(|found| *found >= gap), "{gaps:?}");
}

/// Nobody hears of it any more, and its lease has run out.
async fn is_taken_for_dead(node: &World, database: &Database) {
    let end = "UPDATE node_lease SET until = now() - interval '1 second' WHERE epoch = $1";
    database.connect().await.execute(end, &[&node.store.epoch()]).await.unwrap();
}

#[tokio::test]
async fn two_nodes_send_each_refund_once_and_keep_the_distances_of_one() {
    let database = Database::fresh().await;
    let [one, two] = nodes(&database).await;
    let (both, other) = (one.account().await, two.account().await);
    one.pay(both, 100).await;
    for _ in 0..3 {
        one.pay(other, 100).await;
    }
    // Two of one payment, asked for at either node, and three payments of somebody else's.
    refund(&one, both, Some(40)).await;
    refund(&two, both, Some(40)).await;
    refund(&two, other, None).await;
    let work = [Running::work(&one), Running::work(&two)];
    one.clock.run_until(async || all_are(&one, both, RefundItemState::Processing).await).await;
    one.clock.run_until(async || all_are(&two, other, RefundItemState::Processing).await).await;
    let sent = one.far.asked(Op::Refund);
    let mut numbers: Vec<_> = sent.iter().map(|asked| asked.number.clone()).collect();
    numbers.sort();
    numbers.dedup();
    assert_eq!((sent.len(), numbers.len()), (5, 5), "each once");
    let mut calls = [sent.clone(), one.far.asked(Op::QueryRefund)].concat();
    calls.sort_by_key(|asked| asked.at);
    at_least(Duration::from_millis(200), &calls.iter().map(|asked| asked.at).collect::<Vec<_>>());
    let of_both: Vec<_> =
        sent.iter().filter(|asked| asked.body["amount"]["refund"] == 40).map(|asked| asked.at).collect();
    assert_eq!(of_both.len(), 2);
    at_least(Duration::from_secs(61), &of_both);
    for task in work {
        task.end(&one).await;
    }
}

#[tokio::test]
async fn a_refund_that_a_living_node_has_sent_is_left_to_it() {
    let database = Database::fresh().await;
    let [owner, other] = nodes(&database).await;
    let account = owner.account().await;
    owner.pay(account, 100).await;
    owner.far.next(Op::Refund, [Answer::DoneThenHeld]);
    refund(&owner, account, None).await;
    let at_owner = Running::work(&owner);
    owner.clock.run_until(async || owner.far.asked(Op::Refund).len() == 1).await;
    // The other looks again and again, and finds an item whose answer nobody has.
    let at_other = Running::work(&other);
    for _ in 0..50 {
        let until = other.clock.first_sleeper().await;
        other.clock.move_to(until);
    }
    assert_eq!(states(&other, account).await, [RefundItemState::Sent]);
    assert_eq!(other.far.asked(Op::QueryRefund), [], "nobody is asked about what another waits for");
    owner.far.release();
    owner.clock.run_until(async || all_are(&other, account, RefundItemState::Processing).await).await;
    assert_eq!(owner.far.asked(Op::Refund).len(), 1);
    // It ends: the other goes on with what there is, without having to wait for a lease to run out.
    at_owner.end(&owner).await;
    owner.store.close().await;
    other.far.refunds_are("SUCCESS");
    other.clock.run_until(async || all_are(&other, account, RefundItemState::Success).await).await;
    at_other.end(&other).await;
}

#[tokio::test]
async fn what_a_dead_node_had_sent_another_asks_after_and_sends_no_second_time() {
    let database = Database::fresh().await;
    let [dead, heir] = nodes(&database).await;
    let account = dead.account().await;
    dead.pay(account, 100).await;
    dead.pay(account, 100).await;
    dead.far.next(Op::Refund, [Answer::DoneThenHeld]);
    refund(&dead, account, None).await;
    let at_dead = Running::work(&dead);
    dead.clock.run_until(async || dead.far.asked(Op::Refund).len() == 1).await;
    let first = dead.far.asked(Op::Refund).remove(0).number;
    is_taken_for_dead(&dead, &database).await;
    let at_heir = Running::work(&heir);
    heir.clock.run_until(async || all_are(&heir, account, RefundItemState::Processing).await).await;
    let sent = heir.far.asked(Op::Refund);
    assert_eq!(sent.len(), 2, "each once");
    let asked = heir.far.asked(Op::QueryRefund).remove(0);
    assert_eq!(asked.number, first);
    assert!(sent[1].at > asked.at, "nothing of this wallet before it is known what became of the first");
    // It wakes, with an answer in its hand, and writes nothing down.
    let before = heir.store.state_hash().await.unwrap();
    dead.far.release();
    dead.store.stopped().await;
    at_dead.stop.cancel();
    at_dead.task.await.unwrap();
    assert_eq!(heir.store.state_hash().await.unwrap(), before);
    at_heir.end(&heir).await;
}
