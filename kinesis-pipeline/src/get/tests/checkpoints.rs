use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;

use super::{is_silent, rest, service::TestKinesis, take, text};
use crate::{
    Checkpoint, CheckpointError, CheckpointFuture, CheckpointPlace, CheckpointStore, GetError,
    MemoryCheckpoints, OnTrimmed, Reader, Records, ShardId, StartAt, Until,
};

type Store = Arc<MemoryCheckpoints>;

fn reader(service: &TestKinesis, store: &Store) -> Reader<Bytes> {
    service
        .stream::<Bytes>()
        .reader()
        .checkpoints(store.clone(), "app")
}

async fn open(service: &TestKinesis, store: &Store) -> Records<Bytes> {
    reader(service, store).open().await.unwrap()
}

async fn places(store: &Store) -> Vec<CheckpointPlace> {
    store
        .load("app", "test")
        .await
        .unwrap()
        .into_iter()
        .map(|row| row.place)
        .collect()
}

fn after(number: u128) -> CheckpointPlace {
    CheckpointPlace::After {
        sequence_number: number.into(),
        sub_sequence_number: None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_is_finished_when_the_next_is_asked_for() {
    let (service, store) = (TestKinesis::new(1), Store::default());
    let mut records = open(&service, &store).await;
    for count in 1..=3 {
        service.put(0, count.to_string());
    }
    take(&mut records, 2).await;
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(places(&store).await, [after(1)]);
    // A crash: the reader is gone, the second record was not finished.
    drop(records);
    let mut records = open(&service, &store).await;
    assert_eq!(take(&mut records, 2).await, ["2", "3"]);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_reader_has_saved_everything_when_it_ends() {
    let (service, store) = (TestKinesis::new(1), Store::default());
    let mut records = open(&service, &store).await;
    for count in 1..=100 {
        service.put(0, count.to_string());
    }
    take(&mut records, 1).await;
    records.stop();
    assert_eq!(rest(&mut records).await.len(), 99);
    assert_eq!(places(&store).await, [after(100)]);
    service.put(0, "new");
    let mut records = open(&service, &store).await;
    assert_eq!(take(&mut records, 1).await, ["new"]);
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_waits_when_it_is_stopped_saves_too() {
    let (service, store) = (TestKinesis::new(1), Store::default());
    let mut records = open(&service, &store).await;
    service.put(0, "1");
    take(&mut records, 1).await;
    let stop = records.stop_handle();
    let stopper = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        stop.stop();
    };
    let (item, ()) = tokio::join!(records.next(), stopper);
    assert!(item.is_none());
    assert_eq!(places(&store).await, [after(1)]);
}

#[tokio::test(start_paused = true)]
async fn a_closed_reader_goes_on_after_the_last_record_it_gave_out() {
    let (service, store) = (TestKinesis::new(1), Store::default());
    let mut records = open(&service, &store).await;
    for count in 1..=100 {
        service.put(0, count.to_string());
    }
    take(&mut records, 10).await;
    records.close().await.unwrap();
    assert_eq!(places(&store).await, [after(10)]);
    let mut records = open(&service, &store).await;
    assert_eq!(take(&mut records, 1).await, ["11"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_put_while_nobody_reads_is_read_even_if_nothing_was_read_before() {
    let (service, store) = (TestKinesis::new(2), Store::default());
    service.put(0, "before");
    tokio::time::advance(Duration::from_secs(1)).await;
    let mut records = open(&service, &store).await;
    assert!(is_silent(&mut records).await);
    drop(records);
    service.put(0, "missed");
    let [left, _] = service.split(1);
    service.put(left, "child");
    let mut records = open(&service, &store).await;
    let mut texts = take(&mut records, 2).await;
    texts.sort();
    assert_eq!(texts, ["child", "missed"]);
}

#[tokio::test(start_paused = true)]
async fn a_finished_shard_is_not_read_again_and_its_children_go_on() {
    let (service, store) = (TestKinesis::new(1), Store::default());
    let mut records = open(&service, &store).await;
    service.put(0, "parent");
    let [left, _] = service.split(0);
    service.put(left, "1");
    assert_eq!(take(&mut records, 2).await, ["parent", "1"]);
    records.close().await.unwrap();
    assert_eq!(places(&store).await[0], CheckpointPlace::ShardEnd);
    service.put(left, "2");
    service.trim(0, true);
    let mut records = open(&service, &store).await;
    assert_eq!(take(&mut records, 1).await, ["2"]);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(
        places(&store).await.len(),
        2,
        "the finished shard's checkpoint is removed"
    );
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_never_passes_a_record_that_is_not_acked() {
    let (service, store) = (TestKinesis::new(1), Store::default());
    let mut records = reader(&service, &store).require_ack().open().await.unwrap();
    for count in 1..=4 {
        service.put(0, count.to_string());
    }
    let mut given = Vec::new();
    for _ in 0..4 {
        given.push(records.next().await.unwrap().unwrap());
    }
    for index in [0, 2, 3] {
        given[index].ack();
    }
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(places(&store).await, [after(1)]);
    records.stop();
    assert!(records.next().await.is_none());
    given[1].ack();
    records.close().await.unwrap();
    assert_eq!(places(&store).await, [after(4)]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_with_acks_ends_before_they_come_and_its_shards_end_with_them() {
    let (service, store) = (TestKinesis::new(1), Store::default());
    service.put(0, "1");
    service.split(0);
    let reader = reader(&service, &store)
        .require_ack()
        .start(StartAt::TrimHorizon);
    let mut records = reader.until(Until::Tip).open().await.unwrap();
    let record = records.next().await.unwrap().unwrap();
    assert!(records.next().await.is_none());
    assert_eq!(places(&store).await[0], CheckpointPlace::TrimHorizon);
    record.ack();
    records.close().await.unwrap();
    assert_eq!(places(&store).await[0], CheckpointPlace::ShardEnd);
}

/// A store that fails on request.
#[derive(Debug, Default)]
struct Failing {
    store: MemoryCheckpoints,
    fails: AtomicBool,
}

impl CheckpointStore for Failing {
    fn load<'a>(&'a self, app: &'a str, stream: &'a str) -> CheckpointFuture<'a, Vec<Checkpoint>> {
        self.store.load(app, stream)
    }

    fn save<'a>(
        &'a self,
        app: &'a str,
        stream: &'a str,
        checkpoints: Vec<Checkpoint>,
    ) -> CheckpointFuture<'a, ()> {
        if self.fails.load(Ordering::Relaxed) {
            return Box::pin(async { Err(CheckpointError::new("a test", "it fails")) });
        }
        self.store.save(app, stream, checkpoints)
    }

    fn remove<'a>(
        &'a self,
        app: &'a str,
        stream: &'a str,
        shards: Vec<ShardId>,
    ) -> CheckpointFuture<'a, ()> {
        self.store.remove(app, stream, shards)
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_for_a_while_is_tried_again_and_one_that_fails_at_the_end_is_an_error() {
    let (service, store) = (TestKinesis::new(1), Arc::new(Failing::default()));
    let reader = service
        .stream::<Bytes>()
        .reader()
        .checkpoints(store.clone(), "app");
    let mut records = reader.open().await.unwrap();
    store.fails.store(true, Ordering::Relaxed);
    service.put(0, "1");
    take(&mut records, 1).await;
    assert!(is_silent(&mut records).await);
    store.fails.store(false, Ordering::Relaxed);
    assert!(is_silent(&mut records).await);
    assert_eq!(store.load("app", "test").await.unwrap()[0].place, after(1));

    store.fails.store(true, Ordering::Relaxed);
    service.put(0, "2");
    take(&mut records, 1).await;
    records.stop();
    let error = records.next().await.unwrap().unwrap_err();
    assert!(matches!(error, GetError::Checkpoint { .. }) && error.is_retryable());
    assert!(records.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_place_that_has_expired_fails_or_goes_on_as_the_policy_says() {
    for entirely in [false, true] {
        let (service, store) = (TestKinesis::new(1), Store::default());
        let mut records = open(&service, &store).await;
        service.put(0, "1");
        take(&mut records, 1).await;
        records.close().await.unwrap();
        service.put(0, "2");
        if entirely {
            let [left, _] = service.split(0);
            service.trim(0, true);
            service.put(left, "3");
        } else {
            service.trim(0, false);
            service.put(0, "3");
        }
        let error = reader(&service, &store).open().await.unwrap_err();
        let is_right = match &error {
            GetError::Trimmed { .. } => entirely,
            GetError::UnknownPosition { .. } => !entirely,
            _ => false,
        };
        assert!(
            is_right && error.to_string().contains("shardId-000000000000"),
            "{error}"
        );

        let latest = reader(&service, &store)
            .on_trimmed(OnTrimmed::Latest)
            .until(Until::Tip);
        assert_eq!(
            rest(&mut latest.open().await.unwrap()).await,
            Vec::<String>::new()
        );
        let store = if entirely { store } else { Store::default() };
        if !entirely {
            let row = Checkpoint::new("shardId-000000000000".into(), after(1));
            store.save("app", "test", vec![row]).await.unwrap();
            let horizon = reader(&service, &store).on_trimmed(OnTrimmed::FromHorizon);
            let mut records = horizon.open().await.unwrap();
            assert_eq!(take(&mut records, 1).await, ["3"]);
        }
    }
}

/// Puts, splits, merges, faults, and a reader that crashes and starts again from its checkpoints.
async fn crash_at_random(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let (service, store) = (TestKinesis::new(2), Store::default());
    service.state().hides_children = random.bool();
    let needs_ack = random.bool();
    let (mut open_shards, mut put) = (vec![0, 1], 0_usize);
    let mut parents: HashMap<usize, Vec<usize>> = HashMap::new();
    let mut counts: HashMap<usize, u32> = HashMap::new();
    let mut seen: HashMap<usize, u32> = HashMap::new();
    let mut crashes = 0;
    let options = |reader: Reader<Bytes>| {
        let reader = reader.start(StartAt::TrimHorizon).page_records_max(3);
        if needs_ack {
            reader.require_ack()
        } else {
            reader
        }
    };
    let mut records = options(reader(&service, &store)).open().await.unwrap();
    for _ in 0..150 {
        let index = random.usize(..open_shards.len());
        let shard = open_shards[index];
        match random.u8(..20) {
            0 => {
                open_shards.swap_remove(index);
                let children = service.split(shard);
                open_shards.extend(children);
                parents.extend(children.map(|child| (child, vec![shard])));
            }
            1 if open_shards.len() > 1 => {
                open_shards.swap_remove(index);
                let other = open_shards.swap_remove(random.usize(..open_shards.len()));
                let child = service.merge(shard, other);
                open_shards.push(child);
                parents.insert(child, vec![shard, other]);
            }
            2 => {
                let codes = [
                    "ProvisionedThroughputExceededException",
                    "InternalFailureException",
                    "ExpiredIteratorException",
                    "timeout",
                ];
                service.fail("GetRecords", shard, random.choice(codes).unwrap(), 2);
            }
            3 if random.bool() => {
                drop(records);
                crashes += 1;
                // A new reader may repeat, so what is seen of each shard may go back, but never ahead.
                records = options(reader(&service, &store)).open().await.unwrap();
            }
            4..10 => {
                let wait = Duration::from_millis(random.u64(..3000));
                while let Ok(Some(item)) = tokio::time::timeout(wait, records.next()).await {
                    let record = item.unwrap();
                    record.ack();
                    check(
                        text(Some(Ok(record))),
                        &mut seen,
                        &counts,
                        &parents,
                        crashes > 0,
                    );
                }
            }
            _ => {
                let count = counts.entry(shard).or_default();
                service.put(shard, format!("{shard}/{count}"));
                *count += 1;
                put += 1;
            }
        }
    }
    while let Ok(Some(item)) = tokio::time::timeout(Duration::from_mins(5), records.next()).await {
        let record = item.unwrap();
        record.ack();
        check(
            text(Some(Ok(record))),
            &mut seen,
            &counts,
            &parents,
            crashes > 0,
        );
    }
    assert_eq!(seen.values().sum::<u32>() as usize, put, "seed {seed}");
    records.close().await.unwrap();
}

fn check(
    text: String,
    seen: &mut HashMap<usize, u32>,
    counts: &HashMap<usize, u32>,
    parents: &HashMap<usize, Vec<usize>>,
    may_repeat: bool,
) {
    let (shard, count) = text.split_once('/').unwrap();
    let (shard, count): (usize, u32) = (shard.parse().unwrap(), count.parse().unwrap());
    for parent in parents.get(&shard).into_iter().flatten() {
        assert_eq!(
            seen.get(parent),
            counts.get(parent),
            "{shard} before the end of {parent}"
        );
    }
    let expected = seen.entry(shard).or_default();
    assert!(
        count == *expected || (may_repeat && count < *expected),
        "{count} in {shard}"
    );
    *expected = (*expected).max(count + 1);
}

#[tokio::test(start_paused = true)]
async fn readers_that_crash_at_random_miss_nothing_and_keep_the_order() {
    for seed in 0..40 {
        crash_at_random(seed).await;
    }
}
