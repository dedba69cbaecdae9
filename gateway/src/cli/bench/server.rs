//! The store itself on PostgreSQL: the same callers on one node, which writes over one connection.

use std::{path::Path, str::FromStr, sync::Arc};

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use tokio::task::JoinSet;
use tokio_postgres::{Client, Config, NoTls};

use super::{
    books::{Books, Funds},
    callers::{Callers, Latencies},
    watch::{Took, Watch},
};

/// What the store did on the server.
#[derive(Debug)]
pub(super) struct Served {
    /// This process alone, callers included; the server is among the other processes.
    pub(super) took: Took,
    pub(super) commits: u64,
    /// Bytes of the server's own log.
    pub(super) logged: Option<u64>,
    pub(super) admitted: Histogram<u64>,
    pub(super) durable: Histogram<u64>,
}

/// What is asked of it.
pub(super) struct Load {
    pub(super) accounts: usize,
    pub(super) funds: Funds,
    pub(super) requests: u64,
    pub(super) open: usize,
}

/// Opens books in a schema of their own at `url`, makes the calls, has the books verified and removes them.
pub(super) async fn serve(url: &str, folder: &Path, load: Load) -> anyhow::Result<Served> {
    let config = Config::from_str(url).context("--postgres")?;
    let (client, connection) = config.connect(NoTls).await.context("--postgres")?;
    // Ends with the client.
    let mut connections = JoinSet::new();
    connections.spawn(connection);
    let schema = format!("tollgate_bench_{:016x}", fastrand::u64(..));
    client.batch_execute(&format!("CREATE SCHEMA {schema}; SET search_path TO {schema}")).await?;
    let joint = if url.contains('?') { '&' } else { '?' };
    let own = format!("{url}{joint}options=-c%20search_path%3D{schema}");
    let served = served(&client, own, folder, load).await;
    client.batch_execute(&format!("DROP SCHEMA {schema} CASCADE")).await?;
    served
}

async fn served(client: &Client, url: String, folder: &Path, load: Load) -> anyhow::Result<Served> {
    let books = Books::open_postgres(url, folder).await?;
    let customers = Arc::new(books.furnish(load.accounts, load.funds).await?);
    let callers = Callers::new(&books, &customers);
    callers.warm_up().await?;
    books.store.flushed().await?;
    client.batch_execute("ANALYZE; CHECKPOINT").await?;
    let number =
        async |query: &str| -> anyhow::Result<i64> { Ok(client.query_one(query, &[]).await?.get(0)) };
    let log = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint";
    let commits = "SELECT count(*) FROM chain";
    let (log_before, commits_before) = (number(log).await?, number(commits).await?);
    let latencies = Arc::new(Latencies::new()?);
    let watch = Watch::begin(folder);
    let told = callers.make(load.requests, load.open, 1, &latencies).await?;
    books.store.flushed().await?;
    let took = watch.end();
    let charged: String =
        client.query_one("SELECT coalesce(sum(cost), 0)::text FROM hold", &[]).await?.get(0);
    ensure!(told.to_string() == charged, "callers were told {told} nano-yuan, the ledger charged {charged}");
    let findings = books.store.verify().await?.0;
    ensure!(findings.is_empty(), "the books do not balance: {}", findings.join("; "));
    let (admitted, durable) = latencies.all()?;
    let served = Served {
        took,
        commits: u64::try_from(number(commits).await? - commits_before)?,
        logged: u64::try_from(number(log).await? - log_before).ok(),
        admitted,
        durable,
    };
    drop(callers);
    books.close().await;
    Ok(served)
}
