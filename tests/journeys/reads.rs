//! Tests of reads: several readers, stops, and records that cannot be decoded.

use std::collections::HashSet;

use bytes::Bytes;
use kinesis_pipeline::{EncodedRecord, GetError, PartitionKey, StartAt};
use kinesis_pipeline_tests::Server;

use crate::{Reading, next, reading, same_stream, take};

pub(crate) async fn two_readers_share_the_shards_by_number(server: Server) {
    let stream = server.stream::<Reading>("readings", 4).await;
    let open = |shards: [usize; 2]| stream.reader().shards(shards).start(StartAt::Latest).open();
    let mut first = open([0, 1]).await.expect("the reader opens");
    let mut second = open([2, 3]).await.expect("the reader opens");
    let sent: Vec<_> = (0..40)
        .map(|count| reading(&count.to_string(), count))
        .collect();
    let mut expected = [0, 0];
    for result in stream.put_all(&sent).await {
        let shard_id = result.expect("a receipt").shard_id;
        expected[usize::from(shard_id.as_str() >= "shardId-000000000002")] += 1;
    }
    let first = take(&mut first, expected[0]).await;
    let second = take(&mut second, expected[1]).await;
    let counts: HashSet<_> = first
        .iter()
        .chain(&second)
        .map(|record| record.data.count)
        .collect();
    assert_eq!(counts.len(), 40);

    let error = stream
        .reader()
        .shards([99])
        .open()
        .await
        .expect_err("there is no shard 99");
    let text = error.to_string();
    assert!(text.contains("99") && text.contains('4'), "{text}");
}

pub(crate) async fn stop_delivers_what_was_fetched(server: Server) {
    let stream = server.stream::<Reading>("readings", 1).await;
    let sent: Vec<_> = (0..100).map(|count| reading("attic", count)).collect();
    for result in stream.put_all(&sent).await {
        result.expect("a receipt");
    }
    let mut records = stream.iter_from_all().await.expect("the reader opens");
    let first = take(&mut records, 1).await;
    records.stop();
    let mut rest = 0;
    while let Some(record) = next(&mut records).await {
        record.expect("a good record");
        rest += 1;
    }
    // The page with the first record had all of them.
    assert_eq!(first.len() + rest, 100);
}

pub(crate) async fn a_bad_record_is_one_error_item(server: Server) {
    let raw = server.stream::<EncodedRecord>("readings", 1).await;
    let key = PartitionKey::new("attic").expect("a key");
    let bytes =
        |text: &'static str| EncodedRecord::new(key.clone(), Bytes::from_static(text.as_bytes()));
    for text in [
        r#"{"device":"attic","count":1}"#,
        "{not json",
        r#"{"device":"attic","count":2}"#,
    ] {
        raw.put(&bytes(text)).await.expect("a receipt");
    }

    let stream = same_stream::<_, Reading>(&raw);
    let mut records = stream.iter_from_all().await.expect("the reader opens");
    assert_eq!(take(&mut records, 1).await[0].data.count, 1);
    match next(&mut records).await {
        Some(Err(GetError::Decode { raw, position, .. })) => {
            assert_eq!(raw, "{not json");
            assert_eq!(position.shard_id.as_str(), "shardId-000000000000");
        }
        other => panic!("expected the bad record, got {other:?}"),
    }
    assert_eq!(take(&mut records, 1).await[0].data.count, 2);
}
