//! Books with many customers who have paid, opened as `serve` opens them.

use std::{path::Path, sync::Arc};

use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt, stream};
use payments::{
    admission::Admission,
    holds::Holds,
    journal::Journal,
    ledger::{AccountRole, Actor, Body, Command},
    store::{PostgresSettings, Store, StoreSettings},
};
use units::{AccountId, Clock, KeyId, Livemode, NanoCny};

use crate::clock::ProcessClock;

/// Commands on their way at once while the books are furnished.
const AT_ONCE: usize = 256;
/// No account has more lots than this.
const LOTS_MAX: usize = 3;

/// The books and what stands before them.
pub(super) struct Books {
    pub(super) store: Store,
    pub(super) holds: Holds,
    pub(super) clock: Arc<dyn Clock>,
}

impl Books {
    /// Opens the store in `folder`; makes it if it is not there.
    pub(super) async fn open(folder: &Path) -> anyhow::Result<Self> {
        let (admission, journal) = (Arc::new(Admission::default()), journal(folder)?);
        let settings = StoreSettings {
            folder: folder.to_owned(),
            admission: admission.clone(),
            journal: journal.clone(),
        };
        let store = tokio::task::spawn_blocking(move || Store::open(settings)).await??;
        Ok(Self::over(store, admission, journal))
    }

    /// Opens the store at `url`, with its journal in `folder`, as one node of several.
    pub(super) async fn open_postgres(url: String, folder: &Path) -> anyhow::Result<Self> {
        let (admission, journal) = (Arc::new(Admission::shared()), journal(folder)?);
        let (node, told, kept) = ("bench".to_owned(), admission.clone(), journal.clone());
        let settings = PostgresSettings { url, node, admission: told, journal: kept };
        Ok(Self::over(Store::open_postgres(settings).await?, admission, journal))
    }

    fn over(store: Store, admission: Arc<Admission>, journal: Arc<Journal>) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(ProcessClock::default());
        let holds = Holds::new(store.clone(), admission, journal, clock.clone());
        Self { store, holds, clock }
    }

    /// Writes what is queued and closes the files.
    pub(super) async fn close(self) {
        let Self { store, holds, .. } = self;
        drop(holds);
        store.close().await;
    }

    /// Opens `count` accounts, with one, two or three lots each. All but the last lot are small, so that calls use them
    /// up and reach over from one into the next; the last is never used up.
    pub(super) async fn furnish(&self, count: usize, funds: Funds) -> anyhow::Result<Customers> {
        let accounts: Vec<AccountId> = (0..count).map(|_| AccountId::new(self.clock.now())).collect();
        let open = |&id: &AccountId| {
            let (livemode, name, role) = (Livemode::Demo, "bench".to_owned(), AccountRole::Customer);
            self.command(format!("open:{id}"), Body::OpenAccount { id, livemode, name, role })
        };
        self.carry_out(accounts.iter().map(open).collect()).await?;
        let lots = accounts.iter().enumerate().flat_map(|(index, &account)| {
            let lots = if count == 1 { LOTS_MAX } else { 1 + index % LOTS_MAX };
            (1..=lots).map(move |lot| (account, lot, if lot == lots { funds.last } else { funds.first }))
        });
        let grant = |(account, lot, amount)| {
            self.command(
                format!("grant:{account}:{lot}"),
                Body::GrantPromo { account, amount, expires_at: None },
            )
        };
        self.carry_out(lots.map(grant).collect()).await?;
        Ok(Customers { accounts, key: KeyId::new(self.clock.now()) })
    }

    async fn carry_out(&self, commands: Vec<Command>) -> anyhow::Result<()> {
        let each = stream::iter(commands).map(|command| self.store.submit(command));
        each.buffer_unordered(AT_ONCE).try_for_each(|_| async { Ok(()) }).await?;
        Ok(())
    }

    fn command(&self, key: String, body: Body) -> Command {
        let actor = Actor::system("bench");
        Command { key, actor, reason: None, approver: None, at: self.clock.now(), body }
    }
}

fn journal(folder: &Path) -> anyhow::Result<Arc<Journal>> {
    std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let (journal, _) = Journal::open(&folder.join("journal")).context("the journal")?;
    Ok(Arc::new(journal))
}

/// What an account gets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Funds {
    /// In each lot but the last.
    pub(super) first: NanoCny,
    /// In the last.
    pub(super) last: NanoCny,
}

/// Who calls.
#[derive(Debug)]
pub(super) struct Customers {
    pub(super) accounts: Vec<AccountId>,
    pub(super) key: KeyId,
}
