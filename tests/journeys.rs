//! What a user does, through the official SDK over HTTP: on the embedded Kinesis, and on one that others wrote.

use std::{collections::HashSet, time::Duration};

use bytes::Bytes;
use kinesis_pipeline::{
    EncodedRecord, GetError, KinesisRecord, KinesisStream, PartitionKey, PutError, Record, Records,
    StartAt, Until,
    service::{MergeShards, SplitShard},
};
use kinesis_pipeline_tests::{Server, wait_until_active};
use serde::{Deserialize, Serialize};

/// Runs each journey on both servers.
macro_rules! journeys {
    ($($name:ident),* $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(super::Server::embedded().await).await;
            })*
        }
        mod ferrokinesis {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(super::Server::ferrokinesis().await).await;
            })*
        }
    };
}

journeys! {
    a_record_comes_back_as_it_was_put,
    msgpack_records_come_back_as_they_were_put,
    results_of_many_are_in_input_order,
    latest_reads_what_is_put_after_it_opened,
    a_sequence_number_reads_what_follows_it,
    a_timestamp_reads_what_arrived_since,
    a_split_and_a_merge_are_followed_parents_first,
    fan_out_pushes_records_and_follows_a_split_and_a_merge,
    fan_out_goes_on_from_a_position,
    two_readers_share_the_shards_by_number,
    stop_delivers_what_was_fetched,
    a_bad_record_is_one_error_item,
    a_failed_record_comes_back_and_the_others_are_stored,
    concurrent_puts_are_stored_once_each,
    an_unknown_stream_is_named,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KinesisRecord)]
struct Reading {
    #[kinesis(partition_key)]
    device: String,
    count: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KinesisRecord)]
#[kinesis(codec = "msgpack")]
struct Packed {
    #[kinesis(partition_key)]
    id: u64,
    text: String,
}

fn reading(device: &str, count: u32) -> Reading {
    Reading {
        device: device.to_owned(),
        count,
    }
}

/// The next record; a reader that has none within 20 s hangs.
async fn next<R: KinesisRecord>(records: &mut Records<R>) -> Option<Result<Record<R>, GetError>> {
    tokio::time::timeout(Duration::from_secs(20), records.next())
        .await
        .expect("a record, an error or the end within 20 s")
}

async fn take<R: KinesisRecord>(records: &mut Records<R>, count: usize) -> Vec<Record<R>> {
    let mut taken = Vec::with_capacity(count);
    while taken.len() < count {
        let record = next(records).await.expect("the reader goes on");
        taken.push(record.expect("a good record"));
    }
    taken
}

async fn to_the_tip<R: KinesisRecord>(stream: &KinesisStream<R>, start: StartAt) -> Vec<Record<R>> {
    let mut records = stream
        .reader()
        .start(start)
        .until(Until::Tip)
        .open()
        .await
        .expect("the reader opens");
    let mut taken = Vec::new();
    while let Some(record) = next(&mut records).await {
        taken.push(record.expect("a good record"));
    }
    taken
}

async fn a_record_comes_back_as_it_was_put(server: Server) {
    let stream = server.stream::<Reading>("readings", 2).await;
    let sent = reading("attic", 1);
    let receipt = stream.put(&sent).await.expect("a receipt");

    let back = to_the_tip(&stream, StartAt::TrimHorizon).await;
    assert_eq!(back.len(), 1);
    assert_eq!(back[0].data, sent);
    assert_eq!(back[0].partition_key, "attic");
    assert_eq!(back[0].position(), &receipt.position());
}

async fn msgpack_records_come_back_as_they_were_put(server: Server) {
    let stream = server.stream::<Packed>("packed", 1).await;
    let sent = Packed {
        id: 7,
        text: "é".repeat(300),
    };
    stream.put(&sent).await.expect("a receipt");
    let back = to_the_tip(&stream, StartAt::TrimHorizon).await;
    assert_eq!(back[0].data, sent);
    assert_eq!(back[0].partition_key, "7");
}

async fn results_of_many_are_in_input_order(server: Server) {
    let stream = server.stream::<Reading>("readings", 3).await;
    let sent: Vec<_> = (0..1_201)
        .map(|count| reading(&format!("device-{}", count % 17), count))
        .collect();
    let receipts: Vec<_> = stream
        .put_all(&sent)
        .await
        .into_iter()
        .map(|result| result.expect("a receipt").position())
        .collect();

    let back = to_the_tip(&stream, StartAt::TrimHorizon).await;
    assert_eq!(back.len(), sent.len());
    for record in back {
        let index = record.data.count as usize;
        assert_eq!(record.data, sent[index]);
        assert_eq!(record.position(), &receipts[index]);
    }
}

