//! The memory of records that wait in lanes.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::{Bytes, BytesMut};

use super::basics::{APP, stream_of};
use crate::{
    Batch, BoxError, DecodeError, EncodeError, EncodedRecord, KeyError, KinesisRecord,
    KinesisStream, MemoryLeases, PartitionKey, StartAt, record::EncodeContext,
};

/// A record that is its key, and notes at its decoding whether its bytes had memory of their own.
struct Waiting {
    key: PartitionKey,
    is_owned: bool,
}

impl KinesisRecord for Waiting {
    fn partition_key(&self) -> Result<PartitionKey, KeyError> {
        Ok(self.key.clone())
    }

    fn encode(&self, _: &EncodeContext, out: &mut BytesMut) -> Result<(), EncodeError> {
        out.extend_from_slice(self.key.as_bytes());
        Ok(())
    }

    fn decode(stored: &EncodedRecord) -> Result<Self, DecodeError> {
        Ok(Self {
            key: stored.partition_key.clone(),
            is_owned: stored.data.is_unique(),
        })
    }
}

async fn put(stream: &KinesisStream<Waiting>, key: &str) {
    let key = PartitionKey::new(key).unwrap();
    let data = Bytes::copy_from_slice(key.as_bytes());
    let raw = stream.with_record_type::<EncodedRecord>();
    raw.put(&EncodedRecord::new(key, data)).await.unwrap();
}

/// Bytes from the embedded Kinesis share memory with those in its store.
#[tokio::test(start_paused = true)]
async fn a_record_that_waits_behind_another_has_memory_of_its_own_and_one_that_need_not_is_not_copied()
 {
    let stream: KinesisStream<Waiting> = stream_of(1).await;
    let worker = stream
        .worker(APP)
        .leases(MemoryLeases::new())
        .concurrency(2);
    let worker = worker.start(StartAt::TrimHorizon).build().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let run = tokio::spawn(worker.run_batches(move |batch: Batch<Waiting>| {
        let log = log.clone();
        async move {
            for record in &batch {
                let key = record.data.key.to_string();
                log.lock().unwrap().push((key, record.data.is_owned));
            }
            tokio::time::sleep(Duration::from_mins(1)).await;
            Ok::<_, BoxError>(())
        }
    }));
    for key in ["stuck", "stuck", "stuck", "free"] {
        put(&stream, key).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    tokio::time::sleep(Duration::from_mins(2)).await;
    run.abort();
    let expected = [
        ("stuck", false),
        ("free", false),
        ("stuck", true),
        ("stuck", true),
    ];
    let seen = seen.lock().unwrap();
    let seen: Vec<_> = seen
        .iter()
        .map(|(key, is_owned)| (&key[..], *is_owned))
        .collect();
    assert_eq!(seen, expected);
}
