//! Crash at every effect: whatever the process was writing when it died, or the disk filled, or the power went, the next
//! one finds every acknowledged outcome, and of what was not acknowledged all or nothing.
//!
//! The effects are what SQLite and the journal do to the disk, each write of a page and each flush, counted by
//! `testbed::disk`: between two SQL statements of a commit nothing reaches it, and within one commit many do.
//! `TOLLGATE_EFFECTS=all` takes every one of them; without it, of the pages of one commit the first, the last and some
//! between. `scripts/long` takes all.

mod life;
mod scenario;

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use payments::store::StateHash;
use testbed::{
    Fault,
    disk::images::{Image, power_cuts},
};

use self::{
    life::{Place, begins_again, empty_books, goes_on},
    scenario::Scenario,
};
use crate::support::ManualClock;

/// Threads that go through the effects of one test.
const HANDS: usize = 2;

#[expect(clippy::disallowed_methods, reason = "how much a test does is its runner's to say")]
fn every_effect() -> bool {
    std::env::var("TOLLGATE_EFFECTS").is_ok_and(|wish| wish == "all")
}

/// Does something for each of `all`, on some threads, each with a runtime of its own.
fn each<T: Sync>(all: &[T], one: impl AsyncFn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..HANDS {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                while let Some(item) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    runtime.block_on(one(item));
                }
            });
        }
    });
}

fn run<T>(what: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(what)
}

/// The effects of a life without a crash, as numbers: those to die at.
async fn points(books: &Image, scenario: &Scenario) -> Vec<u64> {
    let place = Place::with(books);
    let mut process = place.open().unwrap();
    assert_eq!(process.lives(&place, scenario, 0).await, scenario.acts.len());
    assert_eq!(process.store.state_hash().await.unwrap(), *scenario.hashes.last().unwrap());
    process.ends().await;
    let count = place.disk.effects();
    if every_effect() { (1..=count).collect() } else { place.disk.turning_points() }
}

/// Lives the scenario until the disk fails at this effect; how many steps were acknowledged.
async fn fails_at(place: &Place, scenario: &Scenario, effect: u64, fault: Fault) -> usize {
    place.disk.fails_at(effect, fault);
    let Ok(mut process) = place.open() else { return 0 };
    let done = process.lives(place, scenario, 0).await;
    process.ends().await;
    done
}

#[test]
fn a_crash_at_any_effect_loses_nothing_acknowledged_and_the_same_commands_lead_to_the_same_end() {
    let (books, scenario) = (run(empty_books()), Scenario::whole());
    let points = run(points(&books, &scenario));
    assert!(points.len() > 300, "{}", points.len());
    println!("dead at {} effects of a life", points.len());
    each(&points, async |&effect| {
        let place = Place::with(&books);
        // In turns: dead before the effect, or in the middle of it.
        let fault = if effect % 2 == 0 { Fault::Dies } else { Fault::Tears };
        let done = fails_at(&place, &scenario, effect, fault).await;
        let (process, there, _) = begins_again(&place, &scenario, done).await;
        goes_on(process, &place, &scenario, there).await;
    });
}

#[test]
fn a_crash_at_any_effect_of_the_recovery_changes_nothing_of_what_it_comes_to() {
    let (books, scenario) = (run(empty_books()), Scenario::whole());
    let points = run(points(&books, &scenario));
    let points: Vec<u64> = points.into_iter().step_by(if every_effect() { 1 } else { 3 }).collect();
    // Where a call is open there is something to recover.
    let open = Mutex::new(Vec::new());
    each(&points, async |&effect| {
        let place = Place::with(&books);
        let done = fails_at(&place, &scenario, effect, Fault::Dies).await;
        let left = place.image();
        let (process, there, recovered) = begins_again(&place, &scenario, done).await;
        process.ends().await;
        if recovered != scenario.hashes[there] {
            open.lock().unwrap().push((effect, left, recovered));
        }
    });
    let mut open = open.into_inner().unwrap();
    open.sort_by_key(|(effect, ..)| *effect);
    let every = if every_effect() { 1 } else { (open.len() / 10).max(1) };
    let chosen: Vec<_> = open.into_iter().step_by(every).collect();
    assert!(chosen.len() >= 10, "{}", chosen.len());
    let pairs = AtomicUsize::new(0);
    each(&chosen, async |(effect, left, recovered)| {
        for second in second_crashes(left, &scenario, recovered).await {
            crashes_again(left, &scenario, *effect, second, recovered).await;
            pairs.fetch_add(1, Ordering::Relaxed);
        }
    });
    println!("dead at {} effects, and again at {} of the recoveries", chosen.len(), pairs.into_inner());
}

