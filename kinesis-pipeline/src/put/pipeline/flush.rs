//! The flush and the close of a pipeline.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{sync::oneshot, time::sleep};

use super::pipeline::Pipeline;
use crate::put::{
    error::FlushError,
    scheduler::scheduler::{Arrival, Barrier},
};

/// The time after which a close looks again that met a put on another thread. The put needs only a few instructions
/// more.
const ENTERED_AGAIN_AFTER: Duration = Duration::from_millis(1);
/// The result of a flush.
struct Flushed {
    /// The number of records that had been taken from the queue before.
    taken: u64,
    /// The number of records among them that were not stored.
    failed: u64,
}

impl Pipeline {
    /// Closes the pipeline for new records, and waits until the accepted ones have their results.
    pub(in crate::put) async fn close(self: &Arc<Self>) -> Result<(), FlushError> {
        self.closed.store(true, Ordering::SeqCst);
        let mut failed = 0;
        loop {
            let awaited = self.shared.counters.accepted();
            let flushed = self.flush_taken().await?;
            failed += flushed.failed;
            if flushed.taken >= awaited {
                return self.flushed(failed);
            }
            // A put on another thread has entered and its record is not in the queue yet: see `enter`.
            sleep(ENTERED_AGAIN_AFTER).await;
        }
    }

    /// Waits until all records that were accepted before the call have their results.
    pub(in crate::put) async fn flush(self: &Arc<Self>) -> Result<(), FlushError> {
        let flushed = self.flush_taken().await?;
        self.flushed(flushed.failed)
    }

    async fn flush_taken(self: &Arc<Self>) -> Result<Flushed, FlushError> {
        let stream = || self.shared.target.stream.clone();
        if self.has_runtime().is_err() {
            return Err(FlushError::NoRuntime { stream: stream() });
        }
        let (reply, barrier) = oneshot::channel();
        self.arrive(Arrival::Flush(reply));
        // The reply is dropped if the scheduler is lost, since a driver panicked.
        let barrier = barrier.await;
        let Barrier { taken, ends } = barrier.map_err(|_| FlushError::Gone { stream: stream() })?;
        let mut failed = 0;
        for end in ends {
            failed += end.ended().await;
        }
        Ok(Flushed { taken, failed })
    }

    fn flushed(&self, failed: u64) -> Result<(), FlushError> {
        if failed == 0 {
            return Ok(());
        }
        Err(FlushError::NotStored {
            stream: self.shared.target.stream.clone(),
            records: failed,
        })
    }
}
