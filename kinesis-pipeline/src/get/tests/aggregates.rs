//! Aggregates through the whole reader.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::{Good, rest, service::TestKinesis, take};
use crate::{
    Checkpoint, CheckpointPlace, CheckpointStore as _, EncodedRecord, GetError, HashKey,
    HashKeyRange, MemoryCheckpoints, PartitionKey, Position, Reader, StartAt, Until,
    wire::aggregate,
};

const SHARD: &str = "shardId-000000000000";

/// A stream with one aggregate of ten records and a raw record.
fn ten_and_one() -> TestKinesis {
    let service = TestKinesis::new(1);
    let texts: Vec<_> = (0..10).map(|count| count.to_string()).collect();
    service.put_aggregate(0, &texts);
    service.put(0, "raw");
    service
}

fn batch(service: &TestKinesis) -> Reader<Bytes> {
    let reader = service.stream::<Bytes>().reader();
    reader.start(StartAt::TrimHorizon).until(Until::Tip)
}

async fn numbers_read(reader: Reader<Bytes>) -> Vec<Position> {
    let mut records = reader.open().await.unwrap();
    let mut positions = Vec::new();
    while let Some(record) = records.next().await {
        positions.push(record.unwrap().position().clone());
    }
    positions
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_inside_a_kept_aggregate_is_followed_by_all_of_it() {
    let (service, store) = (ten_and_one(), Arc::new(MemoryCheckpoints::default()));
    let mut records = batch(&service)
        .checkpoints(store.clone(), "app")
        .open()
        .await
        .unwrap();
    take(&mut records, 3).await;
    records.close().await.unwrap();
    let rows = store.load("app", "test").await.unwrap();
    let inside = CheckpointPlace::After {
        sequence_number: 1.into(),
        sub_sequence_number: Some(2),
    };
    assert_eq!(rows[0].place, inside);

    let kept = || {
        batch(&service)
            .checkpoints(store.clone(), "app")
            .keep_aggregates()
    };
    let whole: Vec<_> = (1..=2_u128)
        .map(|number| Position::new(SHARD.into(), number.into()))
        .collect();
    assert_eq!(numbers_read(kept()).await, whole);
    assert_eq!(numbers_read(kept()).await, [], "all of it is finished now");
    let first = CheckpointPlace::After {
        sequence_number: 1.into(),
        sub_sequence_number: Some(0),
    };
    let row = vec![Checkpoint::new(SHARD.into(), first)];
    store.save("app", "test", row).await.unwrap();
    assert_eq!(numbers_read(kept()).await, whole);
}

#[tokio::test(start_paused = true)]
async fn a_position_of_a_kept_aggregate_is_followed_by_the_next_record() {
    let service = ten_and_one();
    let after = |sub_sequence_number| {
        let position = Position::new(SHARD.into(), 1_u128.into());
        let position = position.at_sub_sequence_number(sub_sequence_number);
        numbers_read(batch(&service).resume_after([position]).keep_aggregates())
    };
    assert_eq!(after(0).await.len(), 1);
    assert_eq!(after(5).await.len(), 2);
    assert_eq!(after(9).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn bad_records_behind_one_that_is_not_acked_are_passed_with_it() {
    let (service, store) = (TestKinesis::new(1), Arc::new(MemoryCheckpoints::default()));
    service.put(0, "good");
    for _ in 0..1_000 {
        service.put(0, "bad");
    }
    let stream = service.stream::<Good>();
    let reader = stream
        .reader()
        .start(StartAt::TrimHorizon)
        .until(Until::Tip);
    let reader = reader.checkpoints(store.clone(), "app").require_ack();
    let mut records = reader.open().await.unwrap();
    let good = records.next().await.unwrap().unwrap();
    let mut bad = 0;
    while let Some(item) = records.next().await {
        assert!(matches!(item, Err(GetError::Decode { .. })));
        bad += 1;
    }
    assert_eq!(bad, 1_000);
    let stats = records.stats();
    let given = (stats.user_records, stats.undecodable_records);
    assert_eq!(given, (1_001, 1_000));
    assert_eq!(
        store.load("app", "test").await.unwrap()[0].place,
        CheckpointPlace::TrimHorizon
    );
    good.ack();
    records.close().await.unwrap();
    let last = CheckpointPlace::After {
        sequence_number: 1_001.into(),
        sub_sequence_number: None,
    };
    assert_eq!(store.load("app", "test").await.unwrap()[0].place, last);
}

/// Five thousand aggregates whose only records are outside of the shard.
#[test]
fn a_page_of_aggregates_with_nothing_to_give_is_read_on_a_small_stack() {
    const STACK_BYTES: usize = 256 * 1024;
    let read = || {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let service = TestKinesis::new(2);
            service.narrow(0, HashKeyRange::new(HashKey::MIN, HashKey::new(1)));
            service.narrow(1, HashKeyRange::new(HashKey::new(2), HashKey::MAX));
            let mut stray = EncodedRecord::new(PartitionKey::new("k").unwrap(), Bytes::new());
            stray.explicit_hash_key = Some(HashKey::MAX);
            for _ in 0..5_000 {
                let mut writer = aggregate::Writer::new();
                writer.push(&stray);
                service.put_data(0, writer.finish());
            }
            service.put(0, "good");
            let mut records = batch(&service).drop_strays().open().await.unwrap();
            let texts = rest(&mut records).await;
            (texts, records.stats().stray_records)
        })
    };
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
    let (texts, strays) = thread.spawn(read).unwrap().join().unwrap();
    assert_eq!((texts, strays), (vec!["good".to_owned()], 5_000));
}

#[tokio::test(start_paused = true)]
async fn an_aggregate_whose_keys_are_not_utf_8_is_split() {
    let service = TestKinesis::new(1);
    // By hand: the writer takes keys that are UTF-8 only.
    let body = b"\x0a\x02k\xff\x1a\x05\x08\x00\x1a\x01a\x1a\x05\x08\x00\x1a\x01b";
    let data = [&b"\xf3\x89\x9a\xc2"[..], body, &crate::digest::of(body)].concat();
    service.put_data(0, data.into());
    let mut records = batch(&service).open().await.unwrap();
    for text in ["a", "b"] {
        let record = records.next().await.unwrap().unwrap();
        assert_eq!(
            (&record.data[..], &*record.partition_key),
            (text.as_bytes(), "k\u{fffd}")
        );
    }
    let end = tokio::time::timeout(Duration::from_hours(1), records.next());
    assert!(end.await.unwrap().is_none());
}
