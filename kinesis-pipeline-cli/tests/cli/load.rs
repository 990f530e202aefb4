//! Tables into a stream without a program of one's own.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use kinesis_pipeline::{
    EncodedRecord, KinesisStream, StartAt, Until, local::Fault, service::DescribeStreamSummary,
};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::{PATIENCE, Program, file};

fn data(path: &str) -> String {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    workspace.join(path).display().to_string()
}

fn airports() -> String {
    data("kinesis-pipeline-load/tests/data/airports.tsv")
}

fn earthquakes() -> String {
    data("examples/data/earthquakes.jsonl")
}

/// A path that is free, and free again after the test.
struct Free(PathBuf);

impl Free {
    fn new(name: &str) -> Self {
        let path = file(name, "");
        std::fs::remove_file(&path).unwrap();
        Self(path)
    }

    fn shown(&self) -> String {
        self.0.display().to_string()
    }
}

impl Drop for Free {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// All records, with their keys, and the shard of each.
async fn records(program: &Program, stream: &str) -> Vec<(String, EncodedRecord)> {
    let stream: KinesisStream<EncodedRecord> = program.local.stream(stream, 1).await.unwrap();
    let reader = stream
        .reader()
        .start(StartAt::TrimHorizon)
        .until(Until::Tip);
    let mut records = reader.open().await.unwrap();
    let mut read = Vec::new();
    while let Some(record) = records.next().await {
        let record = record.unwrap();
        read.push((record.position().shard_id.to_string(), record.data));
    }
    read
}

async fn texts(program: &Program, stream: &str) -> Vec<String> {
    let records = records(program, stream).await.into_iter();
    records
        .map(|(_, record)| String::from_utf8(record.data.to_vec()).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn earthquakes_are_loaded_as_they_are_under_the_key_of_a_field() {
    let program = Program::with_stream("quakes", 4).await;
    let done = program
        .run(
            &format!("load {} -s quakes --key network --json", earthquakes()),
            "",
        )
        .await;
    assert_eq!(done.status, Some(0), "{}", done.err);
    let report = &done.json()[0];
    assert_eq!(
        (&report["rows"], &report["records"]),
        (&json!(1707), &json!(1707))
    );
    assert_eq!(report["tables"][0]["table"], "earthquakes");
    let mut expected: Vec<String> = std::fs::read_to_string(earthquakes())
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    let mut read = Vec::new();
    for (_, record) in records(&program, "quakes").await {
        let quake: Value = serde_json::from_slice(&record.data).unwrap();
        assert_eq!(record.partition_key, quake["network"].as_str().unwrap());
        read.push(String::from_utf8(record.data.to_vec()).unwrap());
    }
    read.sort();
    expected.sort();
    assert_eq!(read, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn airports_are_loaded_in_order_per_state_with_the_types_of_their_columns() {
    let program = Program::with_stream("airports", 4).await;
    let done = program
        .run(
            &format!("load -i {} -s airports --key state", airports()),
            "",
        )
        .await;
    assert_eq!(done.status, Some(0), "{}", done.err);
    assert!(done.out.is_empty(), "{}", done.out);
    assert!(
        done.err
            .starts_with("done: 3376 row(s) in, 3376 record(s) out"),
        "{}",
        done.err
    );
    let mut read: Vec<Value> = Vec::new();
    for (_, record) in records(&program, "airports").await {
        let airport: Value = serde_json::from_slice(&record.data).unwrap();
        assert_eq!(record.partition_key, airport["state"].as_str().unwrap());
        assert!(
            airport["iata"].is_string() && airport["latitude"].is_number(),
            "{airport}"
        );
        read.push(airport);
    }
    let text = std::fs::read_to_string(airports()).unwrap();
    let of_state = |state: &str| -> Vec<String> {
        let rows = text
            .lines()
            .skip(1)
            .map(|line| line.split('\t').collect::<Vec<_>>());
        rows.filter(|cells| cells[3] == state)
            .map(|cells| cells[0].to_owned())
            .collect()
    };
    for state in ["TX", "AK", "DC"] {
        let loaded: Vec<_> = read
            .iter()
            .filter(|airport| airport["state"] == state)
            .map(|airport| airport["iata"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(loaded, of_state(state), "{state}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dotted_columns_nest_and_types_are_given_or_found() {
    let program = Program::with_stream("points", 1).await;
    let input = "id;at.lat;at.lon;zip;note\n1;2.5;-3;12345;\n2;7;;00501;NULL\n";
    let line = "load -s points --key id --delimiter ; --type id=text --table points";
    let done = program.run(line, input).await;
    assert_eq!(done.status, Some(0), "{}", done.err);
    assert_eq!(
        texts(&program, "points").await,
        [
            r#"{"id":"1","at":{"lat":2.5,"lon":-3},"zip":"12345","note":null}"#,
            r#"{"id":"2","at":{"lat":7,"lon":null},"zip":"00501","note":null}"#,
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_sends_nothing_and_shows_the_first_records() {
    let program = Program::with_stream("s", 2).await;
    let line = format!("load {} -s s --key state -t -p 1", airports());
    let done = program.run(&line, "").await;
    assert_eq!(done.status, Some(0), "{}", done.err);
    let first = "MS\t{\"iata\":\"00M\",\"name\":\"Thigpen\"";
    assert!(done.err.starts_with(first), "{}", done.err);
    assert!(
        done.err.contains("trial, nothing was sent: 3376 row(s) in"),
        "{}",
        done.err
    );
    assert!(records(&program, "s").await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_of_another_type_than_the_sample_stops_or_is_rejected_with_its_reason() {
    let program = Program::with_stream("s", 1).await;
    let mut table = String::from("n\n");
    table.extend((0..1_500).map(|n| format!("{n}\n")));
    table.push_str("many\n7\n");
    let stopped = program.run("load -s s", &table).await;
    assert_eq!(stopped.status, Some(1), "{}", stopped.err);
    let told = "line 1502, column `n`: \"many\" is not an integer, as in the sample: give the type";
    assert!(stopped.err.contains(told), "{}", stopped.err);
    assert_eq!(texts(&program, "s").await.len(), 1_500);

    let rejects = Free::new("load-rejects");
    let line = format!("load -s s --json --rejects {}", rejects.shown());
    let done = program.run(&line, &table).await;
    assert_eq!(done.status, Some(0), "{}", done.err);
    assert_eq!(done.json()[0]["rejected"], 1);
    assert_eq!(std::fs::read_to_string(&rejects.0).unwrap(), "n\nmany\n");
    let reasons = Free(PathBuf::from(format!("{}.reasons", rejects.shown())));
    assert!(
        std::fs::read_to_string(&reasons.0)
            .unwrap()
            .contains("not an integer")
    );

    let given = program.run("load -s s --type n=text -t -p 0", &table).await;
    assert_eq!(given.status, Some(0), "{}", given.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_sends_the_rest() {
    let program = Program::with_stream("s", 2).await;
    let resume = Free::new("load-resume");
    let line = format!(
        "load {} -s s --key state --json --resume {}",
        airports(),
        resume.shown()
    );
    let first = program.run(&format!("{line} --max 1000"), "").await;
    assert_eq!(first.status, Some(0), "{}", first.err);
    let second = program.run(&line, "").await;
    assert_eq!(second.status, Some(0), "{}", second.err);
    assert_eq!(second.json()[0]["resumed_rows"], 1000);
    assert_eq!(records(&program, "s").await.len(), 3376);
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_is_asked_to_end_stores_what_it_read_and_says_after_which_row() {
    const ROWS: usize = 400_000;
    let program = Program::with_stream("s", 1).await;
    let slow = Fault::delay(Duration::from_millis(50)).on("PutRecords");
    program.local.faults().add(slow.always()).unwrap();
    let table = file("load-stopped.tsv", &format!("n\n{}", "1\n".repeat(ROWS)));
    let resume = Free::new("load-stopped-resume");
    let line = format!("load {} -s s --resume {}", table.display(), resume.shown());
    let child = program.command(&line).spawn().unwrap();
    // It listens for signals once the resume file is there.
    let listens = async {
        while !resume.0.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, listens).await.expect("it begins");
    crate::signal(&child, "-TERM");
    let output = timeout(PATIENCE, child.wait_with_output()).await;
    let output = output.expect("it ends").unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    let stored = records(&program, "s").await.len();
    assert_eq!(output.status.code(), Some(143), "{told}");
    assert!(stored < ROWS);
    let words = format!("stopped by SIGTERM after row {stored}; ");
    assert!(told.contains(&words), "{told}");

    let rest = program.run(&line, "").await;
    assert_eq!(rest.status, Some(0), "{}", rest.err);
    assert_eq!(records(&program, "s").await.len(), ROWS);
    std::fs::remove_file(table).unwrap();
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_does_not_wait_and_names_the_shards_that_may_be_left() {
    let program = Program::with_stream("s", 1).await;
    let never = Fault::delay(Duration::from_hours(1)).on("PutRecords");
    program.local.faults().add(never.always()).unwrap();
    let line = format!("load {} -s s --scale-to 2 --yes", airports());
    let mut load = program.command(&line).spawn().unwrap();
    let stream: KinesisStream<Value> = program.local.stream("s", 1).await.unwrap();
    let scaled = async {
        let summary = || DescribeStreamSummary::new(stream.id().clone());
        let open = async || stream.service().describe_stream_summary(summary()).await;
        while open().await.unwrap().open_shard_count < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, scaled).await.expect("it begins");
    for _ in 0..PATIENCE.as_millis() / 300 {
        crate::signal(&load, "-INT");
        let ended = timeout(Duration::from_millis(300), load.wait()).await;
        if ended.is_ok() {
            break;
        }
    }
    let output = timeout(PATIENCE, load.wait_with_output()).await;
    let output = output.expect("it ends").unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{told}");
    let words = "stopped by SIGINT before the rows that were read were stored, and before the stream was scaled back";
    assert!(told.starts_with(words), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_and_a_scaled_load_tell_about_shards() {
    let program = Program::with_stream("s", 2).await;
    let line = format!("load {} -s s --key state --plan --json", airports());
    let plan = program.run(&line, "").await;
    assert_eq!(plan.status, Some(0), "{}", plan.err);
    assert!(
        plan.json()[0]["seconds"].as_f64().unwrap() > 0.0,
        "{}",
        plan.out
    );
    assert!(records(&program, "s").await.is_empty());

    let many = format!("n\n{}", "1\n".repeat(100_001));
    let unknown = program.run("load -s s --plan", &many).await;
    assert_eq!(unknown.status, Some(0), "{}", unknown.err);
    assert!(
        unknown.out.starts_with("at least 100000 record(s)"),
        "{}",
        unknown.out
    );
    assert!(unknown.out.contains("the sample alone"), "{}", unknown.out);

    let line = format!("load {} -s s --key state --scale-to 4", airports());
    let unasked = program.run(&line, "").await;
    assert_eq!(unasked.status, Some(2), "{}", unasked.err);
    assert!(unasked.err.contains("--yes"), "{}", unasked.err);
    let scaled = program.run(&format!("{line} --yes --json"), "").await;
    assert_eq!(scaled.status, Some(0), "{}", scaled.err);
    assert_eq!(scaled.json()[0]["shards"].as_object().unwrap().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_usage_and_bad_input_are_one_line_each() {
    let program = Program::with_stream("s", 1).await;
    for (line, status, words) in [
        ("load -s s --type n", 2, "is not COLUMN=TYPE"),
        ("load -s s --delimiter ab", 2, "is not one character"),
        (
            "load -s s --type none=int",
            1,
            "the header has no column `none`",
        ),
        (
            "load -s s --key none",
            1,
            "the header has no column `none` for the key",
        ),
        (
            "load -s s --format jsonl --type n=text",
            2,
            "--type is for cells, and JSON lines are put as they are",
        ),
        (
            "load -s s rows.jsonl.gz --null -",
            2,
            "--null is for cells, and JSON lines are put as they are",
        ),
        ("load -s none", 1, "none"),
        ("load -s s /nowhere/table.tsv", 1, "/nowhere/table.tsv"),
    ] {
        let done = program.run(line, "n\n1\n").await;
        assert_eq!(done.status, Some(status), "{line}: {}", done.err);
        assert!(done.err.contains(words), "{line}: {}", done.err);
        if status == 1 {
            let errors = done.err.lines().filter(|line| !line.starts_with("hint: "));
            assert_eq!(errors.count(), 1, "{line}: {}", done.err);
        }
    }
}
