//! Random commands against the whole ledger: thirty invariants after every step, on three stores.
//!
//! `steps` says what is asked, `cast` who is meant, `world` carries it out on the reference and remembers everything,
//! `invariants` look at it, `replay` has SQLite and PostgreSQL carry out the same commands, and `mutations` make a mistake
//! for each invariant, which it must find. The runs are the same each time; `TOLLGATE_CASES=25` makes so many times more, new ones.
//!
//! | | what holds | where it is looked at | what it must find |
//! | --- | --- | --- | --- |
//! | 1 | debits equal credits, by asset | `invariants/books`, after each step | `DropsLine` |
//! | 2 | a lot's parts are what came in | `invariants/books` | `LotGrows` |
//! | 3 | a balance is its lots, what is held its holds | `invariants/books` | `BalanceDrifts` |
//! | 4 | nothing is negative, no more held than there is | `invariants/books` | `HeldBelowZero` |
//! | 5 | a hold ends once, all of it freed | `invariants/calls` | `HoldLeaks` |
//! | 6 | an overrun takes only what is free | `invariants/calls` | `OverrunCharged` |
//! | 7 | use follows the burn order | `invariants/calls` | `BurnsBackwards` |
//! | 8 | one payment at most is partly used | `invariants/calls`, while nothing but use touches an account | `SpreadsUse` |
//! | 9 | a payment is credited once, whatever the order of its news | `invariants/orders`; permutations in `any_order` | `CreditsTwice` |
//! | 10 | credited = ordered = told | `invariants/orders` | `CreditsMore` |
//! | 11 | refunds are split in proportion, to the fen | `invariants/refunds` | `RefundUneven` |
//! | 12 | a refund leaves what calls are promised | `invariants/refunds` | `SkipsPledge` |
//! | 13 | cash = left + on its way back + used | `invariants/books` | `CashLost` |
//! | 14 | nobody profits | `invariants/books` | `RefundsUsed` |
//! | 15 | one number, one payload | `invariants/refunds`; one in flight and the distance in `crate::orders` | `PayloadChanges` |
//! | 16 | lending is bounded and ends | `invariants/lending` | `LendsMore` |
//! | 17 | gifts never leave as cash, a bonus shrinks with its payment, and what was used of it beyond its share is owed | `invariants/refunds` | `KeepsBonus`, `ForgivesBonus` |
//! | 18 | a cost follows from its row | `invariants/calls` | `CostRounded` |
//! | 19 | only dust is swept | `invariants/books` | `DustTwice` |
//! | 20 | a foreign price names a rate that was given and fresh | `invariants/calls` | `RateForgotten` |
//! | 21 | a repeat changes nothing, a reused key is refused | `invariants/words`, each command is asked again at once | `ForgetsKeys` |
//! | 22 | a refusal changes nothing | `invariants/words` | `RefusalWrites` |
//! | 23 | acknowledged is there after a crash | `crash`, on the files of a running store | `Spoiled::OldFiles` |
//! | 24 | recovery is idempotent, also when it crashes | `crash` | `Spoiled::BetweenRecoveries` |
//! | 25 | memory = SQLite = PostgreSQL | `replay`, after each batch; every command on PostgreSQL in `reach`; `invariants/needs` | a lost command, `WritesUnseen` |
//! | 26 | no gap, a chain, copy + tail = whole | `invariants/books`; chain and copies in `replay` | `NumbersTwice`, a lost command |
//! | 27 | nothing wraps, use never credits | `invariants/books` | `Wraps` |
//! | 28 | only legal edges | `invariants/edges` | `EndMoves` |
//! | 29 | what WeChat Pay was told to us to hold is what the books say | `invariants/books`; the bill's own rows are laid beside it in `crate::reconciling` | `FeeLost` |
//! | 30 | no more is admitted than there is | `invariants/calls`; threads in `crowd` | `AdmitsMore`, who does not heed admission |
#![allow(unreachable_pub, reason = "a module of a test binary")]

mod any_order;
mod cast;
mod crash;
mod crowd;
mod invariants;
mod mutations;
mod reach;
mod replay;
mod steps;
mod world;

use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{FileFailurePersistence, RngSeed, TestRunner},
};

use self::{
    crash::Spoiled,
    mutations::Mutation,
    steps::{By, Step, steps},
    world::{run, sound},
};

/// Of the cases that every run of the tests looks at.
const SEED: u64 = 20_261_122;

/// So many cases of one seed, the same each time; as many times more of a seed of their own where the environment asks
/// for them, as `scripts/long` does: what is new is looked for there, and what was found is held here.
pub(crate) fn config(cases: u32) -> ProptestConfig {
    #[expect(clippy::disallowed_methods, reason = "tests have no settings")]
    let factor = std::env::var("TOLLGATE_CASES").ok();
    let (factor, rng_seed) = match factor {
        None => (1, RngSeed::Fixed(SEED)),
        Some(text) => (text.parse().expect("TOLLGATE_CASES is a number"), ProptestConfig::default().rng_seed),
    };
    ProptestConfig {
        cases: cases.saturating_mul(factor),
        rng_seed,
        max_shrink_iters: 4_000,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    }
}