/// The effects of a recovery that nothing disturbs.
async fn second_crashes(left: &Image, scenario: &Scenario, recovered: &StateHash) -> Vec<u64> {
    let place = Place::with(left);
    let process = place.open().unwrap();
    process.recover(&*ManualClock::at(scenario.end())).await.unwrap();
    assert_eq!(process.store.state_hash().await.unwrap(), *recovered);
    process.ends().await;
    let count = place.disk.effects();
    if every_effect() { (1..=count).collect() } else { place.disk.turning_points() }
}

async fn crashes_again(left: &Image, scenario: &Scenario, first: u64, second: u64, recovered: &StateHash) {
    let clock = ManualClock::at(scenario.end());
    let place = Place::with(left);
    place.disk.fails_at(second, Fault::Dies);
    if let Ok(process) = place.open() {
        // Where it dies after its last commit, it has recovered.
        let _ = process.recover(&*clock).await;
        process.ends().await;
    }
    place.disk.works();
    let process = place.open().unwrap();
    process.recover(&*clock).await.unwrap();
    let found = process.store.state_hash().await.unwrap();
    assert_eq!(found, *recovered, "dead at {first}, and again at {second} of the recovery");
    assert_eq!(process.store.verify().await.unwrap().0, Vec::<String>::new());
    process.ends().await;
}

#[test]
fn a_crash_at_any_effect_of_the_first_start_leaves_a_folder_that_starts() {
    let (nothing, scenario) = (Image::default(), Scenario::short());
    let place = Place::with(&nothing);
    run(async { place.open().unwrap().ends().await });
    let count = place.disk.effects();
    let points = if every_effect() { (1..=count).collect() } else { place.disk.turning_points() };
    each(&points, async |&effect| {
        let place = Place::with(&nothing);
        place.disk.fails_at(effect, Fault::Dies);
        if let Ok(process) = place.open() {
            process.ends().await;
        }
        let (process, _, _) = begins_again(&place, &scenario, 0).await;
        process.ends().await;
    });
}

#[test]
fn a_disk_that_fills_at_any_effect_stops_the_books_and_with_room_again_nothing_is_wrong() {
    let (books, scenario) = (run(empty_books()), Scenario::whole());
    let points = run(points(&books, &scenario));
    let some: Vec<u64> = points.into_iter().step_by(if every_effect() { 1 } else { 7 }).collect();
    each(&some, async |&effect| {
        let place = Place::with(&books);
        let done = fails_at(&place, &scenario, effect, Fault::Fills).await;
        let (process, there, _) = begins_again(&place, &scenario, done).await;
        goes_on(process, &place, &scenario, there).await;
    });
}

#[test]
fn whatever_a_power_cut_leaves_of_the_files_every_acknowledged_step_is_in_it() {
    let (books, scenario) = (run(empty_books()), Scenario::short());
    let place = Place::with(&books);
    place.disk.record();
    run(async {
        let mut process = place.open().unwrap();
        assert_eq!(process.lives(&place, &scenario, 0).await, scenario.acts.len());
        process.ends().await;
    });
    let effects = place.disk.recorded();
    let mut images = Vec::new();
    let mut seen = 0_usize;
    power_cuts(&books, &effects, |image, marked| {
        if every_effect() || seen.is_multiple_of(40) {
            images.push((image.clone(), usize::try_from(marked).unwrap()));
        }
        seen += 1;
        true
    });
    assert!(images.len() > 30, "{} of {seen}", images.len());
    println!("{} of {seen} images that a power cut may leave of {} effects", images.len(), effects.len());
    each(&images, async |(image, done)| {
        let place = Place::with(image);
        let (process, ..) = begins_again(&place, &scenario, *done).await;
        process.ends().await;
    });
}
