//! A worker that the system tells to stop.

use std::{
    process::Command,
    sync::{Arc, Mutex},
};

use bytes::Bytes;

use super::basics::{APP, stream_of};
use crate::{
    Batch, BoxError, Checkpointer, LeaseCheckpoint, LeaseStore as _, MemoryLeases, Processor,
    ShardId, StartAt,
};

struct Noting(Arc<Mutex<usize>>);

impl Processor for Noting {
    type Record = Bytes;

    async fn process(&mut self, batch: Batch<Bytes>, _: &Checkpointer) -> Result<(), BoxError> {
        *self.0.lock().unwrap() += batch.records.len();
        Ok(())
    }
}

#[tokio::test]
async fn a_worker_that_is_told_to_terminate_saves_its_progress_and_gives_its_leases_back() {
    let stream = stream_of::<Bytes>(1).await;
    let receipt = stream.put(&Bytes::from("1")).await.unwrap();
    let (store, noted) = (MemoryLeases::new(), Arc::new(Mutex::new(0)));
    let worker = stream.worker(APP).leases(store.clone());
    let worker = worker.start(StartAt::TrimHorizon).build().unwrap();
    let kept = noted.clone();
    let run = tokio::spawn(worker.run_until_stopped(move |_: &ShardId| Noting(kept.clone())));
    while *noted.lock().unwrap() == 0 {
        tokio::task::yield_now().await;
    }
    let pid = std::process::id().to_string();
    let killed = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
    assert!(killed.success());
    let report = run.await.unwrap().unwrap();
    assert_eq!((report.released.len(), report.abandoned.len()), (1, 0));
    let lease = store.list(APP).await.unwrap().remove(0);
    let expected = (None, LeaseCheckpoint::after(&receipt.position()));
    assert_eq!((lease.owner, lease.checkpoint), expected);
}
