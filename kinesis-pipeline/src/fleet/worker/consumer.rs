use std::{future::Future, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use tokio::sync::watch;

use super::{
    BoxError, Checkpointer, CheckpointerError, Processor, ShardStart, WorkerError,
    coordinator::stopped,
    decode::{after, begin_at},
    gather::{Gather, Gathered},
    hold::Hold,
    renewer::Order,
    settings::Settings,
};
use crate::{
    GetError, KinesisRecord,
    fleet::lease::{Lease, LeaseStore},
    get::{Begin, Progress, RawShardReader, SingleShard},
    service::backoff::jittered,
    shard::ShardId,
    target::Target,
};

/// The first pause before a failed call of the processor, the reader or a listing is made again; it doubles.
pub(super) const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// How often a shard with records that wait for their ack is looked at again.
pub(super) const UNACKED_LOOK: Duration = Duration::from_millis(100);

/// How the work on a shard ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// All of the shard is finished.
    Ended,
    /// Another worker has the lease.
    Lost,
    /// The lease was given back, or on to the worker that asked for it.
    Released,
    Failed(WorkerError),
}

/// The work on one shard: reads it, hands batches to the processor, and notes what is finished.
pub(super) struct ShardConsumer<P> {
    pub(super) processor: P,
    pub(super) target: Target,
    pub(super) store: Arc<dyn LeaseStore>,
    pub(super) settings: Arc<Settings>,
    pub(super) consumer_arn: Option<Arc<str>>,
    pub(super) lease: Lease,
    pub(super) hold: Hold,
    pub(super) progress: Arc<Progress>,
    pub(super) checkpointer: Checkpointer,
    pub(super) stop: watch::Receiver<bool>,
}

/// Why the work goes no further.
pub(super) enum Halt {
    Lost,
    /// The worker stops, or hands the lease over.
    Leave,
    Ended,
    Failed(WorkerError),
}

impl From<CheckpointerError> for Halt {
    fn from(_: CheckpointerError) -> Self {
        Self::Lost
    }
}

