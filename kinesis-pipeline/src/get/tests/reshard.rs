use std::{collections::HashMap, time::Duration};

use bytes::Bytes;

use super::{is_silent, rest, service::TestKinesis, take};
use crate::{Records, StartAt, Until};

#[tokio::test(start_paused = true)]
async fn children_are_read_from_their_beginning_after_their_parents() {
    for hides_children in [false, true] {
        let service = TestKinesis::new(1);
        service.state().hides_children = hides_children;
        let mut records = service.stream::<Bytes>().iter_from_latest().await.unwrap();
        service.put(0, "0");
        let [left, right] = service.split(0);
        service.put(left, "1");
        service.put(right, "1");
        let merged = service.merge(left, right);
        service.put(merged, "2");
        assert_eq!(take(&mut records, 4).await, ["0", "1", "1", "2"]);
        assert!(is_silent(&mut records).await);
        service.put(merged, "3");
        assert_eq!(take(&mut records, 1).await, ["3"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_child_waits_until_its_parent_was_taken() {
    let service = TestKinesis::new(1);
    service.put(0, "parent");
    let [left, _] = service.split(0);
    service.put(left, "child");
    let mut records = service.stream::<Bytes>().iter_from_all().await.unwrap();
    assert_eq!(take(&mut records, 1).await, ["parent"]);
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(service.calls_of("GetRecords", left).len(), 0);
    assert_eq!(take(&mut records, 1).await, ["child"]);
}

#[tokio::test(start_paused = true)]
async fn closed_shards_are_read_to_their_end_from_all_and_from_a_time_but_not_from_latest() {
    let service = TestKinesis::new(1);
    service.put(0, "old");
    tokio::time::advance(Duration::from_secs(10)).await;
    let since = service.clock().now();
    service.put(0, "parent");
    let [left, _] = service.split(0);
    service.put(left, "child");
    let stream = service.stream::<Bytes>();
    let read = async |start: StartAt| {
        let mut records = stream
            .reader()
            .start(start)
            .until(Until::Tip)
            .open()
            .await
            .unwrap();
        rest(&mut records).await
    };
    assert_eq!(read(StartAt::TrimHorizon).await, ["old", "parent", "child"]);
    assert_eq!(read(StartAt::Timestamp(since)).await, ["parent", "child"]);
    assert_eq!(read(StartAt::Latest).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_closed_shard_whose_last_page_is_empty_does_not_end_a_batch_before_its_children() {
    for until in [
        Until::Tip,
        Until::Timestamp(super::service::BASE + Duration::from_hours(1)),
    ] {
        let service = TestKinesis::new(2);
        for count in 0..10 {
            service.put(0, count.to_string());
        }
        let [left, _] = service.split(0);
        let empty = service.merge(left, 1);
        service.put(empty, "grandchild");
        // Full pages: the end of the shard shows only in the empty one behind them.
        service.state().hides_end_of_full_pages = true;
        tokio::time::advance(Duration::from_hours(2)).await;
        let stream = service.stream::<Bytes>();
        let reader = stream.reader().start(StartAt::TrimHorizon).until(until);
        let mut records = reader.page_records_max(5).open().await.unwrap();
        assert_eq!(rest(&mut records).await.len(), 11);
    }
}

#[tokio::test(start_paused = true)]
async fn readers_that_divide_the_shards_divide_the_children() {
    for hides_children in [false, true] {
        let service = TestKinesis::new(3);
        service.state().hides_children = hides_children;
        let stream = service.stream::<Bytes>();
        let mut first = stream.reader().shards([0]).open().await.unwrap();
        let mut second = stream.reader().shards([1, 2]).open().await.unwrap();
        let merged = service.merge(1, 0);
        service.put(merged, "of 1 and 0");
        let [left, right] = service.split(2);
        service.put(left, "left");
        service.put(right, "right");
        // The child of 0 belongs to the other set, so nothing can come any more.
        assert_eq!(rest(&mut first).await, Vec::<String>::new());
        let mut texts = take(&mut second, 3).await;
        texts.sort();
        assert_eq!(texts, ["left", "of 1 and 0", "right"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_shard_split_between_the_listing_and_its_iterator_is_followed() {
    let service = TestKinesis::new(2);
    service.state().latencies.insert(0, Duration::from_secs(2));
    let stream = service.stream::<Bytes>();
    let splitter = {
        let service = service.clone();
        async move {
            // The listing has answered, the iterator has not.
            tokio::time::sleep(Duration::from_secs(3)).await;
            let [left, _] = service.split(0);
            service.put(left, "child");
        }
    };
    let (records, ()) = tokio::join!(stream.iter_from_latest(), splitter);
    assert_eq!(take(&mut records.unwrap(), 1).await, ["child"]);
}

/// Random puts, splits and merges while a reader follows.
async fn follow_random_history(seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    let service = TestKinesis::new(2);
    service.state().hides_children = random.bool();
    let mut records = service.stream::<Bytes>().iter_from_latest().await.unwrap();
    // What descends from each shard, by its root's number: the keys of a shard go to one of its children.
    let mut open = vec![0, 1];
    let mut counts: HashMap<usize, u32> = HashMap::new();
    let mut parents: HashMap<usize, Vec<usize>> = HashMap::new();
    let mut put = 0;
    for _ in 0..60 {
        let index = random.usize(..open.len());
        match random.u8(..10) {
            0 => {
                let shard = open.swap_remove(index);
                let children = service.split(shard);
                open.extend(children);
                parents.extend(children.map(|child| (child, vec![shard])));
            }
            1 if open.len() > 1 => {
                let first = open.swap_remove(index);
                let second = open.swap_remove(random.usize(..open.len()));
                let child = service.merge(first, second);
                open.push(child);
                parents.insert(child, vec![first, second]);
            }
            _ => {
                let count = counts.entry(open[index]).or_default();
                service.put(open[index], format!("{}/{count}", open[index]));
                *count += 1;
                put += 1;
            }
        }
        tokio::time::sleep(Duration::from_millis(random.u64(..500))).await;
    }
    check_order(&mut records, put, &counts, &parents).await;
    assert!(is_silent(&mut records).await);
}

async fn check_order(
    records: &mut Records<Bytes>,
    put: usize,
    counts: &HashMap<usize, u32>,
    parents: &HashMap<usize, Vec<usize>>,
) {
    let mut seen: HashMap<usize, u32> = HashMap::new();
    for text in take(records, put).await {
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
        assert_eq!(count, *expected, "in shard {shard}");
        *expected += 1;
    }
    assert_eq!(&seen, counts);
}

#[tokio::test(start_paused = true)]
async fn random_histories_are_followed_without_gap_repetition_or_disorder() {
    for seed in 0..crate::trials::seeds(8) {
        follow_random_history(seed).await;
    }
}