async fn latest_reads_what_is_put_after_it_opened(server: Server) {
    let stream = server.stream::<Reading>("readings", 4).await;
    for count in 0..10 {
        stream
            .put(&reading(&count.to_string(), count))
            .await
            .expect("a receipt");
    }
    let mut records = stream.iter_from_latest().await.expect("the reader opens");
    for count in 10..20 {
        stream
            .put(&reading(&count.to_string(), count))
            .await
            .expect("a receipt");
    }
    let mut counts: Vec<_> = take(&mut records, 10)
        .await
        .iter()
        .map(|r| r.data.count)
        .collect();
    counts.sort_unstable();
    assert_eq!(counts, (10..20).collect::<Vec<_>>());
}

async fn a_sequence_number_reads_what_follows_it(server: Server) {
    let stream = server.stream::<Reading>("readings", 1).await;
    let mut receipts = Vec::new();
    for count in 0..5 {
        receipts.push(
            stream
                .put(&reading("attic", count))
                .await
                .expect("a receipt"),
        );
    }
    let number = receipts[2].sequence_number.clone();
    let mut records = stream
        .iter_from_sequence_number(0, number.clone())
        .await
        .expect("the reader opens");
    let counts: Vec<_> = take(&mut records, 2)
        .await
        .iter()
        .map(|r| r.data.count)
        .collect();
    assert_eq!(counts, [3, 4]);

    let at = StartAt::AtSequenceNumber(receipts[2].shard_id.clone(), number);
    let counts: Vec<_> = to_the_tip(&stream, at)
        .await
        .iter()
        .map(|r| r.data.count)
        .collect();
    assert_eq!(counts, [2, 3, 4]);
}

async fn a_timestamp_reads_what_arrived_since(server: Server) {
    let stream = server.stream::<Reading>("readings", 2).await;
    stream.put(&reading("attic", 1)).await.expect("a receipt");
    // ferrokinesis cuts arrival times to seconds.
    let pause = if server.is_ferrokinesis() { 2_000 } else { 20 };
    tokio::time::sleep(Duration::from_millis(pause)).await;
    stream.put(&reading("attic", 2)).await.expect("a receipt");

    let all = to_the_tip(&stream, StartAt::TrimHorizon).await;
    let since = all[1].arrived_at;
    assert!(since > all[0].arrived_at);
    let back = to_the_tip(&stream, StartAt::Timestamp(since)).await;
    let counts: Vec<_> = back.iter().map(|record| record.data.count).collect();
    assert_eq!(counts, [2]);
}

async fn a_split_and_a_merge_are_followed_parents_first(server: Server) {
    let stream = server.stream::<Reading>("readings", 1).await;
    let mut records = stream.iter_from_latest().await.expect("the reader opens");
    follow_a_split_and_a_merge(&server, &stream, &mut records).await;
}

async fn fan_out_pushes_records_and_follows_a_split_and_a_merge(server: Server) {
    let stream = server.stream::<Reading>("readings", 1).await;
    let reader = stream.reader().fan_out("pushed");
    let mut records = reader.open().await.expect("the reader opens");
    follow_a_split_and_a_merge(&server, &stream, &mut records).await;
    let removed = stream.deregister_consumer("pushed").await;
    removed.expect("the consumer is removed");
    // ferrokinesis goes on to serve the subscriptions of a consumer that is gone.
    if !server.is_ferrokinesis() {
        let end = next(&mut records).await.expect("an error");
        assert!(matches!(end, Err(GetError::Consumer { .. })), "{end:?}");
    }
}

async fn fan_out_goes_on_from_a_position(server: Server) {
    // ferrokinesis drops the number from the start of a subscription and begins at the oldest record.
    if server.is_ferrokinesis() {
        return;
    }
    let stream = server.stream::<Reading>("readings", 2).await;
    let open = |consumer: &'static str| {
        let reader = stream.reader().start(StartAt::TrimHorizon);
        reader.fan_out(consumer)
    };
    for count in 0..20 {
        stream
            .put(&reading("attic", count))
            .await
            .expect("a receipt");
    }
    let mut records = open("first").open().await.expect("the reader opens");
    let taken = take(&mut records, 7).await;
    drop(records);
    let last = taken.last().expect("7 records").position().clone();
    let resumed = open("second").resume_after([last]).open();
    let mut records = resumed.await.expect("the reader opens");
    stream.put(&reading("attic", 20)).await.expect("a receipt");
    let rest = take(&mut records, 14).await;
    let counts: Vec<_> = taken.iter().chain(&rest).map(|r| r.data.count).collect();
    assert_eq!(counts, (0..21).collect::<Vec<_>>());
}

