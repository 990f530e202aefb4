//! Runs the loader program as a user does, with the embedded Kinesis over HTTP.

use std::{
    collections::HashMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::Arc,
    time::Duration,
};

use kinesis_pipeline::{
    EncodedRecord, KinesisStream, LocalKinesis, MemoryCheckpoints, StartAt, Until,
    local::LocalServer,
};
use serde_json::Value;

/// The limit of rows that a run repeats: the default of `resume_window`.
const WINDOW: usize = 32 * 1024;

struct Journey {
    local: LocalKinesis,
    server: LocalServer,
    dir: PathBuf,
}

impl Journey {
    async fn new(name: &str, shards: u32) -> Self {
        let local = LocalKinesis::start().await.expect("it starts");
        let server = local.serve("127.0.0.1:0").await.expect("a free port");
        let _: KinesisStream<Value> = local.stream("lake", shards).await.expect("a new stream");
        let dir = std::env::temp_dir().join(format!("run-load-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory");
        Self { local, server, dir }
    }

    fn program(&self, arguments: &[&str]) -> Command {
        let test = std::env::current_exe().expect("the test has a path");
        let profile = test
            .ancestors()
            .nth(2)
            .expect("target/<profile>/deps/<test>");
        let binary = profile.join("examples").join("trial_model");
        assert!(binary.exists(), "run `cargo test` without `--test`");
        let mut command = Command::new(binary);
        command
            .args(arguments)
            .current_dir(&self.dir)
            .env("AWS_ENDPOINT_URL", self.server.endpoint_url())
            .env("AWS_REGION", "us-east-1")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .stdin(Stdio::null());
        command
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = self.program(arguments);
        // The server runs on this runtime, which must not be blocked.
        let output = tokio::task::spawn_blocking(move || command.output()).await;
        output.expect("no panic").expect("the program starts")
    }

    /// Returns the values of all records, each with the number of records that have it.
    async fn values(&self) -> HashMap<i64, usize> {
        let stream: KinesisStream<Value> = self.local.stream("lake", 1).await.expect("the stream");
        let reader = stream
            .reader()
            .start(StartAt::TrimHorizon)
            .until(Until::Tip);
        let mut records = reader.open().await.expect("it opens");
        let mut values = HashMap::new();
        while let Some(record) = records.next().await {
            let value = record.expect("a record").data["value"]
                .as_i64()
                .expect("a number");
            *values.entry(value).or_default() += 1;
        }
        values
    }

    /// Returns the number of records that were stored since the last count with this store.
    async fn stored_since(&self, counted: &Arc<MemoryCheckpoints>) -> u64 {
        let stream = self.local.stream::<EncodedRecord>("lake", 1).await;
        let reader = stream.expect("the stream").reader();
        let reader = reader
            .start(StartAt::TrimHorizon)
            .until(Until::Tip)
            .checkpoints(Arc::clone(counted), "count");
        let mut records = reader.open().await.expect("it opens");
        let mut count = 0;
        while let Some(record) = records.next().await {
            record.expect("a record");
            count += 1;
        }
        records.close().await.expect("checkpoints");
        count
    }

    fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    /// Returns the number of finished rows in the resume file.
    fn marked(&self) -> u64 {
        let mark = fs::read(self.dir.join("resume")).unwrap_or_default();
        let mark: Value = serde_json::from_slice(&mark).unwrap_or_default();
        mark["done"]["rows"].as_u64().unwrap_or(0)
    }

    /// Returns a table of this many rows, with the values 0, 1, 2 ...
    fn table(&self, rows: usize) -> String {
        let mut text =
            "a\tb\tc\tuuid\td\te\tf\tg\tvalue\tcreated_at\tcreated_by\tupdated_at\tupdated_by\n"
                .to_owned();
        for value in 0..rows {
            writeln!(
                text,
                "0\t1\t2\tu\t4\t5\t6\t7\t{value}\t2017-01-01\tbob\tNULL\talice"
            )
            .expect("a text grows");
        }
        let path = self.path("table.tsv");
        fs::write(&path, text).expect("it can be written");
        path
    }
}

impl Drop for Journey {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn tutorial() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/trial_model.tsv");
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tutorials_program_is_tried_and_then_loads() {
    let journey = Journey::new("tutorial", 2).await;
    let input = tutorial();
    let trial = journey.run(&["-i", &input, "--stream", "lake", "-t"]).await;
    assert!(trial.status.success(), "{}", stderr(&trial));
    assert!(
        stderr(&trial).contains("trial, nothing was sent: 40 row(s) in, 40 record(s) out"),
        "{}",
        stderr(&trial)
    );
    assert!(journey.values().await.is_empty());

    let load = journey
        .run(&["-i", &input, "--stream", "lake", "--json"])
        .await;
    assert!(load.status.success(), "{}", stderr(&load));
    let report: Value = serde_json::from_slice(&load.stdout).expect("JSON");
    assert_eq!(
        (&report["rows"], &report["records"]),
        (&40.into(), &40.into())
    );
    assert_eq!(journey.values().await.values().sum::<usize>(), 40);
    // Both runs wrote the same file, except for values that are generated for each record.
    let export =
        fs::read_to_string(journey.dir.join("results/trialmodel.json")).expect("the export");
    assert_eq!(export.lines().count(), 40);
    assert!(
        export.starts_with(r#"{"_meta":{"eventType":"model.create","timestamp":""#),
        "{export}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn help_has_the_flags_of_the_tutorial_and_the_models_columns() {
    let journey = Journey::new("help", 1).await;
    let help = journey.run(&["--help"]).await;
    assert!(help.status.success());
    let text = String::from_utf8_lossy(&help.stdout).into_owned();
    for words in [
        "-o, --outdir",
        "-i, --input",
        "--debug",
        "-q, --quiet",
        "-p, --rows",
        "-t, --trial",
        "--stream",
        "--profile",
        "Columns of trialmodel:",
        "created_by  position 10       String",
    ] {
        assert!(text.contains(words), "{words}\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exit_status_tells_failure_from_wrong_usage() {
    let journey = Journey::new("status", 1).await;
    let code = |output: &Output| output.status.code();
    let unknown = journey.run(&["--no-such-flag"]).await;
    assert_eq!(code(&unknown), Some(2), "{}", stderr(&unknown));
    let unnamed = journey.run(&["-i", &tutorial()]).await;
    assert_eq!(code(&unnamed), Some(2), "{}", stderr(&unnamed));
    let absent = journey.run(&["-i", &tutorial(), "--stream", "none"]).await;
    assert_eq!(code(&absent), Some(1), "{}", stderr(&absent));
    let directory = journey
        .run(&["-i", &journey.path(""), "--stream", "lake"])
        .await;
    assert_eq!(code(&directory), Some(1));
    assert_eq!(
        stderr(&directory).lines().count(),
        1,
        "{}",
        stderr(&directory)
    );
    let empty = journey.run(&["--stream", "lake"]).await;
    assert!(
        stderr(&empty).contains("<stdin>: the file is empty"),
        "{}",
        stderr(&empty)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_is_killed_ten_times_sends_every_row_and_repeats_no_more_than_the_window() {
    const ROWS: usize = 400_000;
    const KILLS: usize = 10;
    let journey = Journey::new("kill", 4).await;
    let input = journey.table(ROWS);
    let arguments = ["-i", &input, "--stream", "lake", "--resume", "resume", "-q"];
    let mut random = 0x2545_f491_4f6c_dd1d_u64 ^ u64::from(std::process::id());
    let mut killed = 0;
    let (counted, mut expected_repeats) = (Arc::new(MemoryCheckpoints::new()), 0);
    for _ in 0..KILLS {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let before = journey.marked();
        let mut child = journey
            .program(&arguments)
            .spawn()
            .expect("the program starts");
        // After the first mark of this run, rows are in flight at any moment.
        while journey.marked() == before && child.try_wait().expect("its status").is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tokio::time::sleep(Duration::from_millis(random % 400)).await;
        killed += usize::from(child.try_wait().expect("its status").is_none());
        child.kill().expect("a signal");
        child.wait().expect("its end");
        // The next run repeats the records that this run stored behind its last mark. They are at most as many as the
        // window.
        let marked = journey.marked() - before;
        let stored = journey.stored_since(&counted).await;
        let repeats = stored
            .checked_sub(marked)
            .expect("what is marked is stored");
        assert!(
            repeats <= WINDOW as u64,
            "{repeats} repeats of the kill after row {}",
            journey.marked()
        );
        expected_repeats += repeats;
    }
    let last = journey.run(&arguments).await;
    assert!(last.status.success(), "{}", stderr(&last));
    let values = journey.values().await;
    assert_eq!(values.len(), ROWS, "after {killed} kills");
    let repeats: usize = values.values().map(|count| count - 1).sum();
    assert_eq!(repeats as u64, expected_repeats, "of {killed} kills");
    println!("killed {killed} times: {repeats} of {ROWS} rows were repeated");
    assert!(
        killed > KILLS / 2,
        "{killed} runs were killed, the others were over"
    );
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_is_asked_to_end_stops_without_a_repeat() {
    const ROWS: usize = 150_000;
    let journey = Journey::new("end", 4).await;
    let input = journey.table(ROWS);
    let arguments = [
        "-i", &input, "--stream", "lake", "--resume", "resume", "--json",
    ];
    let mut command = journey.program(&arguments);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    // The run has begun when the resume file is there.
    while !journey.dir.join("resume").exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let id = child.id().to_string();
    assert!(
        Command::new("kill")
            .arg(&id)
            .status()
            .expect("kill")
            .success()
    );
    let ended = tokio::task::spawn_blocking(move || child.wait_with_output()).await;
    let ended = ended.expect("no panic").expect("its output");
    assert!(
        matches!(ended.status.code(), Some(0 | 143)),
        "{}",
        stderr(&ended)
    );
    let last = journey.run(&arguments).await;
    assert!(last.status.success(), "{}", stderr(&last));
    let values = journey.values().await;
    assert_eq!((values.len(), values.values().sum::<usize>()), (ROWS, ROWS));
    if ended.status.code() == Some(143) {
        assert!(
            stderr(&ended).contains("ended by a signal after row "),
            "{}",
            stderr(&ended)
        );
    }
}
