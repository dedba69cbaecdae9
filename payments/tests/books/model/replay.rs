//! The same commands on every store: the same answers, the same books after each batch. 25, and 26 where it is about files.

use payments::{
    admission::Admission,
    ledger::{Asset, Entry},
    store::{
        BooksReader, Direction, Period, StateHash, StatementWish, Store, back_up, memory::MemoryStore,
        restore,
    },
};
use units::{AccountId, Timestamp};

use super::world::{Said, World};
use crate::support::{postgres_settings, settings};

/// 25: all stores come to the same.
pub fn n25_stores_agree(memory: &StateHash, store: &StateHash) -> Result<(), String> {
    let differing = memory.tables.iter().zip(&store.tables).filter(|(ours, theirs)| ours != theirs);
    let differing: Vec<_> = differing.collect();
    if memory == store { Ok(()) } else { Err(format!("invariant 25: {differing:?}")) }
}

/// 26: what was copied, with what came after, is all of it.
pub fn n26_a_copy_and_its_tail_are_the_whole(whole: &StateHash, from_copy: &StateHash) -> Result<(), String> {
    let differing = whole.tables.iter().zip(&from_copy.tables).find(|(ours, theirs)| ours != theirs);
    differing.map_or(Ok(()), |tables| Err(format!("invariant 26: {tables:?}")))
}

/// The commands in batches; `lost` never reaches the store.
async fn replay(
    store: &Store,
    memory: &mut MemoryStore,
    log: &[Said],
    together: usize,
    lost: Option<usize>,
) -> Result<(), String> {
    let mut n = 0;
    for chunk in log.chunks(together) {
        let mut waiting = Vec::new();
        for said in chunk {
            memory.submit(&said.command);
            let sent = store.slot().await.unwrap();
            waiting.push(if lost == Some(n) { None } else { Some(sent.send(said.command.clone().into())) });
            n += 1;
        }
        for (waiting, said) in waiting.into_iter().zip(chunk) {
            let Some(waiting) = waiting else { continue };
            let answer = waiting.committed().await;
            let expected = said.outcome.clone().map_err(Into::into);
            if answer != expected {
                return Err(format!(
                    "invariant 25: {:?}\nanswered {answer:?}\nexpected {expected:?}",
                    said.command
                ));
            }
        }
        n25_stores_agree(&memory.state_hash(), &store.state_hash().await.unwrap())?;
    }
    Ok(())
}

/// On SQLite, with a copy taken halfway that is brought to the end by itself.
pub async fn on_disk(world: &World, together: usize, lost: Option<usize>) -> Result<(), String> {
    let folders = tempfile::tempdir().unwrap();
    let (first, copy, second) =
        (folders.path().join("a"), folders.path().join("b"), folders.path().join("c"));
    std::fs::create_dir(&first).unwrap();
    let (settings_a, _) = settings(&first);
    let admission = settings_a.admission.clone();
    let store = Store::open(settings_a).unwrap();
    let mut memory = MemoryStore::default();
    let (head, tail) = world.log.split_at(world.log.len() / 2);
    // What is lost of the second half is lost by the copy only.
    let of_head = lost.filter(|lost| *lost < head.len());
    replay(&store, &mut memory, head, together, of_head).await?;
    back_up(&first, &copy).map_err(|error| error.to_string())?;
    load(&store, world).await;
    replay(&store, &mut memory, tail, together, None).await?;
    finished(&store, &admission, world).await?;
    store.close().await;

    restore(&copy, &second).map_err(|error| error.to_string())?;
    let (settings_c, _) = settings(&second);
    let store = Store::open(settings_c).unwrap();
    let of_tail = lost.and_then(|lost| lost.checked_sub(head.len()));
    for (n, said) in tail.iter().enumerate().filter(|(n, _)| of_tail != Some(*n)) {
        let answer = store.submit(said.command.clone()).await;
        let same = of_tail.is_some() || answer == said.outcome.clone().map_err(Into::into);
        assert!(same, "the copy answers the {n}th otherwise: {answer:?}, not {:?}", said.outcome);
    }
    let hash = store.state_hash().await.unwrap();
    store.close().await;
    n26_a_copy_and_its_tail_are_the_whole(&memory.state_hash(), &hash)
}

