//! What a process leaves behind when it dies, and what the next one makes of it.

use std::io::Write as _;

use crate::support::{RATE, World, receipt, settings, usage};
use payments::{
    holds::AdmitError,
    journal::{Journal, Mark},
    ledger::{AccountRole, Asset, HoldState, Refusal, SettleEnd},
    reconcile::recover,
    store::{OpenError, Receipt, Store, SubmitError, is_in_use},
};
use units::{AccountId, Livemode, NanoCny, RequestId};

/// An open hold whose task died: it is neither settled nor does it keep the store from closing.
async fn died_holding(world: &World, account: AccountId, mark: Option<Mark>) -> RequestId {
    let call = world.call(account, usage(500, 500));
    let id = call.id;
    let mut hold = world.holds.admit(call).await.unwrap();
    hold.durable().await.unwrap();
    if let Some(mark) = mark {
        world.journal.note(id, &mark).unwrap();
    }
    drop(hold);
    id
}

#[tokio::test]
async fn each_orphan_ends_by_the_journals_word_or_by_the_least_it_has_cost() {
    let world = World::new();
    let account = world.account().await;
    world.pay(account, 100).await;
    let charge = |input, output| SettleEnd::Charge {
        usage: usage(input, output),
        estimated: false,
        extra: NanoCny::ZERO,
    };
    let ended = died_holding(&world, account, Some(Mark::End(charge(11, 22)))).await;
    let released = died_holding(&world, account, Some(Mark::End(SettleEnd::Release))).await;
    let running = died_holding(&world, account, Some(Mark::Progress(usage(11, 3)))).await;
    let silent = died_holding(&world, account, None).await;

    let world = world.reopened().await;
    assert_eq!(world.store.open_holds().await.unwrap(), 4);
    assert_eq!(recover(&world.store, &world.marks, &world.journal, &*world.clock).await.unwrap(), 4);
    for (id, state, tokens, estimated) in [
        (ended, HoldState::Settled, 33, false),
        (released, HoldState::Released, 0, false),
        (running, HoldState::Settled, 14, true),
        // The quote's estimate of the input.
        (silent, HoldState::Settled, 7, true),
    ] {
        let hold = world.store.hold(id).await.unwrap().unwrap();
        assert_eq!((hold.state, hold.cost.get(), hold.estimated), (state, tokens * RATE, estimated));
    }
    assert_eq!(world.journal.open_calls(), 0);
    world.assert_sound().await;

    // Once more, by the same run and by the next: nothing is left to do, and nothing changes.
    let lines = world.store.entries_of(account).await.unwrap();
    assert_eq!(recover(&world.store, &world.marks, &world.journal, &*world.clock).await.unwrap(), 0);
    let world = world.reopened().await;
    assert_eq!(recover(&world.store, &world.marks, &world.journal, &*world.clock).await.unwrap(), 0);
    assert_eq!(world.store.entries_of(account).await.unwrap(), lines);
    assert_eq!(world.wallet(account, &Asset::Cny).await.held, 0);
}

#[tokio::test]
async fn an_end_beyond_the_ledgers_range_does_not_keep_the_process_from_starting() {
    let world = World::new();
    let account = world.account().await;
    world.pay(account, 100).await;
    let end = SettleEnd::Charge { usage: usage(u64::MAX, 0), estimated: false, extra: NanoCny::ZERO };
    let id = died_holding(&world, account, Some(Mark::End(end))).await;
    let world = world.reopened().await;
    recover(&world.store, &world.marks, &world.journal, &*world.clock).await.unwrap();
    assert_eq!(world.store.hold(id).await.unwrap().unwrap().state, HoldState::Orphan);
    // The next start does not have that word any more, and charges the least.
    let world = world.reopened().await;
    recover(&world.store, &world.marks, &world.journal, &*world.clock).await.unwrap();
    assert_eq!(world.store.hold(id).await.unwrap().unwrap().cost.get(), 7 * RATE);
    world.assert_sound().await;
}

