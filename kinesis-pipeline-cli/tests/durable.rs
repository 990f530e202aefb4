//! The program with a data directory, killed in the middle of puts.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use kinesis_pipeline::{
    SequenceNumber,
    aws_sdk_kinesis::{
        self, Client,
        config::{BehaviorVersion, Credentials, Region, retry::RetryConfig},
        primitives::Blob,
        types::{PutRecordsRequestEntry, ShardIteratorType},
    },
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

/// A program that has not done its part by then hangs.
const PATIENCE: Duration = Duration::from_mins(1);
const STREAM: &str = "readings";
const SHARDS: usize = 3;
/// How many calls put at once, and what each puts.
const PUTTERS: usize = 4;
const ENTRIES: usize = 40;
/// The program is killed once so many calls were answered.
const ANSWERED_MIN: usize = 60;

/// What was put, and where it was stored, as the answers say.
type Answered = Vec<(String, String, SequenceNumber)>;

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("kinesis-pipeline-kill-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        // What an earlier process of this number left.
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A test that fails shows its own error.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn command(data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kinesis-pipeline"));
    let stream = format!("{STREAM}={SHARDS}");
    command
        .args(["local", "--listen", "127.0.0.1:0", "--stream", &stream])
        .arg("--data-dir")
        .arg(data_dir)
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// The program, serving, and a client that never tries twice.
async fn serve(data_dir: &Path) -> (Child, Client) {
    let mut child = command(data_dir).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = timeout(PATIENCE, lines.next_line()).await.expect("a line");
    let line = line.unwrap().expect("it serves");
    let url = line.strip_prefix("export AWS_ENDPOINT_URL_KINESIS=");
    let config = aws_sdk_kinesis::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(url.expect("the endpoint comes first"))
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("local", "local", None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .build();
    (child, Client::from_conf(config))
}

async fn put(client: &Client, texts: &[String]) -> Option<Answered> {
    let entry = |text: &String| {
        PutRecordsRequestEntry::builder()
            .partition_key(text)
            .data(Blob::new(text.as_bytes()))
            .build()
            .unwrap()
    };
    let entries = texts.iter().map(entry).collect();
    let call = client
        .put_records()
        .stream_name(STREAM)
        .set_records(Some(entries));
    let answer = call.send().await.ok()?;
    let stored = answer.records.into_iter().map(|record| {
        let number = record.sequence_number.unwrap().parse().unwrap();
        (record.shard_id.unwrap(), number)
    });
    let stored = texts.iter().cloned().zip(stored);
    Some(
        stored
            .map(|(text, (shard, number))| (text, shard, number))
            .collect(),
    )
}

/// Puts until the program is gone.
async fn put_on(
    client: Client,
    putter: usize,
    round: usize,
    answers: Arc<AtomicUsize>,
) -> Answered {
    let mut answered = Vec::new();
    for call in 0_usize.. {
        let text = |entry| format!("{round}-{putter}-{call}-{entry}");
        let texts: Vec<String> = (0..ENTRIES).map(text).collect();
        match put(&client, &texts).await {
            Some(stored) => answered.extend(stored),
            None => break,
        }
        answers.fetch_add(1, Ordering::Relaxed);
    }
    answered
}

/// All records of the stream by shard, in order.
async fn read(client: &Client) -> BTreeMap<String, Vec<(String, SequenceNumber)>> {
    let mut all = BTreeMap::new();
    for shard in 0..SHARDS {
        let shard = format!("shardId-{shard:012}");
        let call = client
            .get_shard_iterator()
            .stream_name(STREAM)
            .shard_id(&shard);
        let call = call.shard_iterator_type(ShardIteratorType::TrimHorizon);
        let mut iterator = call.send().await.unwrap().shard_iterator;
        let mut records = Vec::new();
        loop {
            let call = client.get_records().set_shard_iterator(iterator);
            let page = call.send().await.unwrap();
            for record in &page.records {
                let text = String::from_utf8(record.data.as_ref().to_vec()).unwrap();
                records.push((text, record.sequence_number.parse().unwrap()));
            }
            if page.millis_behind_latest == Some(0) {
                break;
            }
            iterator = page.next_shard_iterator;
        }
        all.insert(shard, records);
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answered_put_survives_a_kill_in_the_middle_of_puts() {
    let scratch = Scratch::new("puts");
    let mut answered = Vec::new();
    for round in 0..3 {
        let (mut child, client) = serve(&scratch.0).await;
        let answers = Arc::new(AtomicUsize::new(0));
        let putters = (0..PUTTERS)
            .map(|putter| tokio::spawn(put_on(client.clone(), putter, round, answers.clone())));
        let putters: Vec<_> = putters.collect();
        let enough = async {
            while answers.load(Ordering::Relaxed) < ANSWERED_MIN {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, enough).await.expect("puts are answered");
        // SIGKILL: nothing of the program runs any more.
        child.start_kill().unwrap();
        for putter in putters {
            let stored = timeout(PATIENCE, putter).await.expect("puts end");
            answered.extend(stored.unwrap());
        }
        child.wait().await.unwrap();
        check(&scratch.0, &mut answered).await;
    }
}

/// Starts the program again: every answered record is there once, and a new one has a greater number.
async fn check(data_dir: &Path, answered: &mut Answered) {
    let (mut child, client) = serve(data_dir).await;
    let all = read(&client).await;
    for (shard, records) in &all {
        let numbers = records.windows(2).all(|pair| pair[0].1 < pair[1].1);
        assert!(numbers, "numbers of {shard} increase");
        let texts: BTreeSet<_> = records.iter().map(|(text, _)| text).collect();
        assert_eq!(texts.len(), records.len(), "records of {shard} come once");
        let stored: BTreeSet<_> = records.iter().cloned().collect();
        for (text, _, number) in answered.iter().filter(|(_, at, _)| at == shard) {
            assert!(stored.contains(&(text.clone(), number.clone())), "{text}");
        }
    }
    let texts = [format!("after {}", answered.len())];
    let stored = put(&client, &texts).await.unwrap();
    for (_, shard, number) in &stored {
        assert!(all[shard].iter().all(|(_, before)| before < number));
    }
    answered.extend(stored);
    child.start_kill().unwrap();
    child.wait().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_in_use_ends_the_program_with_an_error_that_names_it() {
    let scratch = Scratch::new("use");
    let (_first, _) = serve(&scratch.0).await;
    let second = timeout(PATIENCE, command(&scratch.0).output())
        .await
        .expect("it ends")
        .unwrap();
    assert_eq!(second.status.code(), Some(1));
    let error = String::from_utf8(second.stderr).unwrap();
    assert!(
        error.contains(&*scratch.0.to_string_lossy()) && error.contains("in use"),
        "{error}"
    );
}
