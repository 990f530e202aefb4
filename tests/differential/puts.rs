//! A comparison of puts and gets with ferrokinesis.

use aws_sdk_kinesis::{
    Client,
    primitives::{Blob, DateTime},
    types::{PutRecordsRequestEntry, ShardIteratorType},
};
use kinesis_pipeline_tests::Server;

use crate::{
    call::{Mix, calls},
    compare, compare_cases,
    world::{Compared, NO_ANSWER, STREAM, World, code},
};

const FIRST_SHARD: &str = "shardId-000000000000";
const MIB: usize = 1024 * 1024;
/// The limit of attempts of calls whose body a server may cut off.
const TRIES_MAX: usize = 10;
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

/// The answers of ferrokinesis that differ from the service's.
const KNOWN_FAULTS: &[(&str, &str)] = &[
    // It counts bytes instead of characters.
    ("a key of 256 characters of 3 bytes", "ValidationException"),
    // Its limit is 5 MiB of JSON.
    ("4 MiB in one call", "SerializationException"),
    ("9 MiB in one call", "SerializationException"),
    ("11 MiB in one call", "SerializationException"),
    ("AT_SEQUENCE_NUMBER 0", "InternalFailure"),
    // The pattern of the API is `0|([1-9]\d{0,38})`.
    ("a hash key with a leading zero", "taken"),
    // It accepts an ARN instead of a name only in puts.
    ("an iterator by ARN", "ValidationException"),
    ("shards listed by ARN", "InvalidArgumentException"),
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
        cases.extend(put_keys(&world.client).await);
        cases.extend(put_sizes(&world.client).await);
        cases.extend(iterators(&world.client).await);
        cases.extend(gets(&world.client).await);
        cases.extend(by_arn(&world.client).await);
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
    let to = async |stream: &str| code(put().stream_name(stream).send().await);
    let create = client.create_stream().stream_name(STREAM).shard_count(1);
    let ordered = put().sequence_number_for_ordering("x");
    vec![
        ("a put to an unknown stream", to("absent").await),
        ("a put to a name with spaces", to("a b").await),
        (
            "a put without a stream",
            code(put().set_stream_name(None).send().await),
        ),
        (
            "an order after a number that is none",
            code(ordered.send().await),
        ),
        ("empty data", code(put().data(Blob::new("")).send().await)),
        ("a name in use", code(create.send().await)),
    ]
}

async fn put_keys(client: &Client) -> Vec<(&'static str, String)> {
    let put = || client.put_record().stream_name(STREAM).data(Blob::new("x"));
    let key = async |key: &str| code(put().partition_key(key).send().await);
    let hash = async |key: &str| {
        let call = put().partition_key("key").explicit_hash_key(key);
        code(call.send().await)
    };
    let past = "340282366920938463463374607431768211456";
    vec![
        ("an empty key", key("").await),
        ("a key of 256 characters", key(&"k".repeat(256)).await),
        (
            "a key of 256 characters of 3 bytes",
            key(&"\u{4e2d}".repeat(256)).await,
        ),
        ("a key of 257 characters", key(&"k".repeat(257)).await),
        ("the greatest hash key", hash(&u128::MAX.to_string()).await),
        ("a hash key past the greatest", hash(past).await),
        ("a hash key that is no number", hash("x").await),
        ("a hash key with a leading zero", hash("01").await),
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
    // A server may refuse a body before it has read all of it. The client is still writing then, and sees either the
    // refusal or the end of the connection.
    let put_large = async |count: usize| {
        for _ in 1..TRIES_MAX {
            let answer = code(put_many(count, MIB - 1).await);
            if answer != NO_ANSWER {
                return answer;
            }
        }
        code(put_many(count, MIB - 1).await)
    };
    vec![
        ("a record of 1 MiB, key included", code(put(MIB - 1).await)),
        ("a record of 1 MiB and one byte", code(put(MIB + 1).await)),
        ("no records", code(put_many(0, 1).await)),
        ("500 records", code(put_many(500, 1).await)),
        ("501 records", code(put_many(501, 1).await)),
        ("4 MiB in one call", put_large(4).await),
        ("9 MiB in one call", put_large(9).await),
        ("11 MiB in one call", put_large(11).await),
    ]
}

async fn iterators(client: &Client) -> Vec<(&'static str, String)> {
    let place = |kind: ShardIteratorType| {
        let call = client.get_shard_iterator().stream_name(STREAM);
        call.shard_id(FIRST_SHARD).shard_iterator_type(kind)
    };
    let at = || place(ShardIteratorType::AtSequenceNumber);
    let shard = async |id: &str| code(place(ShardIteratorType::Latest).shard_id(id).send().await);
    let number = async |text: &str| code(at().starting_sequence_number(text).send().await);
    let time = async |seconds: i64| {
        let call = place(ShardIteratorType::AtTimestamp).timestamp(DateTime::from_secs(seconds));
        code(call.send().await)
    };
    let put = client.put_record().stream_name(STREAM).partition_key("k");
    let put = put
        .explicit_hash_key(u128::MAX.to_string())
        .data(Blob::new("x"));
    let other_shard = put.send().await.expect("stored").sequence_number;
    let no_time = place(ShardIteratorType::AtTimestamp);
    vec![
        ("an unknown shard", shard("shardId-000000000009").await),
        ("a shard id that is none", shard("?").await),
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
            number("x").await,
        ),
        ("AT_SEQUENCE_NUMBER 0", number("0").await),
        ("a number of another shard", number(&other_shard).await),
        ("AT_TIMESTAMP without a time", code(no_time.send().await)),
        ("AT_TIMESTAMP long ago", time(1).await),
        ("AT_TIMESTAMP to come", time(9_999_999_999).await),
    ]
}

async fn gets(client: &Client) -> Vec<(&'static str, String)> {
    let call = client.get_shard_iterator().stream_name(STREAM);
    let call = call
        .shard_id(FIRST_SHARD)
        .shard_iterator_type(ShardIteratorType::TrimHorizon);
    let iterator = call.send().await.expect("an iterator").shard_iterator;
    let get = || client.get_records().set_shard_iterator(iterator.clone());
    let made_up = get().shard_iterator("AAAA");
    vec![
        ("a page of no records", code(get().limit(0).send().await)),
        (
            "a page of 10,000 records",
            code(get().limit(10_000).send().await),
        ),
        (
            "a page of 10,001 records",
            code(get().limit(10_001).send().await),
        ),
        ("a made-up iterator", code(made_up.send().await)),
    ]
}

async fn by_arn(client: &Client) -> Vec<(&'static str, String)> {
    let call = client.describe_stream_summary().stream_name(STREAM);
    let answer = call.send().await.expect("a description");
    let arn = answer
        .stream_description_summary
        .expect("a summary")
        .stream_arn;
    let put = client
        .put_record()
        .stream_arn(&arn)
        .partition_key("k")
        .data(Blob::new("x"));
    let entry = PutRecordsRequestEntry::builder()
        .partition_key("k")
        .data(Blob::new("x"));
    let entry = entry.build().expect("key and data are set");
    let put_many = client.put_records().stream_arn(&arn).records(entry);
    let place = client
        .get_shard_iterator()
        .stream_arn(&arn)
        .shard_id(FIRST_SHARD);
    let place = place.shard_iterator_type(ShardIteratorType::Latest);
    vec![
        ("a put by ARN", code(put.send().await)),
        ("puts by ARN", code(put_many.send().await)),
        ("an iterator by ARN", code(place.send().await)),
        (
            "shards listed by ARN",
            code(client.list_shards().stream_arn(&arn).send().await),
        ),
    ]
}
