//! Which tables are there? Forward-only migrations under one lock; the number of the last stands in `meta`.

use tokio_postgres::Client;

use super::OpenError;

/// The logical schemas that were released for PostgreSQL, oldest first. Never edit one that was: add the next.
const MIGRATIONS: &[(i64, &str)] = &[
    (2, include_str!("v2.sql")),
    (3, include_str!("v3.sql")),
    (4, include_str!("v4.sql")),
    (5, include_str!("v5.sql")),
    (6, include_str!("v6.sql")),
    (7, include_str!("v7.sql")),
    (8, include_str!("v8.sql")),
];

/// Everybody who migrates takes this lock.
const LOCK: i64 = 0x746f_6c6c_6761_7465;

/// Says whether the database can be read as it is.
pub(super) async fn must_be_current(client: &Client) -> Result<(), OpenError> {
    let known = MIGRATIONS.last().map_or(0, |(version, _)| *version);
    let there: bool = client.query_one("SELECT to_regclass('meta') IS NOT NULL", &[]).await?.get(0);
    if !there {
        return Err(OpenError::NoBooks);
    }
    let found: i64 = client.query_one("SELECT value FROM meta WHERE name = 'schema'", &[]).await?.get(0);
    match found.cmp(&known) {
        std::cmp::Ordering::Less => Err(OpenError::TooOld { found, known }),
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(OpenError::TooNew { found, known }),
    }
}

/// Takes the database up.
pub(super) async fn migrate(client: &mut Client) -> Result<(), OpenError> {
    let known = MIGRATIONS.last().map_or(0, |(version, _)| *version);
    let tx = client.transaction().await?;
    tx.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await?;
    let there: bool = tx.query_one("SELECT to_regclass('meta') IS NOT NULL", &[]).await?.get(0);
    let found: i64 = if there {
        tx.query_one("SELECT value FROM meta WHERE name = 'schema'", &[]).await?.get(0)
    } else {
        0
    };
    if found > known {
        return Err(OpenError::TooNew { found, known });
    }
    for (version, step) in MIGRATIONS.iter().filter(|(version, _)| *version > found) {
        tx.batch_execute(step).await?;
        tx.execute(
            "INSERT INTO meta (name, value) VALUES ('schema', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            &[version],
        )
        .await?;
    }
    tx.commit().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use testbed::Database;

    use super::*;

    #[tokio::test]
    async fn books_of_schema_5_keep_their_balances_and_what_is_held_stays_with_the_holds() {
        let database = Database::fresh().await;
        let mut client = database.connect().await;
        for (_, step) in MIGRATIONS.iter().filter(|(version, _)| *version <= 5) {
            client.batch_execute(step).await.unwrap();
        }
        client
            .batch_execute(
                "INSERT INTO meta (name, value) VALUES ('schema', 5);
                 INSERT INTO wallet (account, asset, posted, held, version, lines, moved_at)
                 VALUES ('a', 'CNY', 90, 30, 7, 3, 11), ('a', 'TOK:t', 8, 0, 1, 2, 12), ('b', 'CNY', 0, 0, 0, 0, 0)",
            )
            .await
            .unwrap();
        migrate(&mut client).await.unwrap();
        must_be_current(&client).await.unwrap();
        let rows = client.query("SELECT * FROM wallet ORDER BY account, asset", &[]).await.unwrap();
        let rows: Vec<(String, String, [i64; 3])> =
            rows.iter().map(|row| (row.get(0), row.get(1), [row.get(2), row.get(3), row.get(4)])).collect();
        let expected = [("a", "CNY", [90, 3, 11]), ("a", "TOK:t", [8, 2, 12]), ("b", "CNY", [0, 0, 0])];
        assert_eq!(rows, expected.map(|(account, asset, is)| (account.to_owned(), asset.to_owned(), is)));
        let wrong = client.execute("UPDATE wallet SET posted = -1 WHERE account = 'b'", &[]).await;
        assert!(wrong.is_err(), "a balance is never below zero");
    }
}
