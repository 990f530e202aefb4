//! Runs the examples of SQL sinks, with a real PostgreSQL and with a stand-in for CrateDB.

use std::process::{Command, Output};

/// A strict stand-in: see its own documentation.
#[path = "../kinesis-pipeline-sql/tests/support/crate_db/mod.rs"]
mod crate_db;

/// Runs an example. `cargo test` builds its binary beside this test.
fn run(name: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let this = std::env::current_exe().expect("the test has a path");
    let profile = this
        .ancestors()
        .nth(2)
        .expect("target/<profile>/deps/<test>");
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(profile.join("examples").join(name))
        .args(arguments)
        .env_remove("DATABASE_URL")
        .output()
        .expect("it is built: run `cargo test` without `--test`");
    let text = |bytes| String::from_utf8(bytes).expect("it is text");
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn to_postgres_prints_the_row_of_each_reading() {
    let (status, out, err) = run("to_postgres", &["2"]);
    if err.contains("*** SKIPPED") {
        assert_eq!(status, Some(1), "{err}");
        assert!(err.contains("set DATABASE_URL="), "{err}");
        eprintln!("{err}");
        return;
    }
    assert_eq!(status, Some(0), "{out}{err}");
    let rows = out
        .lines()
        .filter(|line| line.starts_with("foo 42.42 84.84 shardId-"));
    assert_eq!(rows.count(), 2, "{out}");
    assert!(
        out.contains("2 readings, each in one row; 2 shards"),
        "{out}"
    );
}

#[test]
fn own_sql_counts_each_order_once() {
    let (status, out, err) = run("own_sql", &[]);
    if err.contains("*** SKIPPED") {
        assert!(err.contains("set DATABASE_URL="), "{err}");
        return;
    }
    assert_eq!(status, Some(0), "{out}{err}");
    let line = "1000 of 1000 orders, 499500 of 499500 euros are in the accounts";
    assert!(out.contains(line), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cratedb_prints_the_row_of_each_reading() {
    let node = crate_db::CrateDb::new();
    let url = format!("http://{}", node.serve().await.expect("a free port"));
    let ran = tokio::task::spawn_blocking(move || run("cratedb", &[&url, "2"]));
    let (status, out, err) = ran.await.expect("it runs");
    assert_eq!(status, Some(0), "{out}{err}");
    let rows = out
        .lines()
        .filter(|line| line.starts_with("\"foo\" 42.42 84.84 shardId-"));
    assert_eq!(rows.count(), 2, "{out}");
    assert!(
        out.contains("2 readings, each in one row; 2 shards"),
        "{out}"
    );
    assert_eq!(node.rows("doc.readings").len(), 2);
}

#[test]
fn cratedb_says_how_to_start_one_where_none_answers() {
    let (status, out, err) = run("cratedb", &["http://127.0.0.1:1"]);
    assert_eq!(status, Some(1), "{out}");
    assert!(
        err.contains("http://127.0.0.1:1 cannot be reached"),
        "{err}"
    );
    assert!(err.contains("docker run -p 4200:4200 crate"), "{err}");
}
