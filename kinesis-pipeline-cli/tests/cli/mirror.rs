//! `get` and `put` in a pipe, and what is between them.

use std::{collections::BTreeMap, process::Stdio, time::Duration};

use kinesis_pipeline::{EncodedRecord, HashKey, KinesisStream, PartitionKey, StartAt, Until};
use serde_json::json;
use tokio::time::timeout;

use crate::{Program, lines_of, ready};

/// How long 100,000 records may take through two processes of a debug build.
const PATIENCE: Duration = Duration::from_mins(5);
const RECORDS: usize = 100_000;

/// The records of each key in their order.
type ByKey = BTreeMap<String, Vec<EncodedRecord>>;

async fn by_key(stream: &KinesisStream<EncodedRecord>) -> ByKey {
    let reader = stream
        .reader()
        .start(StartAt::TrimHorizon)
        .until(Until::Tip);
    let mut records = reader.ignore_limits().open().await.unwrap();
    let mut by_key = ByKey::new();
    while let Some(record) = records.next().await {
        let record = record.unwrap();
        let mut data = record.data;
        data.explicit_hash_key = record.explicit_hash_key;
        let key = data.partition_key.as_str().to_owned();
        by_key.entry(key).or_default().push(data);
    }
    by_key
}

fn random_key(rng: &mut fastrand::Rng) -> PartitionKey {
    let length = rng.usize(1..=40);
    let chars = (0..length).map(|_| rng.char(..));
    PartitionKey::new(chars.collect::<String>()).unwrap()
}

