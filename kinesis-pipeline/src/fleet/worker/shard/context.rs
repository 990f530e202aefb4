use std::{error::Error, future::Future, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tokio::{sync::watch, time::Instant};

use crate::{
    GetError,
    fleet::{
        dead_letters::BoxError,
        worker::{
            Checkpointer, WorkerError, hold::Hold, observe::Observer, settings::Settings,
            throughput::ProcessedBytes,
        },
    },
    get::Progress,
    service::backoff::jittered,
    shard::ShardId,
    target::Target,
};

/// The first pause before a failed call of the processor, the reader or a listing is made again; it doubles.
pub(super) const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// The pause between looks at a shard with records that wait for their ack.
pub(super) const UNACKED_LOOK: Duration = Duration::from_millis(100);

/// The reason why the work goes no further.
pub(super) enum Halt {
    Lost,
    /// The worker stops, or hands the lease over.
    Leave,
    Ended,
    Failed(WorkerError),
}

/// A shard that is worked on, for its driver and its lanes. Cheap to clone.
#[derive(Clone)]
pub(in crate::fleet::worker) struct ShardContext {
    pub(in crate::fleet::worker) target: Target,
    pub(in crate::fleet::worker) settings: Arc<Settings>,
    pub(in crate::fleet::worker) shard_id: ShardId,
    pub(in crate::fleet::worker) hold: Hold,
    pub(in crate::fleet::worker) observer: Observer,
    pub(in crate::fleet::worker) progress: Arc<Progress>,
    pub(in crate::fleet::worker) processed: ProcessedBytes,
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

    pub(super) fn warn(&self, error: &dyn Error, what: &'static str) {
        let (stream, shard) = (&self.target.stream, &self.shard_id);
        let cause = error.source().map(tracing::field::display);
        tracing::warn!(%stream, %shard, %error, cause, "cannot {what}; trying again");
    }

    /// Notes that a store of the processor's shows another worker at work on the shard: the lease is dropped.
    pub(super) fn fenced(&self, error: &dyn Error) -> Halt {
        let (stream, shard) = (&self.target.stream, &self.shard_id);
        let cause = error.source().map(tracing::field::display);
        tracing::warn!(%stream, %shard, %error, cause, "the lease is dropped");
        self.hold.lose();
        Halt::Lost
    }

    /// Waits until the worker is to leave the shard: it stops, or another one asks for the lease.
    pub(super) async fn leaves(&self) {
        let (hold, mut stop) = (self.hold.clone(), self.stop.clone());
        let stopped = async {
            if stop.wait_for(|stop| *stop).await.is_err() {
                // The coordinator is gone, and this task is being aborted.
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = stopped => {}
            () = hold.wanted() => {}
        }
    }

    /// Waits for so long. An error if the worker is to leave the shard instead.
    pub(super) async fn pause(&self, time: Duration) -> Result<(), Halt> {
        tokio::select! {
            biased;
            () = self.leaves() => Err(Halt::Leave),
            () = tokio::time::sleep(time) => Ok(()),
        }
    }

    /// Waits before the next try, twice as long each time. An error if the worker is to leave the shard instead.
    pub(super) async fn rest(&self, pause: &mut Duration) -> Result<(), Halt> {
        let time = jittered(*pause, fastrand::f64());
        *pause = (*pause * 2).min(PAUSE_MAX);
        self.pause(time).await
    }
}

/// Runs a call of the processor, given as an async block so that a panic before its first `await` is caught too. A
/// panic is an error.
pub(super) async fn guarded<T>(
    call: impl Future<Output = Result<T, BoxError>>,
) -> Result<T, BoxError> {
    match AssertUnwindSafe(call).catch_unwind().await {
        Ok(result) => result,
        Err(panic) => Err(panic_text(&*panic).into()),
    }
}

/// Returns a panic as the text of an error.
pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    format!("panic: {}", text.unwrap_or_default())
}
