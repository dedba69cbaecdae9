//! A database that takes over the books of another engine: all of them in one transaction, or nothing.

use tokio::runtime::Handle;

use super::{
    OpenError, config,
    engine::{Line, Write},
    readers::{join_whole_tables, rows},
    schema, trustworthy, wire,
};
use crate::store::{
    query::{Query, ReadError},
    tables::{ALL, RECEIPT, Table},
    value::Value,
};

/// An empty database in a transaction that nobody else can begin a run beside. Rolled back unless it is kept. Used
/// from a thread that may wait.
pub(in crate::store) struct Target {
    line: Line,
    runtime: Handle,
}

impl Target {
    /// Connects, brings the schema up and begins; `None` if there are rows already, or somebody is at work there.
    pub(in crate::store) fn begin(runtime: Handle, url: &str) -> Result<Option<Self>, OpenError> {
        let opened = runtime.block_on(async {
            let mut client = wire::connect(&config(url)?).await?;
            trustworthy(&client).await?;
            schema::migrate(&mut client).await?;
            // Whoever begins a run counts the epoch up: it waits until this is over.
            client.batch_execute("BEGIN; LOCK TABLE meta IN EXCLUSIVE MODE").await?;
            let alive = client.query_one("SELECT count(*) FROM node_lease WHERE until > now()", &[]).await?;
            let mut used = alive.get::<_, i64>(0) > 0;
            for table in ALL.iter().copied().chain([&RECEIPT]) {
                let any = format!("SELECT EXISTS (SELECT 1 FROM {})", table.name);
                used |= client.query_one(&any, &[]).await?.get::<_, bool>(0);
            }
            Ok::<_, OpenError>((!used).then(|| Line::new(client)))
        })?;
        Ok(opened.map(|line| Self { line, runtime }))
    }

    /// Takes rows of one table.
    pub(in crate::store) fn put(
        &mut self,
        table: &'static Table,
        rows: Vec<Vec<Value>>,
    ) -> Result<(), ReadError> {
        let Self { line, runtime } = self;
        runtime
            .block_on(line.put(&[Write::put(table, rows)]))
            .map_err(|trouble| ReadError::Engine(trouble.to_string()))
    }

    /// The runs that begin here are later ones than `epoch`.
    pub(in crate::store) fn begin_after(&mut self, epoch: i64) -> Result<(), ReadError> {
        let count = "INSERT INTO meta (name, value) VALUES ('epoch', $1)
                     ON CONFLICT (name) DO UPDATE SET value = greatest(meta.value, excluded.value)";
        self.runtime.block_on(self.line.client.execute(count, &[&epoch]))?;
        Ok(())
    }

    /// Makes it last.
    pub(in crate::store) fn keep(self) -> Result<(), ReadError> {
        Ok(self.runtime.block_on(self.line.client.batch_execute("COMMIT"))?)
    }
}

impl Query for Target {
    fn rows(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Vec<Value>>, ReadError> {
        rows(&self.runtime, &self.line.client, sql, params)
    }

    fn joins_whole_tables(&mut self) -> Result<(), ReadError> {
        join_whole_tables(&self.runtime, &self.line.client)
    }
}
