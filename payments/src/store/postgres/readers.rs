//! Connections for reading, made when needed and kept.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::{runtime::Handle, sync::Semaphore};
use tokio_postgres::{Client, Config, types::ToSql};

use super::wire::{connect, dollars, values};
use crate::store::{
    query::{Query, ReadError},
    value::Value,
};

/// Reading connections at once.
const READERS: usize = 4;

/// The connections.
pub(in crate::store) struct Readers {
    config: Config,
    idle: Mutex<Vec<Client>>,
    turns: Semaphore,
}

impl std::fmt::Debug for Readers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PostgreSQL")
    }
}

impl Readers {
    pub(super) fn new(config: Config) -> Self {
        Self { config, idle: Mutex::new(Vec::new()), turns: Semaphore::new(READERS) }
    }

    /// Runs a reading in a transaction of its own: one snapshot, beside the writers.
    pub(in crate::store) async fn read<T: Send + 'static>(
        self: Arc<Self>,
        reading: impl FnOnce(&mut dyn Query) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let Ok(_turn) = self.turns.acquire().await else {
            return Err(ReadError::Engine("the store is closed".to_owned()));
        };
        let client = self.snapshot().await?;
        let (client, found) = tokio::task::spawn_blocking(move || {
            let mut snapshot = Snapshot { client, runtime: Handle::current() };
            let found = snapshot.read(reading);
            (snapshot.client, found)
        })
        .await
        .map_err(|error| ReadError::Engine(error.to_string()))?;
        let found = found?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(client);
        Ok(found)
    }

    /// A connection in a transaction of its own. One that was kept may be of a server that was started again since:
    /// then the next is tried.
    async fn snapshot(&self) -> Result<Client, ReadError> {
        let begin = "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY";
        loop {
            let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            match kept {
                Some(client) => {
                    if client.batch_execute(begin).await.is_ok() {
                        return Ok(client);
                    }
                }
                None => {
                    let client = connect(&self.config).await?;
                    client.batch_execute(begin).await?;
                    return Ok(client);
                }
            }
        }
    }
}

struct Snapshot {
    client: Client,
    runtime: Handle,
}

impl Snapshot {
    fn read<T>(
        &mut self,
        reading: impl FnOnce(&mut dyn Query) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let found = reading(self);
        self.runtime.block_on(self.client.batch_execute("ROLLBACK"))?;
        found
    }
}

impl Query for Snapshot {
    fn rows(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Vec<Value>>, ReadError> {
        rows(&self.runtime, &self.client, sql, params)
    }

    fn joins_whole_tables(&mut self) -> Result<(), ReadError> {
        join_whole_tables(&self.runtime, &self.client)
    }
}

/// For the rest of the transaction. Tables that have grown since the server last counted them are taken for small ones,
/// and joined by looking at one of them once for each row of another.
pub(super) fn join_whole_tables(runtime: &Handle, client: &Client) -> Result<(), ReadError> {
    Ok(runtime.block_on(client.batch_execute("SET LOCAL enable_nestloop = off"))?)
}

/// The rows of a statement, from a thread that may wait.
pub(super) fn rows(
    runtime: &Handle,
    client: &Client,
    sql: &str,
    params: &[Value],
) -> Result<Vec<Vec<Value>>, ReadError> {
    let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(|param| param as &(dyn ToSql + Sync)).collect();
    let rows = runtime.block_on(client.query(&dollars(sql), &params))?;
    rows.iter().map(|row| values(row).map_err(ReadError::from)).collect()
}