/// Bytes, texts, JSON with numbers that no float holds, white space around it, doubled members.
fn random_data(rng: &mut fastrand::Rng) -> Vec<u8> {
    let length = rng.usize(0..60);
    let digits = |rng: &mut fastrand::Rng| {
        let digits = (0..rng.usize(1..40)).map(|_| rng.digit(10));
        digits.collect::<String>()
    };
    match rng.u8(0..6) {
        0 => (0..length).map(|_| rng.u8(..)).collect(),
        1 => (0..length).map(|_| rng.char(..)).collect::<String>().into(),
        2 => format!("1{}.{}", digits(rng), digits(rng)).into(),
        3 => format!(r#"{{"b":1{0},"a":-1.{0}0,"b":"{0}"}}"#, digits(rng)).into(),
        4 => format!("{{\"a\" :\t[1e{}, null ]}} \r\n", rng.u16(..)).into(),
        _ => format!("\n{{\"a\":\n{}}}", rng.u64(..)).into(),
    }
}

/// Mirrors `from` into `to` by two processes.
async fn mirror(program: &Program, from: &str, to: &str) {
    let get = format!("get -s {from} --from all --until tip -o json -q");
    let mut get = program.command(&get).spawn().unwrap();
    let pipe: Stdio = get.stdout.take().unwrap().try_into().unwrap();
    let mut put = program.command(&format!("put -s {to} --from-json"));
    let put = put.stdin(pipe).output();
    let put = timeout(PATIENCE, put).await.expect("it ends").unwrap();
    assert!(
        put.status.success(),
        "{}",
        String::from_utf8_lossy(&put.stderr)
    );
    assert!(get.wait().await.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_has_the_same_records_in_the_same_order_per_key() {
    let program = Program::with_stream("a", 4).await;
    let a: KinesisStream<EncodedRecord> = program.local.stream("a", 4).await.unwrap();
    let b: KinesisStream<EncodedRecord> = program.local.stream("b", 3).await.unwrap();
    let mut rng = fastrand::Rng::with_seed(7);
    let keys: Vec<_> = (0..5_000).map(|_| random_key(&mut rng)).collect();
    let records = (0..RECORDS).map(|_| {
        let key = keys[rng.usize(..keys.len())].clone();
        EncodedRecord::new(key, random_data(&mut rng).into())
    });
    for result in a.put_all(records.collect::<Vec<_>>()).await {
        result.unwrap();
    }
    mirror(&program, "a", "b").await;
    let (source, copy) = (by_key(&a).await, by_key(&b).await);
    let count = source.values().map(Vec::len).sum::<usize>();
    assert_eq!(count, RECORDS);
    for (key, records) in &source {
        assert_eq!(copy.get(key), Some(records), "{key:?}");
    }
    assert_eq!(source.len(), copy.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_keeps_explicit_hash_keys_where_they_are_known() {
    let program = Program::with_stream("a", 1).await;
    let a: KinesisStream<EncodedRecord> = program.local.stream("a", 1).await.unwrap();
    let b: KinesisStream<EncodedRecord> = program.local.stream("b", 2).await.unwrap();
    let producer = a.producer().aggregate(true).build().unwrap();
    for number in 0..20_u128 {
        let key = PartitionKey::new("k").unwrap();
        let mut record = EncodedRecord::new(key, number.to_string().into());
        record.explicit_hash_key = Some(HashKey::new(number << 123));
        producer.put(&record).await.unwrap();
    }
    producer.close().await.unwrap();
    mirror(&program, "a", "b").await;
    let reader = b.reader().start(StartAt::TrimHorizon).until(Until::Tip);
    let mut records = reader.open().await.unwrap();
    let mut shards = BTreeMap::new();
    while let Some(record) = records.next().await {
        let shard = record.unwrap().position().shard_id.clone();
        *shards.entry(shard).or_insert(0) += 1;
    }
    // One key alone would be in one shard.
    assert_eq!(shards.into_values().collect::<Vec<_>>(), [16, 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_into_a_pipe_can_be_searched_and_formatted() {
    let program = Program::with_stream("s", 1).await;
    for (key, text) in [("a", "one\ntwo\n"), ("b", "three\n")] {
        let line = format!("put -s s --key-value {key}");
        assert_eq!(program.run(&line, text).await.status, Some(0));
    }
    let table = [
        ("", "one\ntwo\nthree\n"),
        ("-o raw", "onetwothree"),
        ("--grep ^t", "two\nthree\n"),
        ("--grep ^t --exclude ee", "two\n"),
        ("--key b", "three\n"),
        ("--key b --key a --grep o -n 1", "one\n"),
        (r"-f %k:%d:%b\n", "a:one:3\na:two:3\nb:three:5\n"),
        ("--since 1h --idle 100ms --grep one", "one\n"),
        ("--from 2020-01-01 --until 2020-01-02", ""),
        ("--from 00:00 -n 2", "one\ntwo\n"),
    ];
    for (options, out) in table {
        let from = if options.contains("--from") || options.contains("--since") {
            ""
        } else {
            "--from all"
        };
        let end = if options.contains("--until") || options.contains("--idle") {
            ""
        } else {
            "--until tip"
        };
        let line = format!("get -s s -q {from} {end} {options}");
        let got = program.run(&line, "").await;
        assert_eq!(
            (got.status, got.out.as_str()),
            (Some(0), out),
            "{line}: {}",
            got.err
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn idleness_ends_a_get_once_records_stop_coming() {
    let program = Program::with_stream("s", 1).await;
    let mut reader = ready(program.command("get -s s --idle 2s")).await;
    assert_eq!(program.run("put -s s", "one\ntwo").await.status, Some(0));
    assert_eq!(lines_of(&mut reader, 2).await, ["one", "two"]);
    let status = timeout(crate::PATIENCE, reader.wait())
        .await
        .expect("it ends");
    assert!(status.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn json_data_stay_what_they_are() {
    let program = Program::with_stream("s", 1).await;
    let number = r#"{"n":123456789012345678901234567890,"x":1.10,"n":2}"#;
    let put = program
        .run("put -s s --format json --key-value k", number)
        .await;
    assert_eq!(put.status, Some(0), "{}", put.err);
    let got = program
        .run("get -s s --from all --until tip -o json -q", "")
        .await;
    let data = format!(r#""encoding":"json","data":{number}}}"#);
    assert!(got.out.trim_end().ends_with(&data), "{}", got.out);
    assert_eq!(got.json()[0]["partition_key"], json!("k"));
}
