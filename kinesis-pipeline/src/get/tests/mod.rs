//! The whole reader over a Kinesis of the tests' own, on paused time.

mod checkpoints;
#[cfg(feature = "local")]
mod fan_out;
mod faults;
#[cfg(feature = "local")]
mod local;
mod reshard;
mod service;
#[cfg(feature = "local")]
mod simulation;

use std::{collections::HashMap, time::Duration};

use bytes::{Bytes, BytesMut};
use service::TestKinesis;

use crate::{
    DecodeError, EncodeError, EncodedRecord, GetError, KeyError, KinesisRecord, PartitionKey,
    Record, Records, ShardRecords, StartAt, Until, record::EncodeContext,
};

/// A text that must not be `bad`.
#[derive(Debug, PartialEq)]
struct Good(String);

impl KinesisRecord for Good {
    fn partition_key(&self) -> Result<PartitionKey, KeyError> {
        PartitionKey::new("k")
    }

    fn encode(&self, _: &EncodeContext, out: &mut BytesMut) -> Result<(), EncodeError> {
        out.extend_from_slice(self.0.as_bytes());
        Ok(())
    }

    fn decode(stored: &EncodedRecord) -> Result<Self, DecodeError> {
        match std::str::from_utf8(&stored.data) {
            Ok("bad") | Err(_) => Err(DecodeError::new("good", stored.data.len(), "it is bad")),
            Ok(text) => Ok(Self(text.to_owned())),
        }
    }
}

type Item = Result<Record<Bytes>, GetError>;

fn text(item: Option<Item>) -> String {
    String::from_utf8(
        item.expect("a record")
            .expect("a good record")
            .data
            .to_vec(),
    )
    .unwrap()
}

async fn take(records: &mut Records<Bytes>, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    for _ in 0..count {
        texts.push(text(records.next().await));
    }
    texts
}

async fn rest(records: &mut Records<Bytes>) -> Vec<String> {
    let mut texts = Vec::new();
    while let Some(item) = records.next().await {
        texts.push(text(Some(item)));
    }
    texts
}

/// Whether nothing comes for ten minutes.
async fn is_silent(records: &mut Records<Bytes>) -> bool {
    tokio::time::timeout(Duration::from_mins(10), records.next())
        .await
        .is_err()
}

#[tokio::test(start_paused = true)]
async fn latest_is_fixed_when_opening_returns() {
    let service = TestKinesis::new(3);
    for shard in 0..3 {
        service.put(shard, "before");
    }
    let mut records = service.stream::<Bytes>().iter_from_latest().await.unwrap();
    for shard in 0..3 {
        service.put(shard, format!("after {shard}"));
    }
    let mut texts = take(&mut records, 3).await;
    texts.sort();
    assert_eq!(texts, ["after 0", "after 1", "after 2"]);
    assert!(is_silent(&mut records).await);
}

#[tokio::test(start_paused = true)]
async fn all_gives_every_retained_record_once_and_in_order() {
    let service = TestKinesis::new(2);
    for count in 0..25_000 {
        service.put(count % 2, count.to_string());
    }
    let mut records = service.stream::<Bytes>().iter_from_all().await.unwrap();
    let mut last = HashMap::new();
    for _ in 0..25_000 {
        let record = records.next().await.unwrap().unwrap();
        let number = record.position().sequence_number.clone();
        let before = last.insert(record.position().shard_id.clone(), number.clone());
        assert!(before.is_none_or(|before| before < number));
    }
    assert!(is_silent(&mut records).await);
}