#[tokio::test]
async fn a_torn_tail_of_the_journal_costs_only_the_torn_mark() {
    let world = World::new();
    let account = world.account().await;
    world.pay(account, 100).await;
    let running = died_holding(&world, account, Some(Mark::Progress(usage(1, 1)))).await;
    let file =
        std::fs::read_dir(world.folder.path().join("journal")).unwrap().next().unwrap().unwrap().path();
    let whole = std::fs::read(&file).unwrap();
    // The same record again, half of it.
    std::fs::File::options().append(true).open(&file).unwrap().write_all(&whole[..whole.len() / 2]).unwrap();
    let world = world.reopened().await;
    assert_eq!(world.marks.get(&running), Some(&Mark::Progress(usage(1, 1))));
    recover(&world.store, &world.marks, &world.journal, &*world.clock).await.unwrap();
    assert_eq!(world.store.hold(running).await.unwrap().unwrap().cost.get(), 2 * RATE);
}

#[test]
fn every_cut_through_the_journal_leaves_whole_records_and_never_a_wrong_one() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = Journal::open(folder.path()).unwrap();
    let id = RequestId::new(crate::support::START);
    for output in 1..=5 {
        journal.note(id, &Mark::Progress(usage(0, output))).unwrap();
    }
    drop(journal);
    let bytes = std::fs::read(folder.path().join("00000001.log")).unwrap();
    let mut last = 0;
    for cut in 0..=bytes.len() {
        let other = tempfile::tempdir().unwrap();
        std::fs::write(other.path().join("00000001.log"), &bytes[..cut]).unwrap();
        let (_, marks) = Journal::open(other.path()).unwrap();
        let output = match marks.get(&id) {
            Some(Mark::Progress(usage)) => usage.output.0,
            None => 0,
            Some(other) => panic!("{other:?}"),
        };
        assert!(output == last || output == last + 1, "after {cut} bytes: {output}");
        last = output;
        // A flipped bit is no record either.
        if cut > 0 {
            let mut flipped = bytes[..cut].to_vec();
            flipped[cut - 1] ^= 1;
            std::fs::write(other.path().join("00000001.log"), &flipped).unwrap();
            let (_, marks) = Journal::open(other.path()).unwrap();
            assert!(
                marks.values().all(|mark| matches!(mark, Mark::Progress(usage) if usage.output.0 <= output))
            );
        }
    }
    assert_eq!(last, 5);
}

#[test]
fn opening_the_journal_a_second_time_touches_nothing_of_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let (first, _) = Journal::open(folder.path()).unwrap();
    let id = RequestId::new(crate::support::START);
    first.note(id, &Mark::Progress(usage(0, 1))).unwrap();
    first.forget(id);
    // Turned away at the store's lock, the second is gone again.
    drop(Journal::open(folder.path()).unwrap());
    first.note(id, &Mark::Progress(usage(0, 2))).unwrap();
    drop(first);
    let (_, marks) = Journal::open(folder.path()).unwrap();
    assert_eq!(marks[&id], Mark::Progress(usage(0, 2)));
}

#[test]
fn files_of_ended_calls_are_cleared_away_by_the_next_run() {
    let folder = tempfile::tempdir().unwrap();
    let id = RequestId::new(crate::support::START);
    for _ in 0..5 {
        let (journal, _) = Journal::open(folder.path()).unwrap();
        journal.note(id, &Mark::Progress(usage(0, 1))).unwrap();
    }
    // Each run's mark is later than the one before: only the last file speaks for the call.
    let files = || std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(files(), 1);
    let (journal, _) = Journal::open(folder.path()).unwrap();
    journal.forget(id);
    assert_eq!(files(), 0);
}

#[tokio::test]
async fn a_second_process_is_turned_away_and_a_third_finds_the_door_open() {
    let world = World::new();
    let folder = world.folder.path().to_owned();
    assert!(is_in_use(&folder).unwrap());
    let (second, _) = settings(&folder);
    assert!(matches!(Store::open(second), Err(OpenError::InUse(_))));
    world.store.clone().close().await;
    assert!(!is_in_use(&folder).unwrap());
    let (third, _) = settings(&folder);
    let third = Store::open(third).unwrap();
    assert_eq!(third.epoch(), world.store.epoch() + 1);
    third.close().await;
    assert!(!is_in_use(&folder.join("nothing")).unwrap());
}

