//! The producer on the embedded Kinesis, with limits, faults and reshards.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, SystemTime},
};

use super::numbered::{assert_order, numbered};
use crate::{
    Clock, EncodedRecord, KinesisStream, Order, PartitionKey, Position, PutError, Receipt, ShardId,
    clock::from_epoch_millis,
    local::{Fault, LocalKinesis},
    service::{
        GetRecords, GetShardIterator, IteratorStart, ListShards, MergeShards, RecordPage,
        SplitShard,
    },
    wire::aggregate,
};

const SECOND: Duration = Duration::from_secs(1);

pub(super) async fn kinesis(seed: u64) -> LocalKinesis {
    let clock = Clock::tokio(from_epoch_millis(1_700_000_000_000));
    let kinesis = LocalKinesis::builder()
        .clock(clock)
        .seed(seed)
        .enforce_limits(true);
    kinesis.start().await.unwrap()
}

/// Every user record of the stream at its position, shard by shard from the oldest.
pub(super) async fn stored(
    stream: &KinesisStream<EncodedRecord>,
) -> Vec<(Position, EncodedRecord)> {
    let id = stream.id();
    let shards = stream
        .service()
        .list_shards(ListShards::new(id.clone()))
        .await
        .unwrap()
        .shards;
    let mut records = Vec::new();
    for shard in shards {
        for page in pages(stream, &shard.id).await {
            for kinesis_record in page.records {
                let at = Position::new(shard.id.clone(), kinesis_record.sequence_number);
                match aggregate::split(&kinesis_record.data) {
                    None => records.push((
                        at,
                        EncodedRecord::new(kinesis_record.partition_key, kinesis_record.data),
                    )),
                    Some(users) => records.extend(
                        (0..)
                            .zip(&users)
                            .map(|(index, user)| (at.clone().at_sub_sequence_number(index), user)),
                    ),
                }
            }
        }
    }
    records
}