fn blocking<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// The same steps every time: the `runs` first of a fixed seed.
fn fixed(runs: usize, length: usize) -> impl Iterator<Item = Vec<(By, Step)>> {
    let mut runner = TestRunner::deterministic();
    let strategy = prop::collection::vec(steps::step(), length);
    (0..runs).map(move |_| strategy.new_tree(&mut runner).unwrap().current())
}

proptest! {
    #![proptest_config(config(60))]

    #[test]
    fn the_books_hold_after_every_step(steps in steps(300)) {
        sound(&steps);
    }
}

proptest! {
    #![proptest_config(config(12))]

    #[test]
    fn memory_and_disk_say_the_same(steps in steps(200), together in 1..40_usize) {
        let world = sound(&steps);
        blocking(replay::on_disk(&world, together, None)).unwrap_or_else(|what| panic!("{what}"));
    }
}

proptest! {
    #![proptest_config(config(12))]

    #[test]
    fn memory_and_postgres_say_the_same(steps in steps(200), together in 1..40_usize) {
        let world = sound(&steps);
        blocking(replay::on_postgres(&world, together)).unwrap_or_else(|what| panic!("{what}"));
    }
}

proptest! {
    #![proptest_config(config(8))]

    #[test]
    fn what_was_acknowledged_outlives_a_crash_and_recovery_comes_to_the_same_each_time(steps in steps(80), part in 0..100_usize) {
        let world = sound(&steps);
        let acknowledged = world.log.len() * part / 100;
        blocking(crash::crashed(&world, acknowledged, Spoiled::Nothing)).unwrap_or_else(|what| panic!("{what}"));
    }
}

proptest! {
    #![proptest_config(config(6))]

    #[test]
    fn callers_at_once_are_never_admitted_beyond_the_balance(amounts in prop::collection::vec(1..2_000_i64, 20..60)) {
        let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
        threads.block_on(crowd::called(&amounts, true)).unwrap_or_else(|what| panic!("{what}"));
    }
}

/// Runs until the invariant of this number complains; what it says.
fn found(number: u8, mutation: Mutation) -> Option<String> {
    let named = invariants::CHECKS.iter().find(|(n, _)| *n == number);
    let check = named.map_or(invariants::n29_the_bill_is_booked as invariants::Check, |(_, check)| *check);
    fixed(400, 160).find_map(|steps| run(&steps, Some(mutation), check).err())
}

#[test]
fn each_invariant_finds_the_mistake_it_is_there_for() {
    let mistakes = [
        (1, Mutation::DropsLine),
        (2, Mutation::LotGrows),
        (3, Mutation::BalanceDrifts),
        (4, Mutation::HeldBelowZero),
        (5, Mutation::HoldLeaks),
        (6, Mutation::OverrunCharged),
        (7, Mutation::BurnsBackwards),
        (8, Mutation::SpreadsUse),
        (9, Mutation::CreditsTwice),
        (10, Mutation::CreditsMore),
        (11, Mutation::RefundUneven),
        (12, Mutation::SkipsPledge),
        (13, Mutation::CashLost),
        (14, Mutation::RefundsUsed),
        (15, Mutation::PayloadChanges),
        (16, Mutation::LendsMore),
        (17, Mutation::KeepsBonus),
        (17, Mutation::ForgivesBonus),
        (18, Mutation::CostRounded),
        (19, Mutation::DustTwice),
        (20, Mutation::RateForgotten),
        (21, Mutation::ForgetsKeys),
        (22, Mutation::RefusalWrites),
        (25, Mutation::WritesUnseen),
        (26, Mutation::NumbersTwice),
        (27, Mutation::Wraps),
        (28, Mutation::EndMoves),
        (29, Mutation::FeeLost),
        (30, Mutation::AdmitsMore),
    ];
    let blind: Vec<_> =
        mistakes.into_iter().filter(|(number, mistake)| found(*number, *mistake).is_none()).collect();
    assert!(blind.is_empty(), "blind: {blind:?}");
}

#[test]
fn what_is_about_files_and_crowds_finds_its_mistake_too() {
    // One command that came early and wrote something, and one that came late.
    let wrote = |world: &world::World, half: std::ops::Range<usize>| {
        let is_line = |op: &payments::ledger::RowOp| matches!(op, payments::ledger::RowOp::Entry(_));
        half.rev().find(|n| world.log[*n].ops.iter().any(is_line))
    };
    let found = fixed(20, 60).find_map(|steps| {
        let world = sound(&steps);
        let half = world.log.len() / 2;
        let (early, late) = (wrote(&world, 0..half)?, wrote(&world, half..world.log.len())?);
        Some((world, early, late))
    });
    let (world, early, late) = found.unwrap();
    let said = |outcome: Result<(), String>, number: u8| {
        let what = outcome.unwrap_err();
        assert!(what.starts_with(&format!("invariant {number}:")), "{number} was to be found: {what}");
    };
    let whole = world.log.len() - 13;
    assert!(whole > 40, "files older than the last acknowledgement need more than a batch");
    said(blocking(crash::crashed(&world, whole, Spoiled::OldFiles)), 23);
    said(blocking(crash::crashed(&world, whole, Spoiled::BetweenRecoveries)), 24);
    said(blocking(replay::on_disk(&world, 10, Some(early))), 25);
    said(blocking(replay::on_disk(&world, 10, Some(late))), 26);
    let threads = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    said(threads.block_on(crowd::called(&[900; 30], false)), 30);
}
