//! Much data and much time.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_virtual_day_of_puts_reads_expiry_and_retention_takes_seconds() {
    const MINUTES: u64 = 36 * 60;
    let kinesis = start_with(2).await;
    let shard = shards(&kinesis).await.remove(0).id;
    let call = GetShardIterator::new(stream(), shard.clone(), IteratorStart::TrimHorizon);
    let mut iterator = kinesis.get_shard_iterator(call).await.unwrap();
    let (mut stored, mut read) = (0, 0);
    for minute in 0..MINUTES {
        let mut record = record("k", format!("{minute}"));
        record.explicit_hash_key = Some(HashKey::MIN);
        let call = PutRecords::new(stream(), vec![record; 10]);
        stored += kinesis.put_records(call).await.unwrap().results.len();
        let page = kinesis
            .get_records(GetRecords::new(stream(), iterator))
            .await
            .unwrap();
        read += page.records.len();
        iterator = page.next_iterator.unwrap();
        advance(Duration::from_mins(1)).await;
    }
    assert_eq!(read, stored);
    let retained = 24 * 60 * 10;
    assert_eq!(texts(&kinesis, &shard).await.len(), 10_000, "a page");
    let state = kinesis
        .core
        .stream(Some(STREAM), None, kinesis.core.now_millis())
        .unwrap();
    let now_millis = kinesis.core.now_millis();
    let state = state.read(now_millis);
    let log = state
        .shard(0, now_millis)
        .unwrap()
        .log(state.horizon_millis(now_millis));
    assert_eq!(log.read(0, usize::MAX, usize::MAX).records.len(), retained);
}

#[tokio::test]
#[ignore = "takes long without optimization: see CONTRIBUTING.md"]
async fn half_a_million_records_are_found_anywhere_and_read_once() {
    const CALLS: usize = 1_000;
    let kinesis = LocalKinesis::start().await.unwrap();
    kinesis.core.ensure_stream(STREAM, 1).unwrap();
    let batch = vec![record("key", vec![7; 100]); 500];
    let mut middle = None;
    for call in 0..CALLS {
        let answer = kinesis
            .put_records(PutRecords::new(stream(), batch.clone()))
            .await
            .unwrap();
        if call == CALLS / 2 {
            middle = answer.results.into_iter().next().and_then(Result::ok);
        }
    }
    let middle = middle.unwrap();
    let start = IteratorStart::AtSequenceNumber(middle.sequence_number.clone());
    let found = page(&kinesis, &middle.shard_id, start).await;
    assert_eq!(found.records[0].sequence_number, middle.sequence_number);
    let call = GetShardIterator::new(stream(), middle.shard_id, IteratorStart::TrimHorizon);
    let mut iterator = kinesis.get_shard_iterator(call).await.unwrap();
    let mut read = 0;
    loop {
        let page = kinesis
            .get_records(GetRecords::new(stream(), iterator))
            .await
            .unwrap();
        read += page.records.len();
        if page.behind_latest == Some(Duration::ZERO) {
            break;
        }
        iterator = page.next_iterator.unwrap();
    }
    assert_eq!(read, CALLS * 500);
}

/// Bytes that tell when they are dropped.
struct Tracked {
    _alive: Arc<()>,
}

impl AsRef<[u8]> for Tracked {
    fn as_ref(&self) -> &[u8] {
        &[7; 8192]
    }
}

#[tokio::test(start_paused = true)]
async fn records_that_nobody_reads_are_freed_while_the_stream_is_in_use() {
    let kinesis = start_with(2).await;
    let alive = Arc::new(());
    let mut quiet = record("k", "");
    quiet.data = bytes::Bytes::from_owner(Tracked {
        _alive: alive.clone(),
    });
    quiet.explicit_hash_key = Some(HashKey::MAX);
    kinesis
        .put_records(PutRecords::new(stream(), vec![quiet]))
        .await
        .unwrap();
    assert_eq!(Arc::strong_count(&alive), 2);
    advance(Duration::from_hours(24) + Duration::from_millis(1)).await;
    let mut busy = record("k", "y");
    busy.explicit_hash_key = Some(HashKey::MIN);
    kinesis
        .put_records(PutRecords::new(stream(), vec![busy]))
        .await
        .unwrap();
    assert_eq!(Arc::strong_count(&alive), 1);
}