async fn follow_a_split_and_a_merge(
    server: &Server,
    stream: &KinesisStream<Reading>,
    records: &mut Records<Reading>,
) {
    let devices: Vec<_> = (0..8).map(|device| format!("device-{device}")).collect();
    let put_round = async |round: u32| {
        for device in &devices {
            stream
                .put(&reading(device, round))
                .await
                .expect("a receipt");
        }
    };
    let service = stream.service();
    let id = stream.id().clone();
    put_round(0).await;

    let root = stream.shards().await.expect("shards").remove(0);
    let middle = root.hash_key_range.middle();
    service
        .split_shard(SplitShard::new(id.clone(), root.id.clone(), middle))
        .await
        .expect("a split");
    wait_until_active(&server.client(), id.as_str()).await;
    put_round(1).await;

    let open: Vec<_> = stream
        .shards()
        .await
        .expect("shards")
        .into_iter()
        .filter(kinesis_pipeline::Shard::is_open)
        .collect();
    assert_eq!(open.len(), 2);
    service
        .merge_shards(MergeShards::new(
            id.clone(),
            open[0].id.clone(),
            open[1].id.clone(),
        ))
        .await
        .expect("a merge");
    wait_until_active(&server.client(), id.as_str()).await;
    put_round(2).await;

    let live = take(records, 24).await;
    check_rounds(&devices, &live);
    let replayed = to_the_tip(stream, StartAt::TrimHorizon).await;
    assert_eq!(replayed.len(), 24);
    check_rounds(&devices, &replayed);
}

/// Each device's records came once and in the order in which they were put.
fn check_rounds(devices: &[String], records: &[Record<Reading>]) {
    for device in devices {
        let rounds: Vec<_> = records
            .iter()
            .filter(|record| record.data.device == *device)
            .map(|record| record.data.count)
            .collect();
        assert_eq!(rounds, [0, 1, 2], "{device}");
    }
}

async fn two_readers_share_the_shards_by_number(server: Server) {
    let stream = server.stream::<Reading>("readings", 4).await;
    let open = |shards: [usize; 2]| stream.reader().shards(shards).start(StartAt::Latest).open();
    let mut first = open([0, 1]).await.expect("the reader opens");
    let mut second = open([2, 3]).await.expect("the reader opens");
    let sent: Vec<_> = (0..40)
        .map(|count| reading(&count.to_string(), count))
        .collect();
    let mut expected = [0, 0];
    for result in stream.put_all(&sent).await {
        let shard_id = result.expect("a receipt").shard_id;
        expected[usize::from(shard_id.as_str() >= "shardId-000000000002")] += 1;
    }
    let first = take(&mut first, expected[0]).await;
    let second = take(&mut second, expected[1]).await;
    let counts: HashSet<_> = first
        .iter()
        .chain(&second)
        .map(|record| record.data.count)
        .collect();
    assert_eq!(counts.len(), 40);

    let error = stream
        .reader()
        .shards([99])
        .open()
        .await
        .expect_err("there is no shard 99");
    let text = error.to_string();
    assert!(text.contains("99") && text.contains('4'), "{text}");
}

async fn stop_delivers_what_was_fetched(server: Server) {
    let stream = server.stream::<Reading>("readings", 1).await;
    let sent: Vec<_> = (0..100).map(|count| reading("attic", count)).collect();
    for result in stream.put_all(&sent).await {
        result.expect("a receipt");
    }
    let mut records = stream.iter_from_all().await.expect("the reader opens");
    let first = take(&mut records, 1).await;
    records.stop();
    let mut rest = 0;
    while let Some(record) = next(&mut records).await {
        record.expect("a good record");
        rest += 1;
    }
    // All of them were in the page that held the first one.
    assert_eq!(first.len() + rest, 100);
}

async fn a_bad_record_is_one_error_item(server: Server) {
    let raw = server.stream::<EncodedRecord>("readings", 1).await;
    let key = PartitionKey::new("attic").expect("a key");
    let bytes =
        |text: &'static str| EncodedRecord::new(key.clone(), Bytes::from_static(text.as_bytes()));
    for text in [
        r#"{"device":"attic","count":1}"#,
        "{not json",
        r#"{"device":"attic","count":2}"#,
    ] {
        raw.put(&bytes(text)).await.expect("a receipt");
    }

    let stream = KinesisStream::<Reading>::with_client(server.client(), "readings");
    let mut records = stream.iter_from_all().await.expect("the reader opens");
    assert_eq!(take(&mut records, 1).await[0].data.count, 1);
    match next(&mut records).await {
        Some(Err(GetError::Decode { raw, position, .. })) => {
            assert_eq!(raw, "{not json");
            assert_eq!(position.shard_id.as_str(), "shardId-000000000000");
        }
        other => panic!("expected the bad record, got {other:?}"),
    }
    assert_eq!(take(&mut records, 1).await[0].data.count, 2);
}

