use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::{is_silent, rest, service::TestKinesis, take};
use crate::{
    Checkpoint, CheckpointPlace, CheckpointStore, GetError, MemoryCheckpoints, OnTrimmed, Reader,
    Records, StartAt, Until,
};

pub(super) type Store = Arc<MemoryCheckpoints>;

pub(super) fn reader(service: &TestKinesis, store: &Store) -> Reader<Bytes> {
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
            assert_eq!(records.stats().gaps, 1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_goes_on_inside_an_aggregate() {
    let (service, store) = (TestKinesis::new(1), Store::default());
    service.put(0, "raw");
    let texts: Vec<_> = (0..5).map(|count| format!("user {count}")).collect();
    service.put_aggregate(0, &texts);
    service.put(0, "raw again");
    let open = async || {
        let reader = reader(&service, &store)
            .start(StartAt::TrimHorizon)
            .until(Until::Tip);
        reader.open().await.unwrap()
    };
    let mut records = open().await;
    assert_eq!(
        take(&mut records, 4).await,
        ["raw", "user 0", "user 1", "user 2"]
    );
    records.close().await.unwrap();
    let inside = CheckpointPlace::After {
        sequence_number: 2.into(),
        sub_sequence_number: Some(2),
    };
    assert_eq!(places(&store).await, [inside]);
    let mut records = open().await;
    assert_eq!(take(&mut records, 2).await, ["user 3", "user 4"]);
    records.close().await.unwrap();
    assert_eq!(places(&store).await, [after(2)]);
    assert_eq!(rest(&mut open().await).await, ["raw again"]);

    let stream = service.stream::<Bytes>();
    let all = stream
        .reader()
        .start(StartAt::TrimHorizon)
        .until(Until::Tip);
    let mut records = all.open().await.unwrap();
    let mut positions = Vec::new();
    while let Some(record) = records.next().await {
        positions.push(record.unwrap().position().clone());
    }
    for (index, position) in positions.iter().enumerate() {
        let reader = stream
            .reader()
            .resume_after([position.clone()])
            .until(Until::Tip);
        assert_eq!(
            rest(&mut reader.open().await.unwrap()).await.len(),
            6 - index
        );
    }
}
