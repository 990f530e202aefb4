//! A batch job with checkpoints in a file, which is killed at work and started again.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use bytes::Bytes;
use kinesis_pipeline::{
    Checkpoint, CheckpointPlace, CheckpointStore as _, FileCheckpoints, KinesisStream,
    LocalKinesis, SequenceNumber, ShardId, StartAt, Until,
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

const URL: &str = "KILL_TEST_URL";
const FILE: &str = "KILL_TEST_FILE";
const APP: &str = "job";
const STREAM: &str = "test";
/// The number of records. A pipe cannot hold nearly as many lines, so no process reaches the end before it is killed.
const RECORDS: u32 = 12_000;
const KILLS: usize = 3;
/// The time without any progress after which a process hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// The records that the job finished, by shard. The job prints one line for each.
type Given = BTreeMap<ShardId, Vec<SequenceNumber>>;

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_job_goes_on_after_its_last_checkpoint_and_misses_nothing() {
    let local = LocalKinesis::start().await.unwrap();
    let server = local.serve("127.0.0.1:0").await.unwrap();
    let stream = local.stream::<Bytes>(STREAM, 2).await.unwrap();
    let all = put_all(&stream).await;
    let file = std::env::temp_dir().join(format!("kinesis-pipeline-kill-{}", std::process::id()));

    let mut finished = Given::new();
    for _ in 0..KILLS {
        let before = checkpoints(&file).await;
        let given = run_and_kill(&server.endpoint_url(), &file, &before).await;
        assert_goes_on(&all, &before, &given);
        for (shard_id, numbers) in given {
            finished.entry(shard_id).or_default().extend(numbers);
        }
        assert_passes_only(&finished, &checkpoints(&file).await);
    }
    let before = checkpoints(&file).await;
    let given = run_to_the_end(&server.endpoint_url(), &file).await;
    assert_goes_on(&all, &before, &given);
    for (shard_id, numbers) in &all {
        assert_eq!(given[shard_id].last(), numbers.last());
    }
    std::fs::remove_file(file).unwrap();
}

async fn put_all(stream: &KinesisStream<Bytes>) -> Given {
    let mut all = Given::new();
    let records = (0..RECORDS).map(|number| Bytes::from(number.to_string()));
    for receipt in stream.put_all(records).await {
        let position = receipt.unwrap().position();
        let numbers = all.entry(position.shard_id).or_default();
        numbers.push(position.sequence_number);
    }
    for numbers in all.values_mut() {
        numbers.sort();
    }
    all
}

/// Checks that the records of a process begin right after its checkpoint and have no hole.
fn assert_goes_on(all: &Given, before: &[Checkpoint], given: &Given) {
    for (shard_id, given) in given {
        let place = before.iter().find(|row| row.shard_id == *shard_id);
        let from = match place.map(|row| &row.place) {
            Some(CheckpointPlace::After {
                sequence_number, ..
            }) => all[shard_id].binary_search(sequence_number).unwrap() + 1,
            _ => 0,
        };
        assert_eq!(*given, all[shard_id][from..from + given.len()]);
    }
}

/// Checks that no checkpoint passes a record that was not given out.
fn assert_passes_only(finished: &Given, checkpoints: &[Checkpoint]) {
    for row in checkpoints {
        if let CheckpointPlace::After {
            sequence_number, ..
        } = &row.place
        {
            assert!(finished[&row.shard_id].contains(sequence_number));
        }
    }
}

async fn checkpoints(file: &Path) -> Vec<Checkpoint> {
    // A new store each time, as another process has written the file.
    let store = FileCheckpoints::new(file);
    store.load(APP, STREAM).await.unwrap()
}

fn start(url: &str, file: &Path) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_job", "--nocapture", "--test-threads=1"])
        .env(URL, url)
        .env(FILE, file)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines)
}

/// Lets the job work until it has saved a checkpoint, and kills it while it has unfinished records.
async fn run_and_kill(url: &str, file: &Path, before: &[Checkpoint]) -> Given {
    let (mut child, mut lines) = start(url, file);
    let mut given = Given::new();
    let saved = async {
        loop {
            note(&mut given, &lines.next_line().await.unwrap().unwrap());
            let now = checkpoints(file).await;
            let is_after = |row: &Checkpoint| matches!(row.place, CheckpointPlace::After { .. });
            if now != before && now.iter().any(is_after) {
                return;
            }
        }
    };
    timeout(PATIENCE, saved).await.expect("a checkpoint");
    child.kill().await.unwrap();
    read_all(&mut lines, &mut given).await;
    let count: usize = given.values().map(Vec::len).sum();
    assert!(count < RECORDS as usize, "it was killed too late");
    given
}

async fn run_to_the_end(url: &str, file: &Path) -> Given {
    let (mut child, mut lines) = start(url, file);
    let mut given = Given::new();
    let end = timeout(PATIENCE, read_all(&mut lines, &mut given));
    end.await.expect("the job ends");
    assert!(child.wait().await.unwrap().success());
    given
}

async fn read_all(lines: &mut Lines<BufReader<ChildStdout>>, given: &mut Given) {
    while let Some(line) = lines.next_line().await.unwrap() {
        note(given, &line);
    }
}

/// Notes a line of the job. The process's test harness prints other lines, and a kill cuts the last one.
fn note(given: &mut Given, line: &str) {
    let Some((shard_id, number)) = line
        .strip_prefix("took ")
        .and_then(|line| line.strip_suffix(" end"))
        .and_then(|line| line.split_once(' '))
    else {
        return;
    };
    let numbers = given.entry(shard_id.into()).or_default();
    numbers.push(number.parse().unwrap());
}

/// The process that is killed, not a test of its own.
#[tokio::test(flavor = "multi_thread")]
async fn the_job() {
    let (Ok(url), Some(file)) = (std::env::var(URL), std::env::var_os(FILE)) else {
        return;
    };
    let config = aws_sdk_kinesis::Config::builder()
        .behavior_version(aws_sdk_kinesis::config::BehaviorVersion::latest())
        .region(aws_sdk_kinesis::config::Region::from_static("us-east-1"))
        .credentials_provider(aws_sdk_kinesis::config::Credentials::new(
            "local", "local", None, None, "test",
        ))
        .endpoint_url(url)
        .build();
    let client = aws_sdk_kinesis::Client::from_conf(config);
    let stream = KinesisStream::<Bytes>::with_client(client, STREAM);
    let reader = stream
        .reader()
        .start(StartAt::TrimHorizon)
        .until(Until::Tip)
        .checkpoints(FileCheckpoints::new(PathBuf::from(file)), APP)
        .checkpoint_interval(Duration::from_millis(20))
        .page_records_max(500)
        .ignore_limits();
    let mut records = reader.open().await.unwrap();
    let mut out = std::io::stdout();
    while let Some(record) = records.next().await {
        let record = record.unwrap();
        let position = record.position();
        let (shard_id, number) = (&position.shard_id, &position.sequence_number);
        out.write_all(format!("\ntook {shard_id} {number} end\n").as_bytes())
            .unwrap();
        out.flush().unwrap();
    }
}
