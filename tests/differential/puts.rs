//! Puts and gets, beside ferrokinesis.

use aws_sdk_kinesis::{
    Client,
    primitives::{Blob, DateTime},
    types::{PutRecordsRequestEntry, ShardIteratorType},
};
use kinesis_pipeline_tests::Server;

use crate::{
    call::{Mix, calls},
    compare, compare_cases,
    world::{Compared, STREAM, World, code},
};

const MIB: usize = 1024 * 1024;
const SEEDS: std::ops::Range<u64> = 0..8;
const MIX: Mix = Mix {
    calls: 60,
    reshard_percent: 8,
    // Known fault: ferrokinesis ignores ShardFilter.
    has_filters: false,
};
/// Known faults: `MillisBehindLatest` is always 0, and the last page of a closed shard has no `ChildShards`.
const COMPARED: Compared = Compared {
    behind: false,
    children: false,
};

/// What ferrokinesis makes of a case, where that is not what the service does.
const KNOWN_FAULTS: &[(&str, &str)] = &[
    // It counts bytes.
    ("a key of 256 characters of 3 bytes", "ValidationException"),
    // Its limit is 5 MiB of JSON.
    ("4 MiB in one call", "SerializationException"),
    ("9 MiB in one call", "SerializationException"),
    ("11 MiB in one call", "SerializationException"),
    ("AT_SEQUENCE_NUMBER 0", "InternalFailure"),
];

