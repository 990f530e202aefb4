//! Listings that are incomplete, old, or not of one moment, and shards that are not known everywhere yet.

use std::{future::Future, time::Duration};

use bytes::Bytes;

use super::{
    checkpoints::{Store, reader},
    is_silent, rest,
    service::TestKinesis,
    take,
};
use crate::{CheckpointPlace, CheckpointStore as _, GetError, OnTrimmed, StartAt, Until};

const NOT_FOUND: &str = "ResourceNotFoundException";

/// Does something between two pages of the listing that is made meanwhile.
async fn between_pages<T>(listing: impl Future<Output = T>, action: impl FnOnce()) -> T {
    let action = async {
        // Each page takes 5 ms.
        tokio::time::sleep(Duration::from_millis(7)).await;
        action();
    };
    let (answer, ()) = tokio::join!(listing, action);
    answer
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts
}

#[tokio::test(start_paused = true)]
async fn a_child_of_a_shard_that_is_read_from_latest_begins_at_its_oldest_record() {
    for is_split_again in [false, true] {
        let service = TestKinesis::new(3);
        service.put(0, "before");
        service.state().list_page_max = Some(3);
        let stream = service.stream::<Bytes>();
        let mut children = [0; 2];
        let records = between_pages(stream.iter_from_latest(), || {
            children = service.split(0);
            if is_split_again {
                service.put(children[0], "child");
                children = service.split(children[0]);
            }
        });
        let mut records = records.await.unwrap();
        for child in children {
            service.put(child, "after");
        }
        let expected = if is_split_again { 3 } else { 2 };
        let texts = take(&mut records, expected).await;
        assert!(!texts.contains(&"before".to_owned()));
        assert!(is_silent(&mut records).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_child_of_a_merge_between_the_pages_begins_at_its_oldest_record() {
    let service = TestKinesis::new(3);
    service.state().list_page_max = Some(3);
    let stream = service.stream::<Bytes>();
    let mut child = 0;
    let records = between_pages(stream.iter_from_latest(), || child = service.merge(0, 1));
    let mut records = records.await.unwrap();
    service.put(child, "after");
    assert_eq!(take(&mut records, 1).await, ["after"]);
}

#[tokio::test(start_paused = true)]
async fn a_first_listing_that_lacks_a_shard_is_made_again() {
    for start in [StartAt::TrimHorizon, StartAt::Latest] {
        let service = TestKinesis::new(2);
        service.put(0, "parent");
        let [left, right] = service.split(0);
        service.list_without(3, &[right]);
        let stream = service.stream::<Bytes>();
        let mut records = stream.reader().start(start.clone()).open().await.unwrap();
        service.put(left, "left");
        service.put(right, "right");
        let mut expected = vec!["left", "right"];
        if start == StartAt::TrimHorizon {
            expected.insert(1, "parent");
        }
        let texts = take(&mut records, expected.len()).await;
        assert_eq!(sorted(texts), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_stays_incomplete_is_an_error_that_names_the_missing_keys() {
    let service = TestKinesis::new(2);
    service.list_without(100, &[1]);
    let stream = service.stream::<Bytes>();
    let begun = service.clock().instant();
    let error = stream.iter_from_all().await.unwrap_err();
    assert!(service.clock().instant() - begun < Duration::from_mins(1));
    let GetError::IncompleteListing { missing, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(missing.end, crate::HashKey::MAX);
    assert!(error.is_retryable());
    assert!(error.to_string().contains(&missing.to_string()), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_is_missing_elsewhere_does_not_keep_a_choice_from_opening() {
    let service = TestKinesis::new(2);
    service.put(0, "mine");
    service.list_without(100, &[1]);
    let reader = service.stream::<Bytes>().reader();
    let reader = reader.shards(["shardId-000000000000"]);
    let reader = reader.start(StartAt::TrimHorizon).until(Until::Tip);
    assert_eq!(rest(&mut reader.open().await.unwrap()).await, ["mine"]);
}

/// A reader that has finished shard 0 and begun its children, of which `right` is not listed at first.
#[tokio::test(start_paused = true)]
async fn a_checkpoint_of_a_shard_that_the_listing_lacks_at_first_is_not_trimmed() {
    for lacks_whole_reshard in [false, true] {
        let (service, store) = (TestKinesis::new(1), Store::default());
        let mut records = reader(&service, &store).open().await.unwrap();
        service.put(0, "0");
        let [left, right] = service.split(0);
        service.put(left, "left");
        service.put(right, "right");
        assert_eq!(take(&mut records, 3).await.len(), 3);
        records.close().await.unwrap();
        service.put(left, "left again");
        service.put(right, "right again");
        let lacking = if lacks_whole_reshard {
            vec![left, right]
        } else {
            vec![right]
        };
        if lacks_whole_reshard {
            // Older than the reshard: the parent was open.
            let mut shards = service.stream::<Bytes>().shards().await.unwrap();
            shards.truncate(1);
            shards[0].ending_sequence_number = None;
            service.state().listings.extend([shards.clone(), shards]);
        } else {
            service.list_without(2, &lacking);
        }
        let mut records = reader(&service, &store).open().await.unwrap();
        let texts = sorted(take(&mut records, 2).await);
        assert_eq!(texts, ["left again", "right again"]);
        assert_eq!(records.stats().gaps, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn an_ended_shard_looks_for_children_until_they_cover_its_keys() {
    for policy in [OnTrimmed::Fail, OnTrimmed::FromHorizon] {
        let (service, store) = (TestKinesis::new(2), Store::default());
        service.state().hides_children = true;
        let reader = reader(&service, &store).on_trimmed(policy);
        let mut records = reader.open().await.unwrap();
        let [left, right] = service.split(0);
        service.list_without(4, &[right]);
        service.put(left, "left");
        service.put(right, "right");
        assert_eq!(sorted(take(&mut records, 2).await), ["left", "right"]);
        assert_eq!(records.stats().gaps, 0);
        records.close().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_older_listing_does_not_hide_children_from_a_batch() {
    for hides_children in [false, true] {
        let service = TestKinesis::new(1);
        service.state().hides_children = hides_children;
        service.list_without(1, &[]);
        service.put(0, "parent");
        let [left, right] = service.split(0);
        service.put(left, "left");
        service.put(right, "right");
        let reader = service.stream::<Bytes>().reader();
        let reader = reader.start(StartAt::TrimHorizon).until(Until::Tip);
        let mut records = reader.open().await.unwrap();
        let mut texts = take(&mut records, 1).await;
        assert_eq!(texts, ["parent"]);
        texts = sorted(rest(&mut records).await);
        assert_eq!(texts, ["left", "right"]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_older_listing_while_reading_brings_no_shard_back() {
    let service = TestKinesis::new(2);
    let stream = service.stream::<Bytes>();
    let mut records = stream.iter_from_latest().await.unwrap();
    service.list_without(20, &[]);
    let [left, right] = service.split(0);
    for shard in [left, right] {
        service.put(shard, "child");
    }
    let [first, _] = service.split(left);
    service.put(first, "grandchild");
    // The children are finished; what makes the reader list is another shard that is not known.
    assert_eq!(take(&mut records, 3).await.len(), 3);
    service.fail("GetRecords", 1, NOT_FOUND, 3);
    service.state().hides_children = true;
    service.split(right);
    assert!(is_silent(&mut records).await, "nothing is read twice");
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_is_not_known_yet_is_tried_on() {
    for policy in [OnTrimmed::Fail, OnTrimmed::FromHorizon, OnTrimmed::Latest] {
        for lists_child in [false, true] {
            let (service, store) = (TestKinesis::new(1), Store::default());
            let reader = reader(&service, &store).on_trimmed(policy);
            let mut records = reader.open().await.unwrap();
            service.put(0, "parent");
            let older = service.stream::<Bytes>().shards().await.unwrap();
            let [left, right] = service.split(0);
            if !lists_child {
                service.state().listings.extend(vec![older; 30]);
            }
            service.fail("GetShardIterator", left, NOT_FOUND, 8);
            service.fail("GetRecords", right, NOT_FOUND, 5);
            service.put(left, "left");
            service.put(right, "right");
            assert_eq!(take(&mut records, 1).await, ["parent"]);
            let texts = sorted(take(&mut records, 2).await);
            assert_eq!(texts, ["left", "right"]);
            assert_eq!(records.stats().gaps, 0);
            records.close().await.unwrap();
            let rows = store.load("app", "test").await.unwrap();
            let ended: Vec<_> = rows
                .iter()
                .filter(|row| row.place == CheckpointPlace::ShardEnd)
                .collect();
            assert_eq!(ended.len(), 1, "{rows:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_stays_unknown_although_it_is_listed_ends_the_reader_after_the_outage_bound() {
    let service = TestKinesis::new(2);
    let reader = service.stream::<Bytes>().reader();
    let mut records = reader
        .outage_max(Duration::from_mins(5))
        .open()
        .await
        .unwrap();
    service.fail("GetRecords", 0, NOT_FOUND, usize::MAX);
    service.fail("GetShardIterator", 0, NOT_FOUND, usize::MAX);
    let begun = service.clock().instant();
    let error = records.next().await.unwrap().unwrap_err();
    assert!(service.clock().instant() - begun >= Duration::from_mins(5));
    let GetError::Service { shard, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(shard.as_ref().unwrap().as_str(), "shardId-000000000000");
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_expires_between_the_listing_and_its_iterator_does_not_fail_the_opening() {
    let service = TestKinesis::new(1);
    service.put(0, "expires");
    let [left, _] = service.split(0);
    service.put(left, "left");
    let stream = service.stream::<Bytes>();
    let open = stream.iter_from_all();
    let mut records = between_pages(open, || service.trim(0, true)).await.unwrap();
    assert_eq!(take(&mut records, 1).await, ["left"]);
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_is_not_known_while_the_reader_opens_is_tried_on() {
    for start in [StartAt::TrimHorizon, StartAt::Latest] {
        let service = TestKinesis::new(2);
        service.fail("GetShardIterator", 1, NOT_FOUND, 4);
        let reader = service.stream::<Bytes>().reader().start(start);
        let mut records = reader.open().await.unwrap();
        service.put(1, "1");
        assert_eq!(take(&mut records, 1).await, ["1"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_expires_unread_is_left_without_the_word_that_it_was_finished() {
    let (service, store) = (TestKinesis::new(1), Store::default());
    for count in 0..100 {
        service.put(0, count.to_string());
    }
    let [left, _] = service.split(0);
    service.put(left, "child");
    let reader = reader(&service, &store).start(StartAt::TrimHorizon);
    let reader = reader.on_trimmed(OnTrimmed::FromHorizon);
    let mut records = reader.page_records_max(10).open().await.unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    service.trim(0, true);
    take(&mut records, 20).await;
    assert_eq!(take(&mut records, 1).await, ["child"]);
    assert_eq!(records.stats().gaps, 1);
    tokio::time::sleep(Duration::from_secs(10)).await;
    let rows = store.load("app", "test").await.unwrap();
    assert!(
        rows.iter()
            .all(|row| row.place != CheckpointPlace::ShardEnd),
        "{rows:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_token_that_repeats_does_not_make_a_part_of_the_shards_the_whole() {
    let service = TestKinesis::new(7);
    service.state().list_page_max = Some(3);
    service.state().repeats_list_token = true;
    let mend = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        service.state().repeats_list_token = false;
    };
    let stream = service.stream::<Bytes>();
    let (records, ()) = tokio::join!(stream.iter_from_latest(), mend);
    service.put(6, "6");
    assert_eq!(take(&mut records.unwrap(), 1).await, ["6"]);
}

#[tokio::test(start_paused = true)]
async fn a_first_listing_that_lacks_the_parent_of_all_others_is_made_again() {
    let service = TestKinesis::new(1);
    service.put(0, "parent");
    let [left, _] = service.split(0);
    service.put(left, "left");
    service.list_without(1, &[0]);
    let stream = service.stream::<Bytes>();
    let mut records = stream.iter_from_all().await.unwrap();
    assert_eq!(take(&mut records, 2).await, ["parent", "left"]);
}

#[tokio::test(start_paused = true)]
async fn a_first_listing_that_lacks_one_parent_of_a_merge_is_made_again() {
    for lacking in [0, 1] {
        let service = TestKinesis::new(2);
        service.put(0, "0");
        service.put(1, "1");
        let child = service.merge(0, 1);
        service.put(child, "child");
        service.list_without(3, &[lacking]);
        let reader = service.stream::<Bytes>().reader();
        let reader = reader.start(StartAt::TrimHorizon).until(Until::Tip);
        let mut records = reader.open().await.unwrap();
        let parents = sorted(take(&mut records, 2).await);
        assert_eq!(parents, ["0", "1"], "{lacking}");
        assert_eq!(rest(&mut records).await, ["child"]);
    }
}

#[tokio::test(start_paused = true)]
async fn one_parent_of_a_merge_that_stays_away_has_expired() {
    let service = TestKinesis::new(2);
    service.put(1, "1");
    let child = service.merge(0, 1);
    service.put(child, "child");
    service.trim(0, true);
    let begun = service.clock().instant();
    let mut records = service.stream::<Bytes>().iter_from_all().await.unwrap();
    assert_eq!(take(&mut records, 2).await, ["1", "child"]);
    assert!(service.clock().instant() - begun < Duration::from_secs(10));
}

#[tokio::test(start_paused = true)]
async fn a_chosen_shard_that_is_too_new_for_the_first_listings_is_found() {
    for is_stale in [false, true] {
        for is_position in [false, true] {
            let service = TestKinesis::new(2);
            let older = service.stream::<Bytes>().shards().await.unwrap();
            let [left, right] = service.split(0);
            let number = service.put(left, "1");
            service.put(left, "2");
            if is_stale {
                service.state().listings.extend(vec![older; 4]);
            } else {
                service.list_without(4, &[left, right]);
            }
            let id = crate::ShardId::from(format!("shardId-{left:012}"));
            let reader = service.stream::<Bytes>().reader();
            let reader = if is_position {
                reader.start(StartAt::AtSequenceNumber(id, number))
            } else {
                reader.shards([id]).start(StartAt::TrimHorizon)
            };
            let mut records = reader.open().await.unwrap();
            assert_eq!(take(&mut records, 2).await, ["1", "2"]);
        }
    }
}