async fn a_failed_record_comes_back_and_the_others_are_stored(server: Server) {
    let stream = server.stream::<Reading>("readings", 1).await;
    let sent = [
        reading("attic", 1),
        reading("", 2),
        reading(&"x".repeat(257), 3),
        reading("attic", 4),
    ];
    let results = stream.put_all(sent.clone()).await;
    assert!(results[0].is_ok() && results[3].is_ok());
    for (result, sent) in results.into_iter().zip(sent).skip(1).take(2) {
        let failure = result.expect_err("a bad key");
        assert_eq!(failure.record, sent);
        let text = failure.error.to_string();
        assert!(
            !failure.error.may_have_been_stored() && !text.contains('\n'),
            "{text}"
        );
    }

    let raw = KinesisStream::<EncodedRecord>::with_client(server.client(), "readings");
    let key = PartitionKey::new("k").expect("a key");
    let too_large = EncodedRecord::new(key, Bytes::from(vec![b'x'; 1024 * 1024]));
    let error = raw
        .put(&too_large)
        .await
        .expect_err("1 MiB + 1 byte with the key");
    assert!(matches!(error, PutError::TooLarge { .. }), "{error:?}");
    assert_eq!(to_the_tip(&stream, StartAt::TrimHorizon).await.len(), 2);
}

async fn concurrent_puts_are_stored_once_each(server: Server) {
    const TASKS: u32 = 64;
    const PUTS: u32 = 50;
    let stream = server.stream::<Reading>("readings", 4).await;
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let stream = stream.clone();
            tokio::spawn(async move {
                let mut positions = Vec::new();
                for put in 0..PUTS {
                    let receipt = stream.put(&reading(&format!("task-{task}"), put)).await;
                    positions.push(receipt.expect("a receipt").position());
                }
                positions
            })
        })
        .collect();
    let mut positions = HashSet::new();
    for task in tasks {
        positions.extend(task.await.expect("no task panics"));
    }
    assert_eq!(positions.len(), (TASKS * PUTS) as usize);

    let back = to_the_tip(&stream, StartAt::TrimHorizon).await;
    let read: HashSet<_> = back
        .iter()
        .map(|record| record.position().clone())
        .collect();
    assert_eq!(back.len(), positions.len());
    assert_eq!(read, positions);
    for task in 0..TASKS {
        let device = format!("task-{task}");
        let puts = back.iter().filter(|record| record.data.device == device);
        assert!(puts.map(|record| record.data.count).eq(0..PUTS), "{device}");
    }
}

async fn an_unknown_stream_is_named(server: Server) {
    let stream = KinesisStream::<Reading>::with_client(server.client(), "nowhere");
    let put = stream
        .put(&reading("attic", 1))
        .await
        .expect_err("no such stream");
    assert!(put.to_string().contains("nowhere"), "{put}");
    assert!(!put.is_retryable() && !put.may_have_been_stored());
    let get = stream.iter_from_latest().await.expect_err("no such stream");
    assert!(get.to_string().contains("nowhere"), "{get}");
}

/// Prints how long records are on their way from put to delivery by fan-out: a measure for people, whose
/// bound is loose because the machine may be busy.
#[tokio::test(flavor = "multi_thread")]
async fn fan_out_delivers_in_milliseconds() {
    let server = Server::embedded().await;
    let stream = server.stream::<Reading>("readings", 2).await;
    let reader = stream.reader().fan_out("pushed");
    let mut records = reader.open().await.expect("the reader opens");
    let clock = kinesis_pipeline::Clock::system();
    let mut waits = Vec::new();
    for count in 0..100 {
        let before = clock.instant();
        let put = reading(&count.to_string(), count);
        let (receipt, taken) = tokio::join!(stream.put(&put), take(&mut records, 1));
        receipt.expect("a receipt");
        assert_eq!(taken[0].data.count, count);
        waits.push(clock.instant() - before);
    }
    waits.sort_unstable();
    println!(
        "put to delivery: median {:?}, worst {:?}",
        waits[50], waits[99]
    );
    assert!(waits[50] < Duration::from_millis(500), "{:?}", waits[50]);
}
