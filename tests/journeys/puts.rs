//! Tests of puts: records that are read back unchanged, and records that fail.

use std::collections::HashSet;

use bytes::Bytes;
use kinesis_pipeline::{
    EncodedRecord, KinesisRecord, KinesisStream, PartitionKey, PutError, Receipt, StartAt,
};
use kinesis_pipeline_tests::Server;
use serde::{Deserialize, Serialize};

use crate::{Reading, faults::count_for, reading, same_stream, to_the_tip};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KinesisRecord)]
#[kinesis(codec = "msgpack")]
struct Packed {
    #[kinesis(partition_key)]
    id: u64,
    text: String,
}

pub(crate) async fn a_record_comes_back_as_it_was_put(server: Server) {
    let stream = server.stream::<Reading>("readings", 2).await;
    let sent = reading("attic", 1);
    let receipt = stream.put(&sent).await.expect("a receipt");

    let back = to_the_tip(&stream, StartAt::TrimHorizon).await;
    assert_eq!(back.len(), 1);
    assert_eq!(back[0].data, sent);
    assert_eq!(back[0].partition_key, "attic");
    assert_eq!(back[0].position(), &receipt.position());
}

pub(crate) async fn msgpack_records_come_back_as_they_were_put(server: Server) {
    let stream = server.stream::<Packed>("packed", 1).await;
    let sent = Packed {
        id: 7,
        text: "é".repeat(300),
    };
    stream.put(&sent).await.expect("a receipt");
    let back = to_the_tip(&stream, StartAt::TrimHorizon).await;
    assert_eq!(back[0].data, sent);
    assert_eq!(back[0].partition_key, "7");
}

pub(crate) async fn results_of_many_are_in_input_order(server: Server) {
    let stream = server.stream::<Reading>("readings", 3).await;
    let sent: Vec<_> = (0..count_for(&server, 1_201))
        .map(|count| reading(&format!("device-{}", count % 17), count))
        .collect();
    let receipts = stream.put_all(&sent).await.ok().expect("receipts");
    let receipts: Vec<_> = receipts.iter().map(Receipt::position).collect();

    let back = to_the_tip(&stream, StartAt::TrimHorizon).await;
    assert_eq!(back.len(), sent.len());
    for record in back {
        let index = record.data.count as usize;
        assert_eq!(record.data, sent[index]);
        assert_eq!(record.position(), &receipts[index]);
    }
}

pub(crate) async fn a_failed_record_comes_back_and_the_others_are_stored(server: Server) {
    let stream = server.stream::<Reading>("readings", 1).await;
    let sent = [
        reading("attic", 1),
        reading("", 2),
        reading(&"x".repeat(257), 3),
        reading("attic", 4),
    ];
    let results = stream.put_all(sent.clone()).await;
    assert!(results[0].is_ok() && results[3].is_ok());
    for (result, sent) in results.into_iter().zip(sent).skip(1).take(2) {
        let failure = result.expect_err("a bad key");
        assert_eq!(failure.record, sent);
        let text = failure.error.to_string();
        assert!(
            !failure.error.may_have_been_stored() && !text.contains('\n'),
            "{text}"
        );
    }

    let raw = same_stream::<_, EncodedRecord>(&stream);
    let key = PartitionKey::new("k").expect("a key");
    let too_large = EncodedRecord::new(key, Bytes::from(vec![b'x'; 1024 * 1024]));
    let error = raw
        .put(&too_large)
        .await
        .expect_err("1 MiB + 1 byte with the key");
    assert!(matches!(error, PutError::TooLarge { .. }), "{error:?}");
    assert_eq!(to_the_tip(&stream, StartAt::TrimHorizon).await.len(), 2);
}

pub(crate) async fn concurrent_puts_are_stored_once_each(server: Server) {
    const TASKS: u32 = 64;
    let puts_each = count_for(&server, 50);
    let stream = server.stream::<Reading>("readings", 4).await;
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let stream = stream.clone();
            tokio::spawn(async move {
                let mut positions = Vec::new();
                for put in 0..puts_each {
                    let receipt = stream.put(&reading(&format!("task-{task}"), put)).await;
                    positions.push(receipt.expect("a receipt").position());
                }
                positions
            })
        })
        .collect();
    let mut positions = HashSet::new();
    for task in tasks {
        positions.extend(task.await.expect("no task panics"));
    }
    assert_eq!(positions.len(), (TASKS * puts_each) as usize);

    let back = to_the_tip(&stream, StartAt::TrimHorizon).await;
    let read: HashSet<_> = back
        .iter()
        .map(|record| record.position().clone())
        .collect();
    assert_eq!(back.len(), positions.len());
    assert_eq!(read, positions);
    for task in 0..TASKS {
        let device = format!("task-{task}");
        let puts = back.iter().filter(|record| record.data.device == device);
        assert!(
            puts.map(|record| record.data.count).eq(0..puts_each),
            "{device}"
        );
    }
}

pub(crate) async fn an_unknown_stream_is_named(server: Server) {
    let stream = KinesisStream::<Reading>::with_client(server.client(), "nowhere");
    let put = stream
        .put(&reading("attic", 1))
        .await
        .expect_err("no such stream");
    assert!(put.to_string().contains("nowhere"), "{put}");
    assert!(!put.is_retryable() && !put.may_have_been_stored());
    let get = stream.iter_from_latest().await.expect_err("no such stream");
    assert!(get.to_string().contains("nowhere"), "{get}");
}
