use std::{error::Error, future::Future, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tokio::{sync::watch, time::Instant};

use crate::{
    GetError,
    fleet::{
        dead_letters::BoxError,
        worker::{
            Checkpointer, WorkerError, batch::BatchOrigin, hold::Hold, lease_keys::LeaseKeys,
            observe::StreamObserver, read_times::ReadTimes, settings::Settings,
            throughput::ProcessedBytes,
        },
    },
    get::Progress,
    service::backoff::jittered,
    shard::ShardId,
    target::Target,
};

/// The first pause before a failed call of the processor, the reader or a listing is repeated. It doubles each time.
pub(super) const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// The polling interval while records wait for their ack.
pub(super) const UNACKED_LOOK: Duration = Duration::from_millis(100);

/// The reason why the work on a shard has halted.
pub(super) enum Halt {
    Lost,
    /// The worker stops, or hands the lease over.
    Leave,
    Ended,
    Failed(WorkerError),
}

/// The context of the work on a shard, for its driver and its lanes. Cheap to clone.
#[derive(Clone)]
pub(in crate::fleet::worker) struct ShardContext {
    pub(in crate::fleet::worker) target: Target,
    pub(in crate::fleet::worker) keys: LeaseKeys,
    /// The key of the lease.
    pub(in crate::fleet::worker) key: ShardId,
    pub(in crate::fleet::worker) settings: Arc<Settings>,
    pub(in crate::fleet::worker) shard_id: ShardId,
    pub(in crate::fleet::worker) origin: Arc<BatchOrigin>,
    pub(in crate::fleet::worker) hold: Hold,
    pub(in crate::fleet::worker) observer: StreamObserver,
    pub(in crate::fleet::worker) progress: Arc<Progress>,
    pub(in crate::fleet::worker) processed: ProcessedBytes,
    pub(in crate::fleet::worker) read_times: ReadTimes,
    pub(in crate::fleet::worker) checkpointer: Checkpointer,
    pub(in crate::fleet::worker) stop: watch::Receiver<bool>,
}

impl ShardContext {
    pub(super) fn now(&self) -> Instant {
        self.target.clock.instant()
    }

    pub(super) fn failed(&self, source: GetError) -> Halt {
        Halt::Failed(WorkerError::Read {
            stream: self.target.stream.clone(),
            source,
        })
    }

    pub(super) fn processor_failed(&self, source: BoxError) -> Halt {
        Halt::Failed(WorkerError::Processor {
            stream: self.target.stream.clone(),
            shard: self.shard_id.clone(),
            source,
        })
    }

    pub(super) fn warn(&self, error: &dyn Error, what: &'static str) {
        let (stream, shard) = (&self.target.stream, &self.shard_id);
        let cause = error.source().map(tracing::field::display);
        tracing::warn!(%stream, %shard, %error, cause, "cannot {what}; trying again");
    }

    /// Drops the lease: a store of the processor shows that another worker has the shard.
    pub(super) fn fenced(&self, error: &dyn Error) -> Halt {
        let (stream, shard) = (&self.target.stream, &self.shard_id);
        let cause = error.source().map(tracing::field::display);
        tracing::warn!(%stream, %shard, %error, cause, "the lease is dropped");
        self.hold.lose();
        Halt::Lost
    }

    /// Waits until the worker has to leave the shard: it stops, or another worker asks for the lease.
    pub(super) async fn leaves(&self) {
        let (hold, mut stop) = (self.hold.clone(), self.stop.clone());
        let stopped = async {
            if stop.wait_for(|stop| *stop).await.is_err() {
                // The coordinator is gone, so this task is being aborted.
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = stopped => {}
            () = hold.wanted() => {}
        }
    }

    /// Waits for `time`. Returns an error if the worker has to leave the shard before.
    pub(super) async fn pause(&self, time: Duration) -> Result<(), Halt> {
        tokio::select! {
            biased;
            () = self.leaves() => Err(Halt::Leave),
            () = tokio::time::sleep(time) => Ok(()),
        }
    }

    /// Waits before the next try, twice as long each time. Returns an error if the worker has to leave the shard
    /// before.
    pub(super) async fn rest(&self, pause: &mut Duration) -> Result<(), Halt> {
        let time = jittered(*pause, fastrand::f64());
        *pause = (*pause * 2).min(PAUSE_MAX);
        self.pause(time).await
    }
}

/// Runs a call of the processor, with panics as errors. The call is an async block, so that a panic before its first
/// `await` is caught too.
pub(super) async fn guarded<T>(
    call: impl Future<Output = Result<T, BoxError>>,
) -> Result<T, BoxError> {
    match AssertUnwindSafe(call).catch_unwind().await {
        Ok(result) => result,
        Err(panic) => Err(panic_text(&*panic).into()),
    }
}

/// Returns the message of a panic.
pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panic: {}", text.unwrap_or_default())
}