async fn pages(stream: &KinesisStream<EncodedRecord>, shard_id: &ShardId) -> Vec<RecordPage> {
    let service = stream.service();
    let oldest = GetShardIterator::new(
        stream.id().clone(),
        shard_id.clone(),
        IteratorStart::TrimHorizon,
    );
    let mut next = Some(service.get_shard_iterator(oldest).await.unwrap());
    let mut pages = Vec::new();
    while let Some(iterator) = next.clone() {
        match service
            .get_records(GetRecords::new(stream.id().clone(), iterator))
            .await
        {
            Ok(page) => {
                let at_tip = page.behind_latest == Some(Duration::ZERO) && page.records.is_empty();
                next = page.next_iterator.clone().filter(|_| !at_tip);
                pages.push(page);
            }
            // The limits of reading.
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
        tokio::time::sleep(SECOND).await;
    }
    pages
}

/// Splits the shard that is the `index`th of the open ones, or merges it with the next.
pub(super) async fn reshard(stream: &KinesisStream<EncodedRecord>, index: usize, split: bool) {
    let listed = stream
        .service()
        .list_shards(ListShards::new(stream.id().clone()))
        .await;
    let mut open: Vec<_> = listed
        .unwrap()
        .shards
        .into_iter()
        .filter(crate::Shard::is_open)
        .collect();
    open.sort_by_key(|shard| shard.hash_key_range.start);
    let (id, shard) = (stream.id().clone(), open[index].id.clone());
    let range = open[index].hash_key_range;
    let done = if split {
        let middle = range.start.value() + (range.end.value() - range.start.value()) / 2;
        stream
            .service()
            .split_shard(SplitShard::new(id, shard, middle.into()))
            .await
    } else {
        let next = open[index + 1].id.clone();
        stream
            .service()
            .merge_shards(MergeShards::new(id, shard, next))
            .await
    };
    done.unwrap();
}

/// One run with 1 % of the answers lost, 5 % of the entries throttled, 1 % failed, a split and a merge.
#[derive(Clone, Copy)]
struct FaultRun {
    seed: u64,
    records: usize,
    /// How many records come every 2 ms.
    burst: usize,
    aggregate: bool,
    order: Order,
    answers_lost: f64,
}

const FAULT_RUN: FaultRun = FaultRun {
    seed: 0,
    records: 8_000,
    burst: 8,
    aggregate: true,
    order: Order::None,
    answers_lost: 0.01,
};

const FAULT_KEYS: usize = 500;

fn add_faults(kinesis: &LocalKinesis, answers_lost: f64) {
    let faults = kinesis.faults();
    faults
        .add(
            Fault::lose_response()
                .on("PutRecords")
                .probability(answers_lost)
                .always(),
        )
        .unwrap();
    faults
        .add(Fault::throttle().each_entry().probability(0.05).always())
        .unwrap();
    faults
        .add(Fault::fail().each_entry().probability(0.01).always())
        .unwrap();
    let delay = Fault::delay(Duration::from_millis(8)).on("PutRecords");
    faults.add(delay.probability(0.5).always()).unwrap();
}

/// A record is stored twice only if it was sent twice, and without lost answers only if it was put again.
fn assert_duplicates(
    run: FaultRun,
    stored: &[(Position, EncodedRecord)],
    receipts: &[Receipt],
    put_again: u64,
) {
    let seed = run.seed;
    let distinct: HashSet<_> = receipts.iter().map(Receipt::position).collect();
    let duplicates = stored.len() - run.records;
    let resent = receipts
        .iter()
        .filter(|receipt| receipt.attempts > 1)
        .count();
    if run.answers_lost == 0.0 {
        assert!(
            duplicates as u64 <= put_again,
            "seed {seed}: {duplicates}, {put_again} put again"
        );
    }
    // Each position beyond the receipts is an attempt that was repeated.
    let again: HashSet<_> = stored
        .iter()
        .filter(|(at, _)| !distinct.contains(at))
        .map(|(_, user)| user.data.clone())
        .collect();
    let repeated: HashSet<_> = (0..run.records)
        .filter(|&number| receipts[number].attempts > 1)
        .map(|number| numbered(number % FAULT_KEYS, number).data)
        .collect();
    assert!(
        again.is_subset(&repeated),
        "seed {seed}: a record was stored twice for nothing"
    );
    assert!(resent > 0, "seed {seed}: nothing went wrong");
}

async fn fault_run(run: FaultRun) {
    let FaultRun { seed, order, .. } = run;
    let kinesis = kinesis(seed).await;
    let stream = kinesis
        .stream::<EncodedRecord>("readings", 4)
        .await
        .unwrap();
    add_faults(&kinesis, run.answers_lost);
    let builder = stream
        .producer()
        .aggregate(run.aggregate)
        .order(order)
        .attempts_max(100);
    let producer = builder.linger(Duration::from_millis(10)).build().unwrap();
    let mut pending = Vec::new();
    for number in 0..run.records {
        if number % run.burst == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        if number == run.records / 3 {
            reshard(&stream, 1, true).await;
        } else if number == run.records / 3 * 2 {
            reshard(&stream, 2, false).await;
        }
        pending.push(
            producer
                .put(&numbered(number % FAULT_KEYS, number))
                .await
                .unwrap(),
        );
    }
    let mut receipts: Vec<Receipt> = Vec::new();
    for pending in pending {
        receipts.push(pending.await.expect("stored"));
    }
    kinesis.faults().clear();
    let stored = stored(&stream).await;
    let by_position: HashMap<_, _> = stored.iter().cloned().collect();
    let distinct: HashSet<_> = receipts.iter().map(Receipt::position).collect();
    assert_eq!(distinct.len(), run.records, "seed {seed}");
    for (number, receipt) in receipts.iter().enumerate() {
        let found = by_position
            .get(&receipt.position())
            .expect("a record at the receipt");
        assert_eq!(*found, numbered(number % FAULT_KEYS, number), "seed {seed}");
    }
    let put_again = producer.stats().records_put_again;
    assert_duplicates(run, &stored, &receipts, put_again);
    if order == Order::PerKey {
        let users: Vec<_> = stored.into_iter().map(|(_, user)| user).collect();
        assert_order(&users, seed);
    }
    producer.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn under_faults_limits_and_reshards_every_receipt_points_at_its_record() {
    for seed in 0..3 {
        let aggregate = seed != 1;
        fault_run(FaultRun {
            seed,
            aggregate,
            ..FAULT_RUN
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn without_lost_answers_only_what_a_reshard_left_in_a_wrong_shard_is_stored_twice() {
    let seed = 6;
    let answers_lost = 0.0;
    fault_run(FaultRun {
        seed,
        answers_lost,
        ..FAULT_RUN
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_million_records_under_faults_limits_and_reshards_are_where_their_receipts_say() {
    let run = FaultRun {
        records: 1_000_000,
        burst: 64,
        ..FAULT_RUN
    };
    fault_run(FaultRun { seed: 7, ..run }).await;
    fault_run(FaultRun {
        seed: 8,
        order: Order::PerKey,
        ..run
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn under_faults_limits_and_reshards_the_order_of_each_key_holds() {
    for seed in 3..6 {
        let order = Order::PerKey;
        fault_run(FaultRun {
            seed,
            order,
            ..FAULT_RUN
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_shards_of_the_embedded_kinesis_are_kept_busy_and_not_throttled() {
    full_speed(10, 1_000).await;
}

#[tokio::test(start_paused = true)]
async fn half_a_minute_of_small_records_goes_at_the_speed_of_the_shards() {
    full_speed(30, 100).await;
}

/// The bytes of data and keys that the shards took until this time, as they count them.
async fn bytes_taken(stream: &KinesisStream<EncodedRecord>, arrived_by: SystemTime) -> u64 {
    let shards = ListShards::new(stream.id().clone());
    let shards = stream.service().list_shards(shards).await.unwrap().shards;
    let mut bytes = 0;
    for shard in shards {
        let pages = pages(stream, &shard.id).await;
        let records = pages.iter().flat_map(|page| &page.records);
        bytes += records
            .filter(|record| record.arrived_at <= arrived_by)
            .map(|record| record.data.len() + record.partition_key.len())
            .sum::<usize>();
    }
    bytes as u64
}

async fn full_speed(seconds: u32, data_bytes: usize) {
    let kinesis = kinesis(1).await;
    let stream = kinesis
        .stream::<EncodedRecord>("readings", 4)
        .await
        .unwrap();
    let producer = stream.producer().aggregate(true).build().unwrap();
    let begun = Clock::system().instant();
    let mut number = 0;
    while begun.elapsed() < seconds * SECOND {
        let key = PartitionKey::new(format!("device-{number}")).unwrap();
        let record = EncodedRecord::new(key, vec![b'x'; data_bytes].into());
        drop(producer.put(&record).await.unwrap());
        number += 1;
    }
    let stats = producer.stats();
    let arrived_by = stream.target.clock.now();
    let rate = bytes_taken(&stream, arrived_by).await / u64::from(seconds);
    assert!(
        rate > 4 * 1_048_576 * 95 / 100,
        "{rate} bytes a second: {stats:?}"
    );
    assert!(
        stats.kinesis_records_throttled * 100 < stats.kinesis_records_sent,
        "{stats:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn put_all_gets_far_more_through_a_shard_than_it_takes_in_a_second() {
    let kinesis = kinesis(1).await;
    let stream = kinesis
        .stream::<EncodedRecord>("readings", 1)
        .await
        .unwrap();
    for data_bytes in [10, 20_000] {
        let records = (0..2_500).map(|number| {
            let key = PartitionKey::new(format!("device-{number}")).unwrap();
            EncodedRecord::new(key, vec![b'x'; data_bytes].into())
        });
        let results = stream.put_all(records).await;
        let failed = results.iter().find_map(|result| result.as_ref().err());
        assert!(failed.is_none(), "{data_bytes}: {failed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_over_the_streams_limit_is_refused_alone_and_never_sent() {
    let kinesis = kinesis(1).await;
    let stream = kinesis
        .stream::<EncodedRecord>("readings", 2)
        .await
        .unwrap();
    let large = |data_bytes: usize| {
        let key = PartitionKey::new("four").unwrap();
        EncodedRecord::new(key, vec![b'x'; data_bytes].into())
    };
    let fits = 1024 * 1024 - 4;
    let results = stream
        .put_all([large(1), large(fits + 1), large(fits), large(11 << 20)])
        .await;
    assert!(results[0].is_ok() && results[2].is_ok());
    for index in [1, 3] {
        let error = &results[index].as_ref().unwrap_err().error;
        assert!(
            matches!(
                error,
                PutError::TooLarge {
                    bytes_max: 1_048_576,
                    ..
                }
            ),
            "{error}"
        );
    }
    assert_eq!(stored(&stream).await.len(), 2);
}

/// How long a producer takes to put 8 MiB into one shard.
async fn time_of_8_mib(enforced: bool, ignored: bool) -> Duration {
    let clock = Clock::tokio(from_epoch_millis(1_700_000_000_000));
    let kinesis = LocalKinesis::builder().clock(clock.clone());
    let kinesis = kinesis.enforce_limits(enforced).start().await.unwrap();
    let stream = kinesis.stream::<EncodedRecord>("s", 1).await.unwrap();
    let producer = stream.producer().aggregate(true);
    let producer = if ignored {
        producer.ignore_limits()
    } else {
        producer
    };
    let producer = producer.build().unwrap();
    let before = clock.instant();
    for number in 0..8_192 {
        let key = PartitionKey::new(format!("key-{number}")).unwrap();
        let record = EncodedRecord::new(key, vec![b'x'; 1_024].into());
        producer.put(&record).await.unwrap();
    }
    producer.flush().await.unwrap();
    clock.instant().duration_since(before)
}

#[tokio::test(start_paused = true)]
async fn a_shard_has_a_pace_only_where_limits_are_enforced_and_not_ignored() {
    assert!(time_of_8_mib(true, false).await > 7 * SECOND);
    assert!(time_of_8_mib(false, false).await < SECOND);
    // What is sent too fast is throttled and sent again.
    assert!(time_of_8_mib(true, true).await > 6 * SECOND);
    assert!(time_of_8_mib(false, true).await < SECOND);
}