#[tokio::test(start_paused = true)]
async fn a_record_tells_where_and_when_it_was_stored() {
    let service = TestKinesis::new(1);
    let number = service.put(0, "x");
    let at = service.clock().now();
    tokio::time::advance(Duration::from_secs(7)).await;
    let mut records = service.stream::<Bytes>().iter_from_all().await.unwrap();
    let record = records.next().await.unwrap().unwrap();
    assert_eq!(
        record.position().to_string(),
        format!("shardId-000000000000:{number}")
    );
    assert_eq!((record.arrived_at, &*record.partition_key), (at, "key-0"));
    assert_eq!(record.behind_latest, Some(Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_sequence_number_is_where_reading_begins_at_or_after_in_that_shard_only() {
    let service = TestKinesis::new(2);
    let numbers: Vec<_> = (0..4)
        .map(|count| service.put(0, count.to_string()))
        .collect();
    service.put(1, "elsewhere");
    let stream = service.stream::<Bytes>();
    let mut after = stream
        .iter_from_sequence_number(0, numbers[1].clone())
        .await
        .unwrap();
    assert_eq!(take(&mut after, 2).await, ["2", "3"]);
    assert!(is_silent(&mut after).await);

    let at = StartAt::AtSequenceNumber("shardId-000000000000".into(), numbers[1].clone());
    let mut at = stream
        .reader()
        .start(at)
        .until(Until::Tip)
        .open()
        .await
        .unwrap();
    assert_eq!(rest(&mut at).await, ["1", "2", "3"]);
}

#[tokio::test(start_paused = true)]
async fn a_timestamp_reads_what_arrived_at_that_time_or_later() {
    let service = TestKinesis::new(2);
    service.put(0, "old");
    tokio::time::advance(Duration::from_mins(1)).await;
    let since = service.clock().now();
    service.put(1, "at");
    tokio::time::advance(Duration::from_mins(1)).await;
    service.put(0, "later");
    let mut records = service
        .stream::<Bytes>()
        .iter_from_timestamp(since)
        .await
        .unwrap();
    let mut texts = take(&mut records, 2).await;
    texts.sort();
    assert_eq!(texts, ["at", "later"]);
    assert!(is_silent(&mut records).await);
}

#[tokio::test(start_paused = true)]
async fn a_set_of_shards_is_read_by_number_or_id_and_a_number_out_of_range_names_the_count() {
    let service = TestKinesis::new(4);
    for shard in 0..4 {
        service.put(shard, shard.to_string());
    }
    let stream = service.stream::<Bytes>();
    let reader = || {
        stream
            .reader()
            .start(StartAt::TrimHorizon)
            .until(Until::Tip)
    };
    let mut by_number = reader().shards([1, 3]).open().await.unwrap();
    let mut texts = rest(&mut by_number).await;
    texts.sort();
    assert_eq!(texts, ["1", "3"]);
    let mut by_id = reader()
        .shards(["shardId-000000000002"])
        .open()
        .await
        .unwrap();
    assert_eq!(rest(&mut by_id).await, ["2"]);

    let error = reader().shards([99]).open().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "stream test has no shard number 99: it has 4 shards, numbers 0 to 3"
    );
    assert!(matches!(error, GetError::ShardNotFound { count: 4, .. }));
}

#[tokio::test(start_paused = true)]
async fn shards_beyond_one_page_of_the_listing_are_read() {
    let service = TestKinesis::new(7);
    service.state().list_page_max = Some(3);
    assert_eq!(service.stream::<Bytes>().shards().await.unwrap().len(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_listing_whose_token_repeats_ends() {
    let service = TestKinesis::new(7);
    service.state().list_page_max = Some(3);
    service.state().repeats_list_token = true;
    assert_eq!(service.stream::<Bytes>().shards().await.unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_tip_is_what_was_in_the_stream_when_it_opened() {
    for hides in [false, true] {
        let service = TestKinesis::new(3);
        service.state().hides_behind_latest = hides;
        for count in 0..30_000 {
            service.put(count % 2, count.to_string());
        }
        let stream = service.stream::<Bytes>();
        let mut records = stream
            .reader()
            .start(StartAt::TrimHorizon)
            .until(Until::Tip)
            .open()
            .await
            .unwrap();
        let writer = tokio::spawn(async move {
            // More arrives all the time: the reader must not run after it.
            loop {
                tokio::time::sleep(Duration::from_millis(50)).await;
                service.put(0, "new");
            }
        });
        let texts = rest(&mut records).await;
        writer.abort();
        assert_eq!(texts.iter().filter(|text| *text != "new").count(), 30_000);
        assert!(records.next().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn until_a_time_ends_before_the_first_record_that_arrived_then() {
    let service = TestKinesis::new(2);
    service.put(0, "before");
    tokio::time::advance(Duration::from_secs(5)).await;
    let until = service.clock().now();
    service.put(0, "at");
    service.put(1, "at");
    let [left, _] = service.split(0);
    service.put(left, "child");
    let stream = service.stream::<Bytes>();
    let reader = || stream.reader().start(StartAt::TrimHorizon);
    let mut records = reader()
        .until(Until::Timestamp(until))
        .open()
        .await
        .unwrap();
    assert_eq!(rest(&mut records).await, ["before"]);

    let to_come = Until::Timestamp(until + Duration::from_mins(2));
    let mut records = reader().until(to_come).open().await.unwrap();
    let mut texts = take(&mut records, 4).await;
    texts.sort();
    assert_eq!(texts, ["at", "at", "before", "child"]);
    tokio::time::sleep(Duration::from_mins(1)).await;
    service.put(1, "in time");
    assert_eq!(take(&mut records, 1).await, ["in time"]);
    tokio::time::sleep(Duration::from_mins(2)).await;
    service.put(1, "too late");
    assert_eq!(rest(&mut records).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn shards_may_begin_at_places_of_their_own() {
    let service = TestKinesis::new(3);
    let numbers: Vec<_> = (0..9)
        .map(|count| service.put(count % 3, count.to_string()))
        .collect();
    let stream = service.stream::<Bytes>();
    let reader = stream.reader().start(StartAt::Latest).until(Until::Tip);
    let reader = reader
        .start_at(0, numbers[3].clone())
        .start_after(1, numbers[4].clone());
    let mut texts = rest(&mut reader.open().await.unwrap()).await;
    texts.sort();
    assert_eq!(texts, ["3", "6", "7"]);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_reader_gives_out_what_was_fetched_and_fetches_no_more() {
    let service = TestKinesis::new(1);
    for count in 0..100 {
        service.put(0, count.to_string());
    }
    let mut records = service.stream::<Bytes>().iter_from_all().await.unwrap();
    take(&mut records, 1).await;
    let handle = records.stop_handle();
    tokio::spawn(async move { handle.stop() }).await.unwrap();
    service.put(0, "too late");
    assert_eq!(rest(&mut records).await.len(), 99);
    let calls = service.calls_of("GetRecords", 0).len();
    tokio::time::sleep(Duration::from_mins(10)).await;
    assert_eq!(service.calls_of("GetRecords", 0).len(), calls);
    assert!(records.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_dropped_reader_makes_no_more_calls() {
    let service = TestKinesis::new(1);
    let records = service.stream::<Bytes>().iter_from_all().await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    drop(records);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let calls = service.calls_of("GetRecords", 0).len();
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(service.calls_of("GetRecords", 0).len(), calls);
}

#[tokio::test(start_paused = true)]
async fn a_bad_record_is_one_error_item_and_the_next_follows() {
    let service = TestKinesis::new(1);
    for text in ["one", "bad", "two"] {
        service.put(0, text);
    }
    let stream = service.stream::<Good>();
    let mut records = stream
        .reader()
        .start(StartAt::TrimHorizon)
        .until(Until::Tip)
        .open()
        .await
        .unwrap();
    assert_eq!(
        records.next().await.unwrap().unwrap().data,
        Good("one".into())
    );
    let error = records.next().await.unwrap().unwrap_err();
    assert!(!error.ends_the_stream());
    match error {
        GetError::Decode { raw, position, .. } => {
            assert_eq!((&*raw, position.sequence_number), (&b"bad"[..], 2.into()));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(
        records.next().await.unwrap().unwrap().data,
        Good("two".into())
    );
    assert!(records.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_dropped_next_loses_nothing() {
    let service = TestKinesis::new(1);
    let mut records = service.stream::<Bytes>().iter_from_latest().await.unwrap();
    for count in 0..20 {
        service.put(0, count.to_string());
        let wait = Duration::from_millis(173);
        while tokio::time::timeout(wait, records.next())
            .await
            .map_or(true, |item| {
                assert_eq!(text(item), count.to_string());
                false
            })
        {}
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_shard_is_polled_once_an_interval_and_a_record_comes_within_it() {
    let service = TestKinesis::new(1);
    let stream = service.stream::<Bytes>();
    let mut records = stream
        .reader()
        .poll_interval(Duration::from_secs(2))
        .open()
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_mins(1)).await;
    let calls = service.calls_of("GetRecords", 0).len();
    assert!((29..=32).contains(&calls), "{calls}");
    let put_at = service.clock().instant();
    service.put(0, "x");
    take(&mut records, 1).await;
    assert!(service.clock().instant() - put_at <= Duration::from_millis(2_100));
}

#[tokio::test(start_paused = true)]
async fn a_backlog_is_read_within_five_calls_and_two_mebibytes_a_second() {
    let service = TestKinesis::new(1);
    for _ in 0..200 {
        service.put(0, "x".repeat(100 * 1024));
    }
    let stream = service.stream::<Bytes>();
    let start = service.clock().instant();
    let mut records = stream
        .reader()
        .start(StartAt::TrimHorizon)
        .until(Until::Tip)
        .page_records_max(5)
        .open()
        .await
        .unwrap();
    assert_eq!(rest(&mut records).await.len(), 200);
    let took = service.clock().instant() - start;
    assert!(
        took >= Duration::from_secs(9) && took < Duration::from_secs(12),
        "{took:?}"
    );
    let calls = service.calls_of("GetRecords", 0);
    assert!(
        calls
            .windows(6)
            .all(|calls| calls[5] - calls[0] >= Duration::from_secs(1))
    );
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_does_not_take_holds_back_fetching() {
    let service = TestKinesis::new(1);
    for count in 0..100 {
        service.put(0, count.to_string());
    }
    let stream = service.stream::<Bytes>();
    let reader = stream
        .reader()
        .start(StartAt::TrimHorizon)
        .page_records_max(10);
    let mut records = reader.open().await.unwrap();
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert_eq!(service.calls_of("GetRecords", 0).len(), 2);
    assert_eq!(take(&mut records, 100).await[99], "99");
}

#[tokio::test(start_paused = true)]
async fn a_thousand_shards_are_read_within_the_prefetch_budget() {
    let service = TestKinesis::new(1000);
    for shard in 0..1000 {
        for _ in 0..3 {
            service.put(shard, "x".repeat(400 * 1024));
        }
    }
    let stream = service.stream::<Bytes>();
    let reader = stream
        .reader()
        .start(StartAt::TrimHorizon)
        .prefetch_bytes_max(32 * 1024 * 1024);
    let mut records = reader.until(Until::Tip).open().await.unwrap();
    tokio::time::sleep(Duration::from_mins(1)).await;
    let fetched = records.stats().data_bytes;
    assert!((16..=32).contains(&(fetched >> 20)), "{fetched}");
    assert_eq!(rest(&mut records).await.len(), 3000);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_shards_are_all_opened_at_once() {
    let service = TestKinesis::new(1000);
    for shard in 0..1000 {
        service.put(shard, "x");
    }
    let mut records = service.stream::<Bytes>().iter_from_all().await.unwrap();
    let all = tokio::time::timeout(Duration::from_millis(500), take(&mut records, 1000));
    assert_eq!(all.await.unwrap().len(), 1000);
}

#[tokio::test(start_paused = true)]
async fn a_replay_of_tiny_records_takes_as_long_as_the_pages_of_the_service() {
    let service = TestKinesis::new(2);
    for count in 0..100_000 {
        service.put(count % 2, "x");
    }
    for (ignores, most) in [(false, 1300), (true, 200)] {
        let reader = service
            .stream::<Bytes>()
            .reader()
            .start(StartAt::TrimHorizon);
        let reader = if ignores {
            reader.ignore_limits()
        } else {
            reader
        };
        let begun = service.clock().instant();
        let mut records = reader.until(Until::Tip).open().await.unwrap();
        let mut count = 0;
        while let Some(record) = records.next().await {
            record.unwrap();
            count += 1;
        }
        assert_eq!(count, 100_000);
        // Five pages of each shard, five a second.
        let millis = (service.clock().instant() - begun).as_millis();
        assert!(millis <= most, "{millis}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_shard_does_not_starve_the_others() {
    let service = TestKinesis::new(3);
    for count in 0..5_000 {
        service.put(0, count.to_string());
    }
    service.put(1, "one");
    service.put(2, "two");
    let stream = service.stream::<Bytes>();
    let reader = stream
        .reader()
        .start(StartAt::TrimHorizon)
        .page_records_max(100);
    let mut records = reader.open().await.unwrap();
    let first = take(&mut records, 302).await;
    assert!(first.contains(&"one".to_owned()) && first.contains(&"two".to_owned()));
}

/// Reads a shard to its end and says what came.
async fn read_shard(mut shard: ShardRecords<Bytes>) -> (String, Vec<String>) {
    let mut texts = Vec::new();
    while let Some(item) = shard.next().await {
        texts.push(text(Some(item)));
    }
    (shard.shard_id().to_string(), texts)
}

#[tokio::test(start_paused = true)]
async fn by_shard_gives_each_shard_once_and_children_after_their_parents_were_read() {
    let service = TestKinesis::new(2);
    for count in 0..100 {
        service.put(count % 2, count.to_string());
    }
    let [left, _] = service.split(0);
    service.put(left, "child");
    let stream = service.stream::<Bytes>();
    let reader = stream
        .reader()
        .start(StartAt::TrimHorizon)
        .until(Until::Tip);
    let mut shards = reader.page_records_max(10).open().await.unwrap().by_shard();
    let (first, second) = (shards.next().await.unwrap(), shards.next().await.unwrap());
    assert!(
        tokio::time::timeout(Duration::from_mins(1), shards.next())
            .await
            .is_err()
    );
    let mut tasks = vec![
        tokio::spawn(read_shard(first.unwrap())),
        tokio::spawn(read_shard(second.unwrap())),
    ];
    while let Some(shard) = shards.next().await {
        tasks.push(tokio::spawn(read_shard(shard.unwrap())));
    }
    let mut lengths = Vec::new();
    for task in tasks {
        let (shard, texts) = task.await.unwrap();
        assert!(
            texts.is_sorted_by_key(|text| text.parse::<u32>().unwrap_or(u32::MAX)),
            "{shard}"
        );
        lengths.push(texts.len());
    }
    assert_eq!(lengths, [50, 50, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_shard_whose_stream_is_dropped_is_left_and_holds_nothing_back() {
    let service = TestKinesis::new(2);
    for count in 0..100 {
        service.put(count % 2, count.to_string());
    }
    let stream = service.stream::<Bytes>();
    let reader = stream
        .reader()
        .start(StartAt::TrimHorizon)
        .page_records_max(10);
    let mut shards = reader.open().await.unwrap().by_shard();
    let dropped = shards.next().await.unwrap().unwrap();
    let other = shards.next().await.unwrap().unwrap();
    drop(dropped);
    let task = tokio::spawn(read_shard(other));
    let stop = shards.stop_handle();
    let stopper = async {
        tokio::time::sleep(Duration::from_mins(1)).await;
        stop.stop();
    };
    let (next, ()) = tokio::join!(shards.next(), stopper);
    assert!(next.is_none());
    assert_eq!(task.await.unwrap().1.len(), 50);
    assert!(service.calls_of("GetRecords", 0).len() <= 4);
}

#[tokio::test(start_paused = true)]
async fn by_shard_goes_on_with_a_page_that_was_begun() {
    let service = TestKinesis::new(1);
    for count in 0..25 {
        service.put(0, count.to_string());
    }
    let stream = service.stream::<Bytes>();
    let reader = stream
        .reader()
        .start(StartAt::TrimHorizon)
        .page_records_max(10);
    let mut records = reader.until(Until::Tip).open().await.unwrap();
    take(&mut records, 3).await;
    let mut shards = records.by_shard();
    let task = tokio::spawn(read_shard(shards.next().await.unwrap().unwrap()));
    assert!(shards.next().await.is_none());
    assert_eq!(task.await.unwrap().1.len(), 22);
}
