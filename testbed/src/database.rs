//! A database that nobody but one test writes to.

use std::{fmt::Write as _, str::FromStr};

use tokio_postgres::{Client, Config, NoTls};

use crate::shared;

/// A fresh database; dropped with this.
#[derive(Debug)]
pub struct Database {
    name: String,
    server: String,
    url: String,
}

impl Database {
    /// An empty one on the server of this run.
    ///
    /// # Panics
    /// If there is no server, or it refuses.
    pub async fn fresh() -> Self {
        Self::on(shared::url(), None).await
    }

    /// A copy of the template `name` on the server of this run. Whoever comes first makes the template: `fill` is
    /// given the URL of an empty database and leaves there what every copy shall begin with, tables for instance.
    ///
    /// # Panics
    /// If there is no server, or it refuses; also if `fill` left a connection open.
    pub async fn like(name: &str, fill: impl AsyncFnOnce(&str)) -> Self {
        let server = shared::url();
        template(server, name, fill).await;
        Self::on(server, Some(name)).await
    }

    /// An empty one, or a copy of a template, on any server.
    ///
    /// # Panics
    /// If the server refuses.
    pub async fn on(server: &str, template: Option<&str>) -> Self {
        let name = format!("t_{:016x}", fastrand::u64(..));
        let mut create = format!("CREATE DATABASE {name}");
        if let Some(template) = template {
            write!(create, " TEMPLATE {}", quoted(template)).expect("a string takes everything");
        }
        run(server, &create).await;
        Self { url: at(server, &name), name, server: server.to_owned() }
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A connection to it.
    ///
    /// # Panics
    /// If the server refuses.
    pub async fn connect(&self) -> Client {
        connect(&self.url).await.unwrap_or_else(|error| panic!("{}: {error}", self.url))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // Dropping cannot wait inside of the test's runtime, so it waits in one of its own. A server that is gone by
        // now has taken the database with it.
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let server = self.server.clone();
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map(|runtime| {
                runtime.block_on(async {
                    if let Ok(client) = connect(&server).await {
                        let _ = client.batch_execute(&drop).await;
                    }
                });
            })
        });
        let _ = dropping.join();
    }
}

/// Makes the template if it is not there.
async fn template(server: &str, name: &str, fill: impl AsyncFnOnce(&str)) {
    let client = connect(server).await.unwrap_or_else(|error| panic!("{server}: {error}"));
    // Held until this connection ends, so that test processes wait for one another.
    client.execute("SELECT pg_advisory_lock(hashtext($1))", &[&name]).await.expect("a lock");
    let there = client.query("SELECT 1 FROM pg_database WHERE datname = $1", &[&name]).await.expect("a list");
    if there.is_empty() {
        // It gets its name when it is whole: what a test that failed half-way left is not taken for it.
        let draft = format!("{name}_{:016x}", fastrand::u64(..));
        let (draft, name) = (draft.as_str(), quoted(name));
        client.batch_execute(&format!("CREATE DATABASE {}", quoted(draft))).await.expect("a database");
        fill(&at(server, draft)).await;
        let rename = format!("ALTER DATABASE {} RENAME TO {name}", quoted(draft));
        client.batch_execute(&rename).await.unwrap_or_else(|error| panic!("the template {name}: {error:?}"));
    }
}

/// Connects, and lets the connection run beside the caller.
///
/// # Errors
/// What the server, or the way to it, says.
pub async fn connect(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = Config::from_str(url)?.connect(NoTls).await?;
    #[expect(
        clippy::disallowed_methods,
        reason = "it ends with the client; a test has no shutdown to wait in"
    )]
    // How it ended, the client is told.
    drop(tokio::spawn(connection));
    Ok(client)
}

async fn run(server: &str, sql: &str) {
    let client = connect(server).await.unwrap_or_else(|error| panic!("{server}: {error}"));
    client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The URL of another database on the same server.
fn at(server: &str, name: &str) -> String {
    let (head, options) = server.split_once('?').map_or((server, None), |(head, rest)| (head, Some(rest)));
    let scheme = head.find("://").map_or(0, |at| at + 3);
    let path = head[scheme..].find('/').map_or(head.len(), |at| scheme + at);
    let options = options.map(|options| format!("?{options}")).unwrap_or_default();
    format!("{}/{name}{options}", &head[..path])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_database_of_the_same_server_has_the_same_address() {
        assert_eq!(
            at("postgresql:///postgres?host=/tmp/x&user=y", "a"),
            "postgresql:///a?host=/tmp/x&user=y"
        );
        assert_eq!(at("postgres://u:p@127.0.0.1:5432/postgres", "a"), "postgres://u:p@127.0.0.1:5432/a");
        assert_eq!(at("postgres://127.0.0.1", "a"), "postgres://127.0.0.1/a");
    }
}