#[tokio::test]
async fn the_file_is_kept_as_money_needs_it() {
    let world = World::new();
    world.account().await;
    let folder = world.folder.path().to_owned();
    world.store.clone().close().await;
    let db = rusqlite::Connection::open(folder.join("ledger.db")).unwrap();
    let mode: String = db.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
    let rewrite = db.execute("UPDATE chain SET entries = 0", []);
    let erase = db.execute("DELETE FROM entry", []);
    drop(db);
    assert!(rewrite.is_ok() && erase.is_ok(), "nothing is in them yet");
    let world = World::open(world.folder, world.clock, world.far);
    let account = world.account().await;
    world.pay(account, 5).await;
    world.store.clone().close().await;
    let db = rusqlite::Connection::open(folder.join("ledger.db")).unwrap();
    for forbidden in [
        "UPDATE entry SET amount = 1",
        "DELETE FROM entry",
        "UPDATE chain SET entries = 0",
        "DELETE FROM chain",
        "UPDATE wallet SET posted = -1",
        "UPDATE lot SET consumed = consumed + 1",
    ] {
        assert!(db.execute(forbidden, []).is_err(), "{forbidden}");
    }
    db.pragma_update(None, "user_version", 99).unwrap();
    drop(db);
    let (settings, _) = settings(&folder);
    assert!(
        matches!(Store::open(settings), Err(OpenError::Migrate(_))),
        "a later program's file is left alone"
    );
}

#[tokio::test]
async fn what_somebody_changed_in_the_file_is_found() {
    let spoil = async |statement: &str| {
        let world = World::new();
        let account = world.account().await;
        world.pay(account, 500).await;
        let call = world.call(account, usage(5, 5));
        let id = call.id;
        let hold = world.holds.admit(call).await.unwrap();
        hold.settle(Some((usage(5, 5), false)), |_| receipt(id, account));
        world.assert_sound().await;
        let World { folder, clock, far, store, .. } = world;
        store.close().await;
        let db = rusqlite::Connection::open(folder.path().join("ledger.db")).unwrap();
        db.execute_batch(
            "PRAGMA ignore_check_constraints = 1; DROP TRIGGER entry_keeps; DROP TRIGGER entry_stays;",
        )
        .unwrap();
        assert!(db.execute(statement, []).unwrap() > 0, "{statement}");
        drop(db);
        let world = World::open(folder, clock, far);
        let findings = world.store.verify().await.unwrap();
        assert!(!findings.0.is_empty(), "{statement}");
    };
    for statement in [
        "UPDATE wallet SET posted = posted + 1",
        "UPDATE hold SET state = 'open', money = 6000000000",
        "UPDATE lot SET rem = rem + 1",
        "UPDATE entry SET amount = amount + 1 WHERE kind = 'settle'",
        "UPDATE entry SET at = at + 1 WHERE seq = 1",
        "DELETE FROM entry WHERE seq = (SELECT max(seq) FROM entry)",
        "UPDATE hold SET cost = cost + 1",
        "UPDATE pay_order SET state = 'pending'",
    ] {
        spoil(statement).await;
    }
}

#[tokio::test]
async fn a_full_queue_is_told_before_anything_is_held_and_payments_still_get_through() {
    let world = World::new();
    let account = world.account().await;
    world.pay(account, 100).await;
    let mut slots = Vec::new();
    let full = loop {
        match world.store.reserve() {
            Ok(slot) => slots.push(slot),
            Err(error) => break error,
        }
    };
    assert_eq!(full, SubmitError::Busy);
    let refused = world.holds.admit(world.call(account, usage(1, 1))).await.unwrap_err();
    assert_eq!(refused, AdmitError::Store(SubmitError::Busy));
    world.pay(account, 100).await;
    world.assert_sound().await;
    slots.truncate(2);
    let call = world.call(account, usage(1, 1));
    let id = call.id;
    let hold = world.holds.admit(call).await.unwrap();
    hold.settle(None, |_| receipt(id, account));
    world.assert_sound().await;
}

