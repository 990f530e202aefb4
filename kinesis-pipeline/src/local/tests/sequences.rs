//! Invariants of any sequence of puts, splits, merges and reads, also when many put at once.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::{service::MergeShards, shard::SequenceNumber};

#[derive(Clone, Debug)]
enum Step {
    Put { key: u8, records: usize },
    Split { key: u128 },
    Merge { key: u128 },
    Wait { millis: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any::<u8>(), 1_usize..20).prop_map(|(key, records)| Step::Put { key, records }),
        1 => any::<u128>().prop_map(|key| Step::Split { key }),
        1 => any::<u128>().prop_map(|key| Step::Merge { key }),
        1 => (0_u64..3000).prop_map(|millis| Step::Wait { millis }),
    ]
}

/// The place of each stored record, by its text.
type Stored = BTreeMap<String, StoredAt>;

async fn carry_out(kinesis: &LocalKinesis, step: Step, stored: &mut Stored) {
    let open: Vec<Shard> = open_shards(kinesis).await;
    let owner = |key: u128| {
        let index = open
            .iter()
            .position(|shard| shard.hash_key_range.contains(HashKey::new(key)));
        index.expect("the open shards cover the key space")
    };
    match step {
        Step::Put { key, records } => put_some(kinesis, &open, key, records, stored).await,
        Step::Split { key } => {
            let shard = open[owner(key)].id.clone();
            // A key at the edge of the range is refused, which is fine.
            let _ = kinesis
                .split_shard(SplitShard::new(stream(), shard, HashKey::new(key)))
                .await;
        }
        Step::Merge { key } => {
            let first = owner(key);
            if let Some(second) = open.get(first + 1) {
                let call = MergeShards::new(stream(), open[first].id.clone(), second.id.clone());
                kinesis.merge_shards(call).await.unwrap();
            }
        }
        Step::Wait { millis } => advance(Duration::from_millis(millis)).await,
    }
}

async fn put_some(
    kinesis: &LocalKinesis,
    open: &[Shard],
    key: u8,
    count: usize,
    stored: &mut Stored,
) {
    let key = format!("key-{key}");
    let texts: Vec<String> = (0..count)
        .map(|index| format!("{}", stored.len() + index))
        .collect();
    let records = texts
        .iter()
        .map(|text| record(&key, text.as_str()))
        .collect();
    let answer = kinesis
        .put_records(PutRecords::new(stream(), records))
        .await
        .unwrap();
    let hash_key = HashKey::of_partition_key(&key);
    for (text, result) in texts.into_iter().zip(answer.results) {
        let place = result.unwrap();
        let shard = open
            .iter()
            .find(|shard| shard.id == place.shard_id)
            .unwrap();
        assert!(
            shard.hash_key_range.contains(hash_key),
            "the shard that the hash names"
        );
        assert!(stored.insert(text, place).is_none());
    }
}

async fn open_shards(kinesis: &LocalKinesis) -> Vec<Shard> {
    let mut open = shards(kinesis).await;
    open.retain(Shard::is_open);
    open.sort_by_key(|shard| shard.hash_key_range.start);
    let mut next = Some(0);
    for shard in &open {
        assert_eq!(
            next,
            Some(shard.hash_key_range.start.value()),
            "no gap, no overlap"
        );
        next = shard.hash_key_range.end.value().checked_add(1);
    }
    assert_eq!(next, None, "the last range ends the key space");
    open
}

/// Reads every shard from the horizon, page by page, and holds what came against what was stored.
async fn check_reads(kinesis: &LocalKinesis, stored: &Stored) {
    let mut seen = BTreeSet::new();
    for shard in shards(kinesis).await {
        let mut last: Option<SequenceNumber> = None;
        let call = GetShardIterator::new(stream(), shard.id.clone(), IteratorStart::TrimHorizon);
        let mut iterator = Some(kinesis.get_shard_iterator(call).await.unwrap());
        while let Some(here) = iterator.take() {
            let call = GetRecords::new(stream(), here).limit(3);
            let page = kinesis.get_records(call).await.unwrap();
            for (record, text) in page.records.iter().zip(texts_of(&page)) {
                assert!(
                    last.as_ref() < Some(&record.sequence_number),
                    "numbers increase"
                );
                assert!(shard.starting_sequence_number < record.sequence_number);
                let place = StoredAt::new(shard.id.clone(), record.sequence_number.clone());
                assert_eq!(stored.get(&text), Some(&place));
                assert!(seen.insert(text), "read once");
                last = Some(record.sequence_number.clone());
            }
            let ended = shard.ending_sequence_number.as_ref();
            assert!(ended.is_none_or(|end| last.as_ref() < Some(end)));
            if page.behind_latest > Some(Duration::ZERO) {
                iterator = page.next_iterator;
            } else {
                assert_eq!(page.next_iterator.is_none(), !shard.is_open());
            }
        }
    }
    assert_eq!(seen.len(), stored.len(), "every stored record is read");
}

proptest! {
    #![proptest_config(crate::trials::cases(64))]

    #[test]
    fn any_history_keeps_every_record_once_and_in_its_place(
        shard_count in 1_u32..5,
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let kinesis = start_with(shard_count).await;
            let mut stored = Stored::new();
            for step in steps {
                carry_out(&kinesis, step, &mut stored).await;
            }
            open_shards(&kinesis).await;
            check_reads(&kinesis, &stored).await;
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn puts_that_race_splits_land_in_open_shards_and_are_all_read() {
    const TASKS: usize = 8;
    const PUTS: usize = 200;
    let kinesis = LocalKinesis::builder()
        .transition(Duration::ZERO)
        .start()
        .await
        .unwrap();
    kinesis.core.ensure_stream(STREAM, 1).unwrap();
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let kinesis = kinesis.clone();
            tokio::spawn(async move {
                let mut stored = Stored::new();
                for index in 0..PUTS {
                    let text = format!("{task}-{index}");
                    stored.insert(text.clone(), put(&kinesis, &text, &text).await);
                    tokio::task::yield_now().await;
                }
                stored
            })
        })
        .collect();
    for _ in 0..20 {
        let open = open_shards(&kinesis).await;
        let widest = open.iter().max_by_key(|shard| {
            shard.hash_key_range.end.value() - shard.hash_key_range.start.value()
        });
        split_in_half(&kinesis, widest.unwrap()).await;
        tokio::task::yield_now().await;
    }
    let mut stored = Stored::new();
    for task in tasks {
        stored.extend(task.await.unwrap());
    }
    assert_eq!(stored.len(), TASKS * PUTS);
    check_reads(&kinesis, &stored).await;
}