#[tokio::test(flavor = "multi_thread")]
async fn any_sequence_of_puts_and_gets_is_answered_as_ferrokinesis_answers_it() {
    for seed in SEEDS {
        let (ours, theirs) = (Server::embedded().await, Server::ferrokinesis().await);
        let shards = 1 + (seed % 4) as i32;
        let mut ours = World::start(ours.client(), STREAM, shards, COMPARED).await;
        let mut theirs = World::start(theirs.client(), STREAM, shards, COMPARED).await;
        compare(&mut ours, &mut theirs, seed, calls(seed, MIX)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_calls_are_refused_as_ferrokinesis_refuses_them() {
    let mut answers = Vec::new();
    for server in [Server::embedded().await, Server::ferrokinesis().await] {
        let world = World::start(server.client(), STREAM, 2, COMPARED).await;
        let mut cases = puts(&world.client).await;
        cases.extend(put_sizes(&world.client).await);
        cases.extend(gets(&world.client).await);
        answers.push(cases);
    }
    let [ours, theirs] = answers.try_into().expect("two servers");
    compare_cases(ours, theirs, KNOWN_FAULTS);
}

async fn puts(client: &Client) -> Vec<(&'static str, String)> {
    let put = || {
        let call = client.put_record().stream_name(STREAM);
        call.partition_key("key").data(Blob::new("x"))
    };
    let summary = client
        .describe_stream_summary()
        .stream_name(STREAM)
        .send()
        .await;
    let summary = summary
        .ok()
        .and_then(|answer| answer.stream_description_summary);
    let arn = summary.map(|summary| summary.stream_arn);
    let by_arn = put().set_stream_name(None).set_stream_arn(arn);
    vec![
        (
            "a put to an unknown stream",
            code(put().stream_name("absent").send().await),
        ),
        (
            "a put to a stream whose name has spaces",
            code(put().stream_name("a b").send().await),
        ),
        (
            "a put without a stream",
            code(put().set_stream_name(None).send().await),
        ),
        ("a put by ARN", code(by_arn.send().await)),
        ("an empty key", code(put().partition_key("").send().await)),
        (
            "a key of 256 characters",
            code(put().partition_key("k".repeat(256)).send().await),
        ),
        (
            "a key of 256 characters of 3 bytes",
            code(put().partition_key("\u{4e2d}".repeat(256)).send().await),
        ),
        (
            "a key of 257 characters",
            code(put().partition_key("k".repeat(257)).send().await),
        ),
        (
            "the greatest hash key",
            code(put().explicit_hash_key(u128::MAX.to_string()).send().await),
        ),
        (
            "a hash key past the greatest",
            code(
                put()
                    .explicit_hash_key("340282366920938463463374607431768211456")
                    .send()
                    .await,
            ),
        ),
        (
            "a hash key that is no number",
            code(put().explicit_hash_key("x").send().await),
        ),
        (
            "an order after a number that is none",
            code(put().sequence_number_for_ordering("x").send().await),
        ),
        ("empty data", code(put().data(Blob::new("")).send().await)),
        (
            "a name in use",
            code(
                client
                    .create_stream()
                    .stream_name(STREAM)
                    .shard_count(1)
                    .send()
                    .await,
            ),
        ),
    ]
}

async fn put_sizes(client: &Client) -> Vec<(&'static str, String)> {
    let put = |bytes: usize| {
        let call = client.put_record().stream_name(STREAM);
        call.partition_key("k")
            .data(Blob::new(vec![0; bytes]))
            .send()
    };
    let put_many = |count: usize, bytes: usize| {
        let entry = PutRecordsRequestEntry::builder()
            .partition_key("k")
            .data(Blob::new(vec![0; bytes]));
        let entry = entry.build().expect("key and data are set");
        client
            .put_records()
            .stream_name(STREAM)
            .set_records(Some(vec![entry; count]))
            .send()
    };
    vec![
        ("a record of 1 MiB, key included", code(put(MIB - 1).await)),
        ("a record of 1 MiB and one byte", code(put(MIB + 1).await)),
        ("no records", code(put_many(0, 1).await)),
        ("500 records", code(put_many(500, 1).await)),
        ("501 records", code(put_many(501, 1).await)),
        ("4 MiB in one call", code(put_many(4, MIB - 1).await)),
        ("9 MiB in one call", code(put_many(9, MIB - 1).await)),
        ("11 MiB in one call", code(put_many(11, MIB - 1).await)),
    ]
}

async fn gets(client: &Client) -> Vec<(&'static str, String)> {
    let first = "shardId-000000000000";
    let place = |kind: ShardIteratorType| {
        let call = client.get_shard_iterator().stream_name(STREAM);
        call.shard_id(first).shard_iterator_type(kind)
    };
    let at = || place(ShardIteratorType::AtSequenceNumber);
    let time = || place(ShardIteratorType::AtTimestamp);
    let far = client
        .put_record()
        .stream_name(STREAM)
        .partition_key("k")
        .data(Blob::new("x"));
    let far = far
        .explicit_hash_key(u128::MAX.to_string())
        .send()
        .await
        .expect("stored");
    let iterator = place(ShardIteratorType::TrimHorizon)
        .send()
        .await
        .expect("an iterator");
    let get = |limit: i32| {
        let call = client
            .get_records()
            .set_shard_iterator(iterator.shard_iterator.clone());
        call.limit(limit).send()
    };
    vec![
        (
            "an unknown shard",
            code(at().shard_id("shardId-000000000009").send().await),
        ),
        (
            "a shard id that is none",
            code(at().shard_id("?").send().await),
        ),
        (
            "an iterator of an unknown stream",
            code(at().stream_name("absent").send().await),
        ),
        (
            "an unknown kind of iterator",
            code(place("SOMEWHERE".into()).send().await),
        ),
        (
            "AT_SEQUENCE_NUMBER without a number",
            code(at().send().await),
        ),
        (
            "AT_SEQUENCE_NUMBER with a number that is none",
            code(at().starting_sequence_number("x").send().await),
        ),
        (
            "AT_SEQUENCE_NUMBER 0",
            code(at().starting_sequence_number("0").send().await),
        ),
        (
            "a number of another shard",
            code(
                at().starting_sequence_number(far.sequence_number)
                    .send()
                    .await,
            ),
        ),
        ("AT_TIMESTAMP without a time", code(time().send().await)),
        (
            "AT_TIMESTAMP long ago",
            code(time().timestamp(DateTime::from_secs(1)).send().await),
        ),
        (
            "AT_TIMESTAMP to come",
            code(
                time()
                    .timestamp(DateTime::from_secs(9_999_999_999))
                    .send()
                    .await,
            ),
        ),
        ("a page of no records", code(get(0).await)),
        ("a page of 10,000 records", code(get(10_000).await)),
        ("a page of 10,001 records", code(get(10_001).await)),
        (
            "a made-up iterator",
            code(client.get_records().shard_iterator("AAAA").send().await),
        ),
    ]
}
