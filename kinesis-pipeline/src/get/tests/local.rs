//! The reader over the embedded Kinesis.

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;

use super::{is_silent, text};
use crate::{
    Clock, EncodedRecord, HashKey, KinesisStream, LocalKinesis, PartitionKey, Record, Records,
    Shard, ShardId, StartAt, Until,
    service::{MergeShards, PutRecords, SplitShard},
};

pub(super) async fn stream(shards: u32) -> KinesisStream<Bytes> {
    let clock = Clock::tokio(std::time::SystemTime::UNIX_EPOCH + Duration::from_hours(500_000));
    let local = LocalKinesis::builder().clock(clock).start().await.unwrap();
    local.stream("test", shards).await.unwrap()
}

/// Puts one record under each of these keys, `count` as its data.
pub(super) async fn put_round(stream: &KinesisStream<Bytes>, keys: u128, count: u32) {
    let record = |key: u128| {
        let name = PartitionKey::new(format!("key-{key}")).unwrap();
        let mut record = EncodedRecord::new(name, Bytes::from(count.to_string()));
        record.explicit_hash_key = Some(HashKey::new(key * (u128::MAX / keys)));
        record
    };
    let call = PutRecords::new(stream.id().clone(), (0..keys).map(record).collect());
    let answer = stream.service().put_records(call).await.unwrap();
    assert!(answer.results.iter().all(Result::is_ok));
}

async fn open_shards(stream: &KinesisStream<Bytes>) -> Vec<Shard> {
    let shards = stream.shards().await.unwrap();
    shards.into_iter().filter(Shard::is_open).collect()
}

/// Splits a random shard or merges two that touch.
pub(super) async fn reshard(stream: &KinesisStream<Bytes>, random: &mut fastrand::Rng) {
    let mut shards = open_shards(stream).await;
    shards.sort_by_key(|shard| shard.hash_key_range.start);
    let id = stream.id().clone();
    let index = random.usize(..shards.len());
    let shard = &shards[index];
    match shards.get(index + 1) {
        Some(next) if random.bool() => {
            let call = MergeShards::new(id, shard.id.clone(), next.id.clone());
            stream.service().merge_shards(call).await.unwrap();
        }
        _ => {
            let call = SplitShard::new(id, shard.id.clone(), shard.hash_key_range.middle());
            stream.service().split_shard(call).await.unwrap();
        }
    }
    tokio::time::sleep(Duration::from_secs(40)).await;
}

pub(super) async fn check_rounds(records: &mut Records<Bytes>, keys: u128, rounds: u32) {
    let mut next: HashMap<PartitionKey, u32> = HashMap::new();
    for _ in 0..keys * u128::from(rounds) {
        let record: Record<Bytes> = records.next().await.unwrap().unwrap();
        let round = next.entry(record.partition_key.clone()).or_default();
        assert_eq!(text(Some(Ok(record))), round.to_string());
        *round += 1;
    }
    assert!(next.values().all(|round| *round == rounds));
}

#[tokio::test(start_paused = true)]
async fn every_key_keeps_its_order_over_random_reshards_live_and_replayed() {
    for seed in 0..crate::trials::seeds(3) {
        let mut random = fastrand::Rng::with_seed(seed);
        let stream = stream(3).await;
        let mut live = stream.iter_from_latest().await.unwrap();
        for round in 0..12 {
            put_round(&stream, 50, round).await;
            if random.bool() {
                reshard(&stream, &mut random).await;
            }
        }
        check_rounds(&mut live, 50, 12).await;
        assert!(is_silent(&mut live).await);
        let replay = stream
            .reader()
            .start(StartAt::TrimHorizon)
            .until(Until::Tip);
        let mut replay = replay.open().await.unwrap();
        check_rounds(&mut replay, 50, 12).await;
        assert!(replay.next().await.is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_whose_owner_sleeps_for_hours_goes_on_where_it_was() {
    let stream = stream(2).await;
    let mut records = stream.iter_from_latest().await.unwrap();
    for round in 0..6 {
        put_round(&stream, 20, round).await;
        tokio::time::sleep(Duration::from_hours(1)).await;
    }
    check_rounds(&mut records, 20, 6).await;
    assert!(is_silent(&mut records).await);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_stream_ends_its_reader_with_an_error() {
    let stream = stream(2).await;
    let mut records = stream.iter_from_latest().await.unwrap();
    let call = crate::service::DeleteStream::new(stream.id().clone());
    stream.service().delete_stream(call).await.unwrap();
    tokio::time::sleep(Duration::from_mins(2)).await;
    let error = records.next().await.unwrap().unwrap_err();
    assert!(
        error.ends_the_stream() && error.to_string().contains("test"),
        "{error}"
    );
    assert!(records.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn sets_by_number_and_id_read_the_same_shard() {
    let stream = stream(4).await;
    put_round(&stream, 40, 0).await;
    let id: ShardId = stream.shards().await.unwrap()[2].id.clone();
    let reader = || {
        stream
            .reader()
            .start(StartAt::TrimHorizon)
            .until(Until::Tip)
    };
    let mut counts = Vec::new();
    for reader in [reader().shards([2]), reader().shards([id])] {
        let mut records = reader.open().await.unwrap();
        counts.push(super::rest(&mut records).await.len());
    }
    assert_eq!(counts, [10, 10]);
}