/// On a PostgreSQL server.
pub async fn on_postgres(world: &World, together: usize) -> Result<(), String> {
    let database = testbed::Database::fresh().await;
    let folder = tempfile::tempdir().unwrap();
    let settings = postgres_settings(database.url(), folder.path());
    let admission = settings.admission.clone();
    let store = Store::open_postgres(settings).await.unwrap();
    let mut memory = MemoryStore::default();
    let (head, tail) = world.log.split_at(world.log.len() / 2);
    replay(&store, &mut memory, head, together, None).await?;
    load(&store, world).await;
    replay(&store, &mut memory, tail, together, None).await?;
    finished(&store, &admission, world).await?;
    store.close().await;
    Ok(())
}

/// Every balance there will be, in an order of its own.
fn balances(world: &World) -> Vec<(AccountId, Asset)> {
    let mut all: Vec<_> = world.rows.wallets().map(|wallet| (wallet.account, wallet.asset.clone())).collect();
    all.sort();
    all
}

async fn load(store: &Store, world: &World) {
    for (account, asset) in balances(world) {
        store.load_balance(account, asset).await.unwrap();
    }
}

/// Memory's admission knows what is there, the store finds nothing wrong with itself, and its readings lead to the same.
async fn finished(store: &Store, admission: &Admission, world: &World) -> Result<(), String> {
    let findings = store.verify().await.unwrap().0;
    if !findings.is_empty() {
        return Err(format!("invariant 26: {findings:?}"));
    }
    for (account, asset) in balances(world) {
        let wallet = world.rows.wallet(account, &asset);
        assert_eq!(admission.available(account, &asset), Some(wallet.available()), "{wallet:?}");
        let told = store.wallets(account).await.unwrap();
        assert!(told.contains(&wallet), "{wallet:?}, and the store says {told:?}");
        statements_add_up(store, world, account, &asset).await;
    }
    for hold in world.rows.holds() {
        assert_eq!(store.hold(hold.id).await.unwrap().as_ref(), Some(hold));
    }
    for order in world.rows.orders() {
        assert_eq!(store.order(order.id).await.unwrap().as_ref(), Some(order));
    }
    Ok(())
}

/// The statement of any part of a balance leads from what it was to what it became, by the lines that memory has.
async fn statements_add_up(store: &Store, world: &World, account: AccountId, asset: &Asset) {
    let own = |entry: &&Entry| entry.account == Some(account) && entry.asset == *asset;
    let lines: Vec<&Entry> = world.journal.iter().filter(own).collect();
    let instants = [0, lines.len() / 2].map(|index| lines.get(index).map(|line| line.at));
    for from in instants.into_iter().flatten() {
        let period = Period::new(from, Timestamp(i64::MAX)).unwrap();
        let sums = store.statement_sums(account, asset.clone(), period).await.unwrap();
        let moved: i128 = sums.kinds.iter().map(|sum| sum.inflow - sum.outflow).sum();
        assert_eq!(i128::from(sums.opening) + moved, i128::from(sums.closing));
        assert_eq!(sums.closing, world.rows.wallet(account, asset).posted);
        let before = Timestamp(from.0 - 1);
        assert_eq!(store.balance_at(account, asset.clone(), before).await.unwrap(), sums.opening);
        let (direction, after) = (Direction::OldestFirst, None);
        let wish = StatementWish { account, asset: asset.clone(), period, direction, after, lines: 1_000 };
        let page = store.statement(wish).await.unwrap();
        let expected: Vec<&Entry> = lines.iter().copied().filter(|line| line.at >= from).collect();
        assert_eq!(page.lines.iter().collect::<Vec<_>>(), expected);
    }
    let (reader, mut exported, mut after) = (BooksReader::from(store), Vec::new(), None);
    loop {
        let page = reader.export(Some(account), Period::ALL, after).await.unwrap();
        exported.extend(page.lines.into_iter().filter(|line| line.asset == *asset));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(exported.iter().collect::<Vec<_>>(), lines);
}
