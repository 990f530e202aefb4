//! Rows of a stream in a real PostgreSQL and in a stand-in of CrateDB, by the program.

use std::time::Duration;

use tokio::{process::Child, time::sleep};

use crate::{Done, PATIENCE, Program, end_of, file, signal};

#[path = "../../../kinesis-pipeline-sql/tests/support/crate_db/mod.rs"]
mod crate_db;
#[expect(dead_code, reason = "the tests of the sink use more of it")]
#[path = "../../../kinesis-pipeline-sql/tests/support/mod.rs"]
mod support;

pub(crate) use support::Postgres;

const COLUMNS: &str = "--columns device:text,celsius:float --position --create-table";

/// The first number of a query's answer; `None` while the table is not there.
async fn number(postgres: &Postgres, query: &str) -> Option<i64> {
    let client = postgres.client().await;
    client.query_one(query, &[]).await.ok()?.try_get(0).ok()
}

async fn wait_for(postgres: &Postgres, query: &str, expected: i64) {
    for _ in 0..PATIENCE.as_millis() / 50 {
        if number(postgres, query).await == Some(expected) {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
    let found = number(postgres, query).await;
    panic!("{query}: {found:?} in place of {expected}");
}

fn readings(numbers: std::ops::Range<usize>) -> String {
    let line = |number| format!("{{\"device\":\"d{number}\",\"celsius\":{number}.5}}\n");
    numbers.map(line).collect()
}

/// Runs `sql` into this database.
async fn sql(program: &Program, postgres: &Postgres, options: &str) -> Done {
    let line = format!("sql -s s --to {} {options}", postgres.url());
    program.run(&line, "").await
}

async fn end(child: Child) -> (Option<i32>, String) {
    let ended = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    let ended = ended.expect("the program ends").unwrap();
    let err = String::from_utf8(ended.stderr).unwrap();
    (ended.status.code(), err)
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_is_in_the_stream_is_rows_and_the_next_run_goes_on_behind_them() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let program = Program::with_stream("s", 2).await;
    let options = format!("--table readings {COLUMNS} --until tip");
    for (numbers, words) in [
        (
            0..100,
            "100 records of s are in readings: the last at shardId-",
        ),
        (100..103, "3 records of s are in readings"),
        (103..103, "0 records of s are in readings: none had come"),
    ] {
        let put = program.run("put -s s", &readings(numbers)).await;
        assert_eq!(put.status, Some(0), "{}", put.err);
        let done = sql(&program, &postgres, &options).await;
        assert_eq!(
            (done.status, done.out.as_str()),
            (Some(0), ""),
            "{}",
            done.err
        );
        assert!(done.err.contains(words), "{}", done.err);
    }
    let count = "SELECT count(*) FROM readings";
    assert_eq!(number(&postgres, count).await, Some(103));
    let distinct =
        "SELECT count(DISTINCT (device, celsius, shard_id, sequence_number)) FROM readings";
    assert_eq!(number(&postgres, distinct).await, Some(103));
    let app = "SELECT count(*) FROM kinesis_pipeline_checkpoint WHERE app = 'sql' AND stream = 's'";
    assert_eq!(number(&postgres, app).await, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_it_with_a_line_and_a_status_and_a_kill_doubles_nothing() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let program = Program::with_stream("s", 1).await;
    let leases = file("sql-leases.json", "");
    std::fs::remove_file(&leases).unwrap();
    let begin = |options: &str| {
        let url = postgres.url();
        let line = format!("sql -s s --to {url} --table readings {COLUMNS} -q {options}");
        program.command(&line).spawn().unwrap()
    };
    let count = "SELECT count(*) FROM readings";
    let fleet = format!("--app fleet --lease-file {}", leases.display());
    // With an end, or without one.
    for (round, options, name, status) in [
        (0, fleet.as_str(), "TERM", Some(0)),
        (1, "--app fleet --until 1h", "INT", Some(130)),
        (2, "--app fleet --until 1h", "KILL", None),
        (3, "--app fleet --until 1h", "TERM", Some(143)),
        (4, fleet.as_str(), "INT", Some(0)),
    ] {
        let child = begin(options);
        let lines = readings(round * 50..round * 50 + 50);
        let put = program.run("put -s s", &lines).await;
        assert_eq!(put.status, Some(0), "{}", put.err);
        let rows = i64::try_from(round * 50 + 50).unwrap();
        wait_for(&postgres, count, rows).await;
        signal(&child, &format!("-{name}"));
        let (ended, err) = end(child).await;
        assert_eq!(ended, status, "{options}: {err}");
        let words =
            format!("stopped by SIG{name}: 50 records of s are in readings: the last at shardId-");
        let is_told = options.contains("--until") && name != "KILL";
        assert_eq!(err.starts_with(&words), is_told, "{options}: {err}");
        assert_eq!(err.lines().count(), usize::from(is_told), "{err}");
    }
    let numbers = "SELECT count(DISTINCT celsius) FROM readings";
    assert_eq!(number(&postgres, numbers).await, Some(250));
    std::fs::remove_file(leases).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_by_key_follow_the_records_and_those_with_a_mark_are_deleted() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let program = Program::with_stream("s", 1).await;
    let lines = r#"{"id":1,"meta":{"by":"a"},"n":1}
{"id":2,"meta":{"by":"b"},"n":12345678901234567890}
{"id":1,"meta":{"by":"c"},"n":3}
{"id":2,"op":"delete"}
{"id":3,"meta":{},"n":4}
"#;
    program.run("put -s s", lines).await;
    let columns = "--columns id:int,author=meta.by:text,n:text,all=@record --key id";
    let upsert = format!(
        "--table latest {columns} --mode upsert --delete-when op=delete --create-table --until tip"
    );
    let done = sql(&program, &postgres, &upsert).await;
    assert_eq!(done.status, Some(0), "{}", done.err);
    let client = postgres.client().await;
    let query = "SELECT id, author, n, \"all\"::text FROM latest ORDER BY id";
    let found = client.query(query, &[]).await.unwrap();
    let found: Vec<(i64, Option<String>, String)> = found
        .iter()
        .map(|row| (row.get(0), row.get(1), row.get(2)))
        .collect();
    let expected = [
        (1, Some("c".to_owned()), "3".to_owned()),
        (3, None, "4".to_owned()),
    ];
    assert_eq!(found, expected);

    let first =
        format!("--table first {columns} --mode keep-first --create-table --until tip --app first");
    let done = sql(&program, &postgres, &first).await;
    assert_eq!(done.status, Some(0), "{}", done.err);
    let big = "SELECT count(*) FROM first WHERE n = '12345678901234567890' AND id = 2";
    assert_eq!(number(&postgres, big).await, Some(1));
    let kept = "SELECT count(*) FROM first WHERE author IN ('a', 'b') OR id = 3";
    assert_eq!(number(&postgres, kept).await, Some(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_no_row_ends_it_or_becomes_a_dead_letter() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let program = Program::with_stream("s", 1).await;
    let lines = "{\"device\":\"a\",\"celsius\":1}\nno json\n{\"device\":\"b\",\"celsius\":\"hot\"}\n{\"device\":\"c\"}\n";
    program.run("put -s s", lines).await;
    let letters = file("sql-letters.jsonl", "");
    let options = format!("--table readings {COLUMNS} --until tip");
    let stopped = sql(&program, &postgres, &options).await;
    assert_eq!(stopped.status, Some(1), "{}", stopped.err);
    assert!(stopped.err.contains("error: "), "{}", stopped.err);
    assert!(
        stopped.err.contains("shardId-000000000000"),
        "{}",
        stopped.err
    );
    let options = format!("{options} --dead-letters {}", letters.display());
    let done = sql(&program, &postgres, &options).await;
    assert_eq!(done.status, Some(0), "{}", done.err);
    assert!(done.err.contains("2 in dead letters"), "{}", done.err);
    assert_eq!(
        number(&postgres, "SELECT count(*) FROM readings").await,
        Some(2)
    );
    let text = std::fs::read_to_string(&letters).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.contains("column \\\"celsius\\\""), "{text}");
    std::fs::remove_file(letters).unwrap();
}

/// Runs `sql` with wrong options, each with the status and words that it ends with.
async fn check_wrong(program: &Program, cases: &[(&str, i32, &str)]) {
    for &(options, status, words) in cases {
        let done = program.run(&format!("sql -s s -q {options}"), "").await;
        assert_eq!(done.status, Some(status), "{options}: {}", done.err);
        assert!(done.err.contains(words), "{options}: {}", done.err);
        assert!(done.err.starts_with("error: "), "{options}: {}", done.err);
        assert!(!done.err.contains("secret"), "{}", done.err);
        let is_one_line = done.err.lines().count() == 1;
        assert!(status == 2 || is_one_line, "{options}: {}", done.err);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_line_that_is_wrong_is_told_before_any_call() {
    let program = Program::with_stream("s", 1).await;
    let to =
        |options: &str| format!("--to postgres://127.0.0.1:1/postgres --table readings {options}");
    let of_columns = [
        ("--mode upsert", "--mode upsert and keep-first need --key"),
        ("--mode replace", "replace"),
        ("--key device", "--key is for --mode upsert"),
        (
            "--json r --delete-when op=x",
            "--delete-when needs --mode upsert",
        ),
        ("--columns device --create-table", "device:text"),
        ("--user me", "--user is for CrateDB"),
    ];
    for (options, words) in of_columns {
        check_wrong(&program, &[(&to(options), 2, words)]).await;
    }
    let of_database = [
        (
            "--to mysql://localhost --table readings",
            2,
            "--to is no URL of a database",
        ),
        (
            "--to http://me:secret@localhost:4200 --table t",
            2,
            "CRATEDB_PASSWORD",
        ),
        (
            "--to http://localhost:4200 --table t --json r --key r --mode keep-first",
            2,
            "for Postgres",
        ),
        ("--table t", 2, "--to"),
    ];
    check_wrong(&program, &of_database).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_down_or_lacks_something_is_one_clear_line() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let program = Program::with_stream("s", 1).await;
    let client = postgres.client().await;
    let table = "CREATE TABLE readings (device text, at money)";
    client.batch_execute(table).await.unwrap();
    let down = [
        (
            "--to postgres://postgres@127.0.0.1:1/postgres --table readings --wait 500ms",
            1,
            "the database refused to connect",
        ),
        (
            "--to http://127.0.0.1:1 --table t --wait 100ms",
            1,
            "http://127.0.0.1:1 cannot be reached",
        ),
    ];
    check_wrong(&program, &down).await;
    let url = postgres.url();
    for (options, words) in [
        ("absent", "there is no table \"absent\""),
        (
            "readings --columns device,celsius",
            "has no column \"celsius\"",
        ),
        ("readings --columns at", "column \"at\""),
        (
            "readings --columns device --key x --mode upsert",
            "there is no column \"x\"",
        ),
    ] {
        let options = format!("--to {url} --table {options}");
        check_wrong(&program, &[(&options, 1, words)]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_not_there_leaves_no_table_behind() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let program = Program::with_stream("s", 1).await;
    let url = postgres.url();
    let absent = format!("sql -s absent --to {url} --table new --json r --create-table -q");
    let done = program.run(&absent, "").await;
    assert_eq!(done.status, Some(1));
    assert!(done.err.contains("absent"), "{}", done.err);
    let made = "SELECT count(*) FROM pg_class WHERE relname = 'new'";
    assert_eq!(number(&postgres, made).await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_to_cratedb() {
    let node = crate_db::CrateDb::new().with_password("me:secret");
    let url = format!("http://{}", node.serve().await.unwrap());
    let program = Program::with_stream("s", 1).await;
    program.run("put -s s", &readings(0..20)).await;
    let line = format!("sql -s s --to {url} --table readings --create-table --until tip --user me");
    let mut command = program.command(&line);
    command.env("CRATEDB_PASSWORD", "secret");
    let done = end_of(command, "").await;
    assert_eq!(done.status, Some(0), "{}", done.err);
    assert!(
        done.err.contains("20 records of s are in readings"),
        "{}",
        done.err
    );
    let rows = node.rows("doc.readings");
    assert_eq!(rows.len(), 20);
    assert_eq!(rows[0]["record"]["celsius"], 0.5);

    let refused = program.run(&line, "").await;
    assert_eq!(refused.status, Some(1), "{}", refused.err);
    assert!(
        refused.err.contains("the user is not known"),
        "{}",
        refused.err
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settings_file_of_kcl_names_the_stream_and_the_application() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let program = Program::with_stream("s", 1).await;
    program.run("put -s s", &readings(0..5)).await;
    // Without a start in it the oldest record is the first, as without a file.
    let text = "streamName = s\napplicationName = from-file\nmaxActiveThreads = 9\n";
    let path = file("sql.properties", text);
    let line = format!(
        "sql --properties {} --to {} --table readings {COLUMNS} --until tip",
        path.display(),
        postgres.url()
    );
    let done = program.run(&line, "").await;
    assert_eq!(done.status, Some(0), "{}", done.err);
    assert!(done.err.contains("maxActiveThreads"), "{}", done.err);
    assert!(done.err.contains("5 records of s"), "{}", done.err);
    let app = "SELECT count(*) FROM kinesis_pipeline_checkpoint WHERE app = 'from-file'";
    assert_eq!(number(&postgres, app).await, Some(1));
    let both = program.run(&format!("{line} --app mine"), "").await;
    assert_eq!(both.status, Some(2), "{}", both.err);
    let other = program
        .run(&line.replace("sql --prop", "sql -s t --prop"), "")
        .await;
    assert_eq!(other.status, Some(1), "{}", other.err);
    std::fs::remove_file(path).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_of_readers_are_listed_and_pruned() {
    use kinesis_pipeline::{Checkpoint, CheckpointPlace, CheckpointStore as _};
    use kinesis_pipeline_sql::PostgresCheckpoints;

    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let run = |line: String| async move { end_of(crate::bare_command(&line), "").await };
    let to = format!("--to {}", postgres.url());
    let none = run(format!("list-checkpoints {to}")).await;
    assert_eq!(none.status, Some(1), "{}", none.out);
    assert!(none.err.contains("triton_checkpoint"), "{}", none.err);

    let store = PostgresCheckpoints::connect(postgres.url()).unwrap();
    let checkpoint = |shard: &str, place| Checkpoint::new(shard.into(), place);
    let after = CheckpointPlace::After {
        sequence_number: 42_u128.into(),
        sub_sequence_number: Some(3),
    };
    let saved = vec![
        checkpoint("shardId-000000000000", after),
        checkpoint("shardId-000000000001", CheckpointPlace::ShardEnd),
    ];
    store.save("billing", "s", saved).await.unwrap();
    let other = vec![checkpoint(
        "shardId-000000000000",
        CheckpointPlace::TrimHorizon,
    )];
    store.save("audit", "t", other).await.unwrap();

    let listed = run(format!("list-checkpoints {to} -o json")).await;
    assert_eq!(listed.status, Some(0), "{}", listed.err);
    let rows = listed.json();
    let apps: Vec<_> = rows
        .iter()
        .map(|row| row["app"].as_str().unwrap())
        .collect();
    assert_eq!(apps, ["audit", "billing", "billing"]);
    assert_eq!(rows[1]["place"], "after 42.3");
    assert_eq!(rows[2]["place"], "SHARD_END");
    let listed = run(format!("list-checkpoints {to} --app audit")).await;
    assert_eq!(listed.out.lines().count(), 2, "{}", listed.out);
    assert!(listed.out.contains("TRIM_HORIZON"), "{}", listed.out);

    let client = postgres.client().await;
    let age = "UPDATE triton_checkpoint SET updated = updated - 100000 WHERE client = 'billing'";
    client.batch_execute(age).await.unwrap();
    let pruned = run(format!(
        "prune-checkpoints {to} --unchanged-for 1d --stream t"
    ))
    .await;
    assert!(
        pruned.err.contains("0 checkpoints removed"),
        "{}",
        pruned.err
    );
    let pruned = run(format!("prune-checkpoints {to} --unchanged-for 1d")).await;
    assert_eq!(pruned.status, Some(0), "{}", pruned.err);
    assert!(
        pruned.err.contains("2 checkpoints removed"),
        "{}",
        pruned.err
    );
    assert_eq!(run(format!("prune-checkpoints {to}")).await.status, Some(2));
}
