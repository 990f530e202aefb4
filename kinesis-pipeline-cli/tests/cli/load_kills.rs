//! A load that is killed and resumed: every row is in the stream, and what is there twice lies in the named windows.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use kinesis_pipeline::{KinesisStream, StartAt, Until};
use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::Program;

/// Rows that may be sent before the resume file says that those before them are stored.
const WINDOW: usize = 32 * 1024;
const POLL: Duration = Duration::from_millis(5);

/// A number of rows and of kills, and the time after which a run is taken for hanging.
struct Extent {
    rows: usize,
    kills: usize,
    patience: Duration,
}

/// A folder that is removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("kinesis-pipeline-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Writes a table of some 100 bytes a row.
fn write_table(path: &Path, rows: usize) {
    let mut out = std::io::BufWriter::new(fs::File::create(path).unwrap());
    out.write_all(b"id\tcity\ttext\n").unwrap();
    for id in 0..rows {
        let text = "lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod";
        writeln!(out, "{id}\tcity-{}\t{text}", id % 5_000).unwrap();
    }
    out.flush().unwrap();
}

/// Rows that are stored for sure, as the resume file tells.
fn rows_done(resume: &Path) -> usize {
    let Ok(text) = fs::read(resume) else { return 0 };
    let content: Value = serde_json::from_slice(&text).unwrap();
    usize::try_from(content["done"]["rows"].as_u64().unwrap()).unwrap()
}

/// Starts the load, kills it a random moment after it has come further, and returns what its file says then.
async fn start_and_kill(program: &Program, line: &str, resume: &Path, extent: &Extent) -> usize {
    let before = rows_done(resume);
    let mut child = program.command(line).spawn().unwrap();
    let goes_on = async {
        while rows_done(resume) == before {
            assert_eq!(child.try_wait().unwrap(), None, "the load was too short");
            sleep(POLL).await;
        }
    };
    let waited = timeout(extent.patience, goes_on).await;
    waited.expect("the load goes on");
    // A twentieth of the time that a run takes, so that all kills strike before the end.
    let moment = fastrand::usize(0..=extent.rows / 10_000);
    sleep(Duration::from_millis(moment.try_into().unwrap())).await;
    assert_eq!(child.try_wait().unwrap(), None, "it was killed too late");
    child.kill().await.unwrap();
    rows_done(resume)
}

/// Counts how often each row is in the stream.
async fn counts(stream: &KinesisStream<Bytes>, rows: usize) -> Vec<usize> {
    let reader = stream
        .reader()
        .start(StartAt::TrimHorizon)
        .until(Until::Tip)
        .ignore_limits();
    let mut records = reader.open().await.unwrap();
    let mut counts = vec![0; rows];
    while let Some(record) = records.next().await {
        let row: Value = serde_json::from_slice(&record.unwrap().data).unwrap();
        counts[usize::try_from(row["id"].as_u64().unwrap()).unwrap()] += 1;
    }
    counts
}

async fn a_killed_load_stores_all_rows(extent: Extent) {
    let program = Program::with_stream("s", 8).await;
    let folder = Folder::new(&format!("load-{}", extent.rows));
    let (table, resume) = (folder.0.join("rows.tsv"), folder.0.join("resume.json"));
    write_table(&table, extent.rows);
    let line = format!(
        "load {} -s s --key city --resume {} -q",
        table.display(),
        resume.display()
    );
    let mut resumed_at = Vec::new();
    for _ in 0..extent.kills {
        resumed_at.push(start_and_kill(&program, &line, &resume, &extent).await);
    }
    let last = program.command(&line).spawn().unwrap();
    let done = timeout(extent.patience, last.wait_with_output()).await;
    let done = done.expect("the load ends").unwrap();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );

    let stream = program.local.stream("s", 8).await.unwrap();
    let counts = counts(&stream, extent.rows).await;
    let windows = |row: usize| {
        let mut all = resumed_at.iter();
        let covers = |from: &&usize| (**from..**from + WINDOW).contains(&row);
        all.by_ref().filter(covers).count()
    };
    for (row, count) in counts.iter().enumerate() {
        let most = 1 + windows(row);
        assert!(
            (1..=most).contains(count),
            "row {row} is there {count} times, of {most}: {resumed_at:?}"
        );
    }
    let repeats = counts.iter().sum::<usize>() - extent.rows;
    println!(
        "{} rows, {} kills, resumed after {resumed_at:?}: {repeats} repeats",
        extent.rows, extent.kills
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_that_is_killed_stores_each_row_and_repeats_only_its_windows() {
    a_killed_load_stores_all_rows(Extent {
        rows: 400_000,
        kills: 2,
        patience: Duration::from_mins(1),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes ten minutes and gigabytes: 5,000,000 rows and 10 kills"]
async fn a_load_of_five_million_rows_that_is_killed_ten_times_stores_each() {
    a_killed_load_stores_all_rows(Extent {
        rows: 5_000_000,
        kills: 10,
        patience: Duration::from_mins(20),
    })
    .await;
}
