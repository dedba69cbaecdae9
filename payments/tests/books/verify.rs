//! Would the books notice? Each rule of `verify` is broken once, behind the program's back, and has to say so.

use crate::support::{World, fen, receipt, token_kind, usage};
use payments::holds::Holds;
use rusqlite::Connection;
use units::AccountId;

/// Books with something of everything: a promotion aside, a payment partly used, tokens, an open hold, a refund.
async fn some_trade() -> World {
    let world = World::new();
    let account = world.account().await;
    world.pay(account, 1_000).await;
    world.pay_for(account, 200, token_kind(1_000, 2_000_000)).await;
    let spent = call(&world.holds, &world, account).await;
    spent.settle(Some((usage(1_200, 300), false)), |_| {
        receipt(units::RequestId::new(crate::support::START), account)
    });
    // The first were used up: of these the open call is promised some.
    world.pay_for(account, 100, token_kind(500, 2_000_000)).await;
    let open = call(&world.holds, &world, account).await;
    // Stays open: what a running call looks like to whoever verifies meanwhile.
    std::mem::forget(open);
    world.store.flushed().await.unwrap();
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
    world
}

async fn call(holds: &Holds, world: &World, account: AccountId) -> payments::holds::OpenHold {
    let mut hold = holds.admit(world.call(account, usage(2_000, 1_000))).await.unwrap();
    hold.durable().await.unwrap();
    hold
}

/// What is done to the file, and which rule has to notice.
const TAMPERINGS: &[(&str, &str)] = &[
    (
        "UPDATE lot SET rem = rem - 1, consumed = consumed + 1 WHERE class = 'paid'",
        "a balance is the sum of its lots: not so for",
    ),
    (
        "UPDATE hold SET money = (SELECT posted + 1 FROM wallet WHERE asset = 'CNY') WHERE state = 'open'",
        "no more is held of a balance than is posted: not so for",
    ),
    (
        // Two such holds are beyond what an amount can say, and have to be found all the same.
        "UPDATE hold SET state = 'orphan', money = 9223372036854775807",
        "no more is held of a balance than is posted: not so for",
    ),
    (
        "UPDATE wallet SET posted = 0 WHERE asset <> 'CNY'",
        "no more is held of a balance than is posted: not so for",
    ),
    ("DELETE FROM wallet WHERE asset <> 'CNY'", "no more is held of a balance than is posted: not so for"),
    (
        "UPDATE hold SET tokens_milli = tokens_milli + 1 WHERE state = 'open'",
        "the tokens that a hold sets aside are those of its legs: not so for",
    ),
    (
        "UPDATE wallet SET posted = posted + 7 WHERE asset = 'CNY';
         UPDATE lot SET rem = rem + 7, orig = orig + 7 WHERE class = 'paid'",
        "the journal gives the balance and what is being refunded: not so for",
    ),
    (
        "UPDATE lot SET refunding = refunding + 5, orig = orig + 5 WHERE class = 'paid'",
        "the journal gives the balance and what is being refunded: not so for",
    ),
    (
        "UPDATE wallet SET lines = lines + 1 WHERE asset = 'CNY'",
        "the last line of the journal says what the balance is: not so for",
    ),
    (
        "DROP TRIGGER entry_keeps; UPDATE entry SET balance = balance + 1 WHERE account <> ''",
        "the last line of the journal says what the balance is: not so for",
    ),
    (
        "UPDATE hold SET cost = cost + 1 WHERE state = 'settled'",
        "what calls cost is what was taken for them: not so for",
    ),
    (
        "UPDATE pay_order SET state = 'pending'",
        "a paid order has exactly one credit of its amount: not so for",
    ),
    (
        "UPDATE pay_order SET amount_fen = amount_fen + 1",
        "a paid order has exactly one credit of its amount: not so for",
    ),
    ("UPDATE account SET debt = debt + 1", "what an account owes is what the journal says: not so for"),
    (
        "UPDATE lot SET class = 'bonus' WHERE class = 'paid'",
        "what was used of a bonus is what calls took of it and was not charged as a debt: not so for",
    ),
    (
        "INSERT INTO suspense_payment (transaction_id, state, amount_fen, body) VALUES ('T', 'open', 5, '{}')",
        "what lies in suspense is what was put aside: not so for",
    ),
    (
        "UPDATE lot SET paid_fen = paid_fen - 1 WHERE class = 'paid'",
        "no payment gives back more than came in: not so for",
    ),
    (
        "DROP TRIGGER entry_keeps; UPDATE entry SET balance = balance + 1 WHERE n = 2 AND account <> ''",
        "each line of a balance is the next one and says what the balance came to: not so for",
    ),
    (
        "DROP TRIGGER entry_keeps; UPDATE entry SET n = n + 1000000 WHERE account <> '' AND asset = 'CNY' AND n > 1",
        "each line of a balance is the next one and says what the balance came to: not so for",
    ),
    (
        "UPDATE lot SET consumed = consumed + 1 WHERE class = 'paid'",
        "what came in with a lot is what is left of it and where the rest went: not so for",
    ),
    (
        "INSERT INTO bill_day (mchid, day, state, open, body) VALUES ('16', '2025-10-08', 'differs', 1, '{}')",
        "a day of a bill counts the differences that are open: not so for 16 2025-10-08",
    ),
    (
        "INSERT INTO bill_difference (id, mchid, day, state, body) VALUES ('d', '16', '2025-10-08', 'open', '{}')",
        "a day of a bill counts the differences that are open: not so for 16 2025-10-08",
    ),
    (
        "UPDATE pay_order SET refunded_fen = refunded_fen + 1, state = 'partially_refunded'",
        "what an order gave back is what the journal says, and its state says so: not so for",
    ),
    (
        "UPDATE pay_order SET state = 'refunded'",
        "what an order gave back is what the journal says, and its state says so: not so for",
    ),
    (
        "DROP TRIGGER entry_keeps; UPDATE entry SET amount = amount + 1 WHERE seq = 1",
        "the chain breaks at batch 1",
    ),
    (
        "DROP TRIGGER entry_stays; DELETE FROM entry WHERE seq = (SELECT max(seq) FROM entry)",
        "the chain breaks at batch",
    ),
    (
        "DROP TRIGGER chain_keeps; UPDATE chain SET hash = zeroblob(32) WHERE batch = 2",
        "the chain breaks at batch 2",
    ),
    (
        "DROP TRIGGER chain_stays; DELETE FROM chain WHERE batch = (SELECT max(batch) FROM chain)",
        "the journal has lines in lane 0 that no link of the chain covers",
    ),
];

#[tokio::test]
async fn every_rule_notices_when_it_is_broken() {
    for (tampering, expected) in TAMPERINGS {
        let world = some_trade().await;
        assert_eq!(world.store.verify().await.unwrap().0, Vec::<String>::new(), "before: {tampering}");
        let file = Connection::open(world.folder.path().join("ledger.db")).unwrap();
        // The tables' own checks would stop most of this; a damaged file has none.
        file.pragma_update(None, "ignore_check_constraints", "ON").unwrap();
        file.execute_batch(tampering).unwrap();
        drop(file);
        let found = world.store.verify().await.unwrap().0;
        assert!(found.iter().any(|finding| finding.starts_with(expected)), "{tampering}: {found:#?}");
    }
}
