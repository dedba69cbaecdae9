//! Is it a real PostgreSQL, and does nothing of it stay?

use testbed::{Database, Server, Syncs, connect};

#[tokio::test]
async fn what_was_committed_outlives_a_server_that_is_killed_and_what_was_not_does_not() {
    let mut server = Server::start(Syncs::Always);
    let client = connect(&server.url()).await.unwrap();
    let fsync: String = client.query_one("SHOW fsync", &[]).await.unwrap().get(0);
    assert_eq!(fsync, "on");
    client.batch_execute("CREATE TABLE kept (n BIGINT PRIMARY KEY)").await.unwrap();
    for n in 1..=5_i64 {
        let client = connect(&server.url()).await.unwrap();
        client.execute("INSERT INTO kept VALUES ($1)", &[&n]).await.unwrap();
        client.batch_execute("BEGIN; INSERT INTO kept VALUES (99)").await.unwrap();
        server.kill9();
        assert!(client.batch_execute("COMMIT").await.is_err(), "nobody answers");
        server.start_again();
        let client = connect(&server.url()).await.unwrap();
        let kept = client.query("SELECT n FROM kept ORDER BY n", &[]).await.unwrap();
        let kept: Vec<i64> = kept.iter().map(|row| row.get(0)).collect();
        assert_eq!(kept, (1..=n).collect::<Vec<_>>(), "after kill number {n}");
    }
}

#[tokio::test]
async fn every_test_has_a_database_of_its_own() {
    let fill = async |url: &str| {
        let client = connect(url).await.unwrap();
        client.batch_execute("CREATE TABLE thing (n BIGINT); INSERT INTO thing VALUES (7)").await.unwrap();
    };
    let never = async |_: &str| panic!("the template is there");
    let (one, other) = (Database::like("things", fill).await, Database::like("things", never).await);
    let (first, second) = (one.connect().await, other.connect().await);
    first.execute("INSERT INTO thing VALUES (8)", &[]).await.unwrap();
    let count = "SELECT count(*) FROM thing";
    assert_eq!(first.query_one(count, &[]).await.unwrap().get::<_, i64>(0), 2);
    assert_eq!(second.query_one(count, &[]).await.unwrap().get::<_, i64>(0), 1, "as the template has it");
    let empty = Database::fresh().await;
    assert!(empty.connect().await.query_one(count, &[]).await.is_err(), "no table");
}

#[tokio::test]
async fn a_database_goes_with_the_test_even_while_somebody_is_connected() {
    let database = Database::fresh().await;
    let url = database.url().to_owned();
    let still = database.connect().await;
    drop(database);
    assert!(still.batch_execute("SELECT 1").await.is_err());
    assert!(connect(&url).await.is_err());
}

#[tokio::test]
async fn a_server_that_was_killed_and_dropped_leaves_nothing_behind() {
    let mut server = Server::start(Syncs::Never);
    let url = server.url();
    let folder = url.split_once("host=").unwrap().1.split('&').next().unwrap().to_owned();
    let lock = std::fs::read_to_string(format!("{folder}/data/postmaster.pid")).unwrap();
    let segment = lock.lines().nth(6).unwrap().split_whitespace().nth(1).unwrap().to_owned();
    let listed = || {
        let said = std::process::Command::new("ipcs").arg("-m").output().unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        // One that is marked `dest` is gone with the last process that was killed and has not ended yet.
        let mut lasting = said.lines().filter(|line| !line.trim_end().ends_with("dest"));
        lasting.any(|line| line.split_whitespace().nth(1) == Some(segment.as_str()))
    };
    assert!(listed());
    server.kill9();
    drop(server);
    assert!(!listed(), "shared memory");
    assert!(!std::path::Path::new(&folder).exists());
}
