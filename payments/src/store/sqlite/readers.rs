//! Connections for reading, made when needed and kept.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::{
    at_rest::read_only,
    engine::{bind, value},
};
use crate::store::{
    query::{Query, ReadError},
    value::Value,
};

/// Reading connections at once.
const READERS: usize = 4;

/// The connections.
#[derive(Debug)]
pub(in crate::store) struct Readers {
    folder: PathBuf,
    idle: Mutex<Vec<Connection>>,
    turns: Semaphore,
}

impl From<rusqlite::Error> for ReadError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Engine(error.to_string())
    }
}

impl Readers {
    pub(in crate::store) fn new(folder: PathBuf) -> Self {
        Self { folder, idle: Mutex::new(Vec::new()), turns: Semaphore::new(READERS) }
    }

    /// Runs a reading in a transaction of its own: one snapshot, beside the writer.
    pub(in crate::store) async fn read<T: Send + 'static>(
        self: Arc<Self>,
        reading: impl FnOnce(&mut dyn Query) -> Result<T, ReadError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let pool = self.clone();
        let Ok(_turn) = self.turns.acquire().await else {
            return Err(ReadError::Engine("the store is closed".to_owned()));
        };
        let read = tokio::task::spawn_blocking(move || pool.with(reading)).await;
        read.unwrap_or_else(|error| Err(ReadError::Engine(error.to_string())))
    }

    fn with<T>(&self, reading: impl FnOnce(&mut dyn Query) -> Result<T, ReadError>) -> Result<T, ReadError> {
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match kept {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let snapshot = connection.unchecked_transaction()?;
        let found = reading(&mut Snapshot(&snapshot))?;
        drop(snapshot);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        Ok(found)
    }

    fn connect(&self) -> Result<Connection, ReadError> {
        read_only(&self.folder).map_err(|error| ReadError::Engine(error.to_string()))
    }
}

pub(super) struct Snapshot<'a>(pub(super) &'a Connection);

impl Query for Snapshot<'_> {
    fn rows(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Vec<Value>>, ReadError> {
        let mut statement = self.0.prepare_cached(sql)?;
        bind(&mut statement, params)?;
        let columns = statement.column_count();
        let mut found = statement.raw_query();
        let mut rows = Vec::new();
        while let Some(row) = found.next()? {
            rows.push((0..columns).map(|column| value(row, column)).collect::<Result<_, _>>()?);
        }
        Ok(rows)
    }
}
