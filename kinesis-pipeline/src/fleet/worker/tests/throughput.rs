//! Tests of a shard's throughput, which a worker writes with its lease.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;

use super::basics::{APP, stream_of};
use crate::{
    Batch, Lease, LeaseFuture, LeaseStore, LeaseWrite, LeaseWritten, MemoryLeases, StartAt,
};

/// A store that notes the throughput of each write.
#[derive(Clone, Debug, Default)]
struct Recorded {
    store: MemoryLeases,
    throughputs: Arc<Mutex<Vec<u64>>>,
}

impl LeaseStore for Recorded {
    fn list<'a>(&'a self, app: &'a str) -> LeaseFuture<'a, Vec<Lease>> {
        self.store.list(app)
    }

    fn write<'a>(&'a self, app: &'a str, write: LeaseWrite) -> LeaseFuture<'a, LeaseWritten> {
        self.throughputs
            .lock()
            .unwrap()
            .extend(write.bytes_per_second);
        self.store.write(app, write)
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_written_with_the_bytes_a_second_that_were_processed_of_late() {
    let (stream, store) = (stream_of::<Bytes>(1).await, Recorded::default());
    let builder = stream.worker(APP).leases(store.clone());
    let worker = builder.start(StartAt::TrimHorizon).build().unwrap();
    let handle = worker.handle();
    let run = tokio::spawn(worker.run_batches(async |_: Batch<Bytes>| Ok(())));
    for _ in 0..120 {
        stream.put(&Bytes::from(vec![b'x'; 10_000])).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let busy = store.throughputs.lock().unwrap().last().copied();
    assert!(
        busy.is_some_and(|bytes| (8_000..12_000).contains(&bytes)),
        "{busy:?}"
    );
    tokio::time::sleep(Duration::from_mins(5)).await;
    let idle = store.throughputs.lock().unwrap().last().copied();
    assert_eq!(idle, Some(0));
    handle.stop();
    run.await.unwrap().unwrap();
}
