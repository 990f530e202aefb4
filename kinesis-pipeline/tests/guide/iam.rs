//! Runs each part of the library while all actions outside of its policy are denied.

use std::{
    collections::BTreeSet,
    error::Error,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use kinesis_pipeline::{
    Batch, Clock, KinesisStream, LocalKinesis, MemoryCheckpoints, MemoryLeases, StartAt, Until,
    local::Fault,
};
use serde_json::Value;

const PAGE: &str = include_str!("../../src/guide/iam.md");

/// The calls that the library can make.
const CALLS: [&str; 17] = [
    "CreateStream",
    "DeleteStream",
    "DeregisterStreamConsumer",
    "DescribeStreamConsumer",
    "DescribeStreamSummary",
    "GetRecords",
    "GetShardIterator",
    "ListShards",
    "ListStreams",
    "MergeShards",
    "PutRecord",
    "PutRecords",
    "RegisterStreamConsumer",
    "SplitShard",
    "SubscribeToShard",
    "UpdateShardCount",
    "UpdateStreamMode",
];

/// Returns the actions of a service in the policy under a heading.
fn actions(heading: &str, service: &str) -> BTreeSet<String> {
    let (_, section) = PAGE
        .split_once(&format!("\n# {heading}\n"))
        .unwrap_or_else(|| panic!("no heading {heading}"));
    let (_, json) = section.split_once("```json\n").expect("a policy");
    let (json, _) = json.split_once("```").expect("its end");
    let policy: Value = serde_json::from_str(json).expect("JSON");
    let statements = policy["Statement"].as_array().expect("statements");
    let actions = statements
        .iter()
        .flat_map(|statement| statement["Action"].as_array().expect("a list of actions"))
        .map(|action| action.as_str().expect("a text"));
    let prefix = format!("{service}:");
    actions
        .filter_map(|action| Some(action.strip_prefix(&prefix)?.to_owned()))
        .collect()
}

/// Makes a stream whose service allows only these calls.
async fn allowed(actions: &BTreeSet<String>) -> Result<KinesisStream<Bytes>, Box<dyn Error>> {
    let clock = Clock::tokio(SystemTime::UNIX_EPOCH);
    let local = LocalKinesis::builder().clock(clock).start().await?;
    let stream = local.stream("readings", 2).await?;
    stream
        .put_all((0..10).map(|n| Bytes::from(n.to_string())))
        .await
        .ok()?;
    for call in CALLS {
        if !actions.contains(call) {
            local.faults().add(Fault::deny().on(call).always())?;
        }
    }
    Ok(stream)
}

/// A part of the library that is run.
#[derive(Clone, Copy, Debug)]
enum Part {
    Put,
    Producer,
    Reader,
    FanOut,
    Worker,
}

impl Part {
    async fn runs(self, stream: KinesisStream<Bytes>) -> Result<(), Box<dyn Error>> {
        match self {
            Self::Put => stream.put(&"a".into()).await.map(drop)?,
            Self::Producer => aggregates(&stream).await?,
            Self::Reader => {
                let reader = stream
                    .reader()
                    .checkpoints(MemoryCheckpoints::new(), "billing");
                reads_ten(reader).await?;
            }
            Self::FanOut => reads_ten(stream.reader().fan_out("billing")).await?,
            Self::Worker => works(&stream).await?,
        }
        Ok(())
    }
}

/// Puts records in aggregates. Fails if they go one by one, as they do while the shards are unknown.
async fn aggregates(stream: &KinesisStream<Bytes>) -> Result<(), Box<dyn Error>> {
    let producer = stream.producer().aggregate(true).build()?;
    for number in 0..20 {
        producer.put(&Bytes::from(number.to_string())).await?;
    }
    producer.flush().await?;
    match producer.stats().kinesis_records_sent {
        1..20 => Ok(producer.close().await?),
        sent => Err(format!("20 records went as {sent}").into()),
    }
}

async fn reads_ten(reader: kinesis_pipeline::Reader<Bytes>) -> Result<(), Box<dyn Error>> {
    let mut records = reader
        .start(StartAt::TrimHorizon)
        .until(Until::Tip)
        .open()
        .await?;
    let mut count = 0;
    while let Some(record) = records.next().await {
        record?;
        count += 1;
    }
    assert_eq!(count, 10);
    Ok(())
}

async fn works(stream: &KinesisStream<Bytes>) -> Result<(), Box<dyn Error>> {
    let worker = stream.worker("billing").leases(MemoryLeases::new());
    let worker = worker.start(StartAt::TrimHorizon).build()?;
    let handle = worker.handle();
    let run = worker.run_batches(move |_: Batch<Bytes>| {
        handle.stop();
        async { Ok(()) }
    });
    // Time is paused. A worker that cannot read would wait for ever.
    tokio::time::timeout(Duration::from_hours(2), run).await??;
    Ok(())
}

const PARTS: [(&str, Part); 5] = [
    ("Puts", Part::Put),
    ("Producer", Part::Producer),
    ("Reader", Part::Reader),
    ("Reader with fan-out", Part::FanOut),
    ("Worker with leases in DynamoDB", Part::Worker),
];

#[tokio::test(start_paused = true)]
async fn each_part_runs_with_its_policy() -> Result<(), Box<dyn Error>> {
    for (heading, part) in PARTS {
        let stream = allowed(&actions(heading, "kinesis")).await?;
        part.runs(stream)
            .await
            .map_err(|error| format!("{heading}: {error}"))?;
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn no_policy_has_an_action_that_is_not_needed() -> Result<(), Box<dyn Error>> {
    for (heading, part) in PARTS {
        let all = actions(heading, "kinesis");
        for action in &all {
            // Readers work without this action, but cannot detect an expired checkpoint then.
            if action == "DescribeStreamSummary" && !matches!(part, Part::FanOut) {
                continue;
            }
            let mut fewer = all.clone();
            fewer.remove(action);
            let ran = part.runs(allowed(&fewer).await?).await;
            assert!(ran.is_err(), "{heading} runs without {action}");
        }
    }
    Ok(())
}

#[test]
fn the_table_names_the_actions_of_the_lease_store_that_its_policy_has() {
    let row = PAGE
        .lines()
        .find(|line| line.contains("`DynamoDbLeases`, "));
    let row = row.expect("a row of the lease store");
    for action in actions("Worker with leases in DynamoDB", "dynamodb") {
        assert!(row.contains(&format!("`{action}`")), "{action}: {row}");
    }
}