#[tokio::test]
async fn a_settlement_after_the_doors_closed_is_still_written() {
    let world = World::new();
    let account = world.account().await;
    world.pay(account, 100).await;
    let call = world.call(account, usage(5, 5));
    let id = call.id;
    let mut hold = world.holds.admit(call).await.unwrap();
    hold.durable().await.unwrap();
    let closing = world.store.clone().close();
    let settling = async {
        world.store.stopped().await;
        assert!(matches!(
            world
                .submit(
                    "late",
                    payments::ledger::Body::OrderNoted {
                        order: units::OrderId::new(crate::support::START),
                        event: String::new(),
                        source: String::new(),
                        detail: None,
                    }
                )
                .await,
            Err(SubmitError::Stopped(_))
        ));
        hold.settle(Some((usage(5, 5), false)), |_| receipt(id, account));
    };
    tokio::join!(closing, settling);
    let World { folder, clock, far, .. } = world;
    let world = World::open(folder, clock, far);
    assert_eq!(world.store.hold(id).await.unwrap().unwrap().cost.get(), 10 * RATE);
    assert_eq!(world.store.open_holds().await.unwrap(), 0);
}

#[tokio::test]
async fn a_receipt_is_there_for_its_account_and_for_no_other() {
    let world = World::new();
    let (account, other) = (world.account().await, world.account().await);
    world.pay(account, 100).await;
    let call = world.call(account, usage(5, 5));
    let id = call.id;
    let hold = world.holds.admit(call).await.unwrap();
    let at = crate::support::START;
    let charged = hold.settle(Some((usage(5, 5), false)), |charged| Receipt {
        id,
        account,
        at,
        body: format!("{{\"cost\":\"{}\"}}", charged.cost),
    });
    world.store.flushed().await.unwrap();
    assert_eq!(charged.available, NanoCny::new(1_000_000_000 - 10 * RATE));
    let body = world.store.receipt(id, account).await.unwrap();
    assert_eq!(body.as_deref(), Some("{\"cost\":\"0.00002\"}"));
    assert_eq!(world.store.receipt(id, other).await.unwrap(), None);
}

#[tokio::test]
async fn who_may_not_call_is_told_why_and_nothing_is_taken() {
    let world = World::new();
    let (account, live) =
        (world.account().await, world.account_of(AccountRole::Customer, Livemode::Live).await);
    let nobody = AccountId::new(crate::support::START);
    assert_eq!(world.holds.admit(world.call(nobody, usage(1, 1))).await.unwrap_err(), AdmitError::Inactive);
    let demo = world.holds.admit(world.call(live, usage(1, 1))).await.unwrap_err();
    assert_eq!(demo, AdmitError::Livemode(Livemode::Live));
    let (available, held) = (NanoCny::ZERO, NanoCny::ZERO);
    let required = NanoCny::new(2 * RATE);
    let poor = world.holds.admit(world.call(account, usage(1, 1))).await.unwrap_err();
    assert_eq!(poor, AdmitError::Insufficient { available, required, held });
    let endless = world.holds.admit(world.call(account, usage(u64::MAX, 1))).await.unwrap_err();
    assert_eq!(endless, AdmitError::OutOfRange);
    let house = world.account_of(AccountRole::House, Livemode::Demo).await;
    let call = world.call(house, usage(1, 1));
    let id = call.id;
    let mut ours = world.holds.admit(call).await.unwrap();
    ours.durable().await.unwrap();
    assert!(ours.extend(&usage(1_000, 1_000)));
    let charged = ours.settle(Some((usage(3, 3), false)), |_| receipt(id, house));
    assert_eq!(charged.cost.get(), 6 * RATE);
    world.assert_sound().await;
    assert_eq!(world.store.hold(id).await.unwrap().unwrap().cost, charged.cost);
}

#[tokio::test]
async fn two_keys_of_one_digest_do_not_stop_the_store() {
    let world = World::new();
    let account = world.account().await;
    let key = || crate::support::api_key(units::KeyId::new(crate::support::START), account, "d");
    world.submit("k1", payments::ledger::Body::AddKey(key())).await.unwrap();
    let refused = world.submit("k2", payments::ledger::Body::AddKey(key())).await;
    assert_eq!(refused, Err(SubmitError::Refused(Refusal::KeyExists)));
    assert!(world.store.is_running());
}