impl<R, P> ShardConsumer<P>
where
    R: KinesisRecord + Send,
    P: Processor<Record = R>,
{
    /// Works until the shard ends, the lease is lost, or the worker leaves.
    pub(super) async fn run(mut self) -> Outcome {
        let outcome = self.run_to_outcome().await;
        // Checkpointers may outlive it.
        self.hold.lose();
        outcome
    }

    async fn run_to_outcome(&mut self) -> Outcome {
        let hold = self.hold.clone();
        let halt = tokio::select! {
            biased;
            () = hold.lost() => Halt::Lost,
            halt = self.work() => halt,
        };
        match halt {
            Halt::Lost => self.lose().await,
            Halt::Ended => Outcome::Ended,
            Halt::Leave | Halt::Failed(_) => {
                let left = tokio::select! {
                    biased;
                    () = hold.lost() => Err(CheckpointerError::LeaseLost {
                        shard: self.lease.shard_id.clone(),
                    }),
                    left = self.leave(matches!(halt, Halt::Leave)) => left,
                };
                match (halt, left) {
                    (Halt::Failed(error), _) => Outcome::Failed(error),
                    (_, Ok(())) => Outcome::Released,
                    (_, Err(_)) => self.lose().await,
                }
            }
        }
    }

    async fn lose(&mut self) -> Outcome {
        let _ = guarded(async {
            self.processor.lease_lost().await;
            Ok(())
        })
        .await;
        Outcome::Lost
    }

    async fn work(&mut self) -> Halt {
        let start = ShardStart {
            shard_id: self.lease.shard_id.clone(),
            checkpoint: self.lease.checkpoint.clone(),
            pending: self.lease.pending.clone(),
        };
        let mut pause = PAUSE_MIN;
        while let Err(error) =
            guarded(async { self.processor.initialize(&start, &self.checkpointer).await }).await
        {
            self.warn(&*error, "initialize");
            if self.rest(&mut pause).await {
                return Halt::Leave;
            }
        }
        match self.read().await {
            Ok(()) => Halt::Ended,
            Err(halt) => halt,
        }
    }

    /// Reads to the shard's end, again from the last record after an error that may pass.
    async fn read(&mut self) -> Result<(), Halt> {
        let mut begin = begin_at(&self.lease);
        let mut pause = PAUSE_MIN;
        loop {
            let mut reader = self.open(begin.clone());
            let mut gather = Gather::new(self.settings.batch, self.target.clock.clone());
            let error = loop {
                let leaves = leaves(self.hold.clone(), self.stop.clone());
                let gathered = tokio::select! {
                    biased;
                    () = leaves => return Err(Halt::Leave),
                    gathered = gather.next(&mut reader) => gathered,
                };
                match gathered {
                    Gathered::Batch(batch) => {
                        pause = PAUSE_MIN;
                        if let Some(last) = batch.records.last() {
                            begin = after(&last.position);
                        }
                        self.process(batch).await?;
                    }
                    Gathered::End => return self.end().await,
                    Gathered::Failed(error) => break error,
                }
            };
            drop(reader);
            if !error.is_retryable() {
                return Err(self.failed(error));
            }
            self.warn(&error, "read");
            if self.rest(&mut pause).await {
                return Err(Halt::Leave);
            }
        }
    }

    fn open(&self, begin: Begin) -> RawShardReader {
        RawShardReader::open(SingleShard {
            target: self.target.clone(),
            shard_id: self.lease.shard_id.clone(),
            range: self.lease.hash_key_range,
            begin,
            options: self.settings.reader.clone(),
            consumer_arn: self.consumer_arn.clone(),
        })
    }

    pub(super) fn failed(&self, source: GetError) -> Halt {
        Halt::Failed(WorkerError::Read {
            stream: self.target.stream.clone(),
            source,
        })
    }

    /// Lets the processor come to a point, saves what is finished, and gives the lease back or on.
    async fn leave(&mut self, is_asked: bool) -> Result<(), CheckpointerError> {
        if is_asked {
            let requested = async { self.processor.shutdown_requested(&self.checkpointer).await };
            if let Err(error) = guarded(requested).await {
                self.warn(&*error, "shutdown_requested");
            }
        }
        self.checkpointer
            .order(|reply| Order::Release { reply })
            .await
    }

    pub(super) fn warn(&self, error: &dyn std::error::Error, what: &'static str) {
        let (stream, shard) = (&self.target.stream, &self.lease.shard_id);
        tracing::warn!(%stream, %shard, %error, "cannot {what}; trying again");
    }

    /// Waits before the next try. Returns whether the worker is to leave the shard instead.
    pub(super) async fn rest(&mut self, pause: &mut Duration) -> bool {
        let time = jittered(*pause, fastrand::f64());
        *pause = (*pause * 2).min(PAUSE_MAX);
        tokio::select! {
            biased;
            () = leaves(self.hold.clone(), self.stop.clone()) => true,
            () = tokio::time::sleep(time) => false,
        }
    }
}

/// Waits until the worker is to leave the shard: it stops, or another one asks for the lease.
pub(super) async fn leaves(hold: Hold, stop: watch::Receiver<bool>) {
    tokio::select! {
        () = stopped(stop) => {}
        () = hold.wanted() => {}
    }
}

/// Runs a call of the processor, given as an async block so that a panic before its first `await` is caught too. A
/// panic is an error.
pub(super) async fn guarded<T>(
    call: impl Future<Output = Result<T, BoxError>>,
) -> Result<T, BoxError> {
    match AssertUnwindSafe(call).catch_unwind().await {
        Ok(result) => result,
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(ToString::to_string);
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            Err(format!("panic: {}", text.unwrap_or_default()).into())
        }
    }
}

/// The shard's id is all that a lease needs to be told apart.
impl<P> std::fmt::Debug for ShardConsumer<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let id: &ShardId = &self.lease.shard_id;
        f.debug_tuple("ShardConsumer").field(id).finish()
    }
}
