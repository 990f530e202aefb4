use tokio::time::Instant;

use super::context::{Halt, PAUSE_MIN, ShardContext, guarded};
use crate::{
    KinesisRecord,
    fleet::{
        dead_letters::BoxError,
        worker::{Processor, ProcessorError, ShardStart, policy::RetryDecision},
    },
};

/// A lane: one processor, with its calls one after the other. Panics count as errors, and failed calls are retried.
pub(super) struct Lane<P> {
    pub(super) processor: P,
    pub(super) shard: ShardContext,
}

impl<R, P> Lane<P>
where
    R: KinesisRecord + Send,
    P: Processor<Record = R>,
{
    pub(super) async fn initialize(&mut self, start: &ShardStart) -> Result<(), Halt> {
        let mut pause = PAUSE_MIN;
        let (begun, mut repairs) = (self.shard.now(), 0);
        // While the processor fails to begin, the shard counts as having a batch at work, so that it becomes stalled.
        let mut stalled = None;
        loop {
            let (processor, checkpointer) = (&mut self.processor, &self.shard.checkpointer);
            match guarded(async { processor.initialize(start, checkpointer).await }).await {
                Ok(()) => return self.allow_position(),
                Err(error) if is_lease_lost(&error) => return Err(self.shard.fenced(&*error)),
                Err(error) if ProcessorError::is_repair(&error) => {
                    self.shard.warn(&*error, "initialize");
                    repairs += 1;
                    self.count_repair(repairs, begun, error)?;
                }
                Err(error) => self.shard.warn(&*error, "initialize"),
            }
            let (observer, key) = (&self.shard.observer, &self.shard.key);
            stalled.get_or_insert_with(|| observer.on_batch(key, None));
            self.shard.rest(&mut pause).await?;
        }
    }

    /// Counts an error that a person must repair. Returns an error when the policy's tries are spent.
    fn count_repair(&self, failures: u32, begun: Instant, error: BoxError) -> Result<(), Halt> {
        let shard = &self.shard;
        shard.observer.on_failure(&shard.key, failures, &error);
        let age = shard.now() - begun;
        match shard.settings.on_error.judge(failures, age, 0.0) {
            RetryDecision::GiveUp => Err(self.shard.processor_failed(error)),
            RetryDecision::Again(_) => Ok(()),
        }
    }

    /// Refuses a position of the processor if several lanes share the shard: it would be valid for one lane only.
    fn allow_position(&self) -> Result<(), Halt> {
        if self.shard.settings.lanes > 1 && self.processor.start_after().is_some() {
            let source = "a processor with a position of its own needs a concurrency of 1".into();
            return Err(self.shard.processor_failed(source));
        }
        Ok(())
    }

    pub(super) async fn shard_ended(&mut self) -> Result<(), Halt> {
        let mut pause = PAUSE_MIN;
        loop {
            let (processor, checkpointer) = (&mut self.processor, &self.shard.checkpointer);
            match guarded(async { processor.shard_ended(checkpointer).await }).await {
                Ok(()) => return Ok(()),
                Err(error) if is_lease_lost(&error) => return Err(self.shard.fenced(&*error)),
                Err(error) => self.shard.warn(&*error, "shard_ended"),
            }
            self.shard.rest(&mut pause).await?;
        }
    }

    /// Calls the processor's `shutdown_requested`. An error is only logged, as the call is not repeated.
    pub(super) async fn shutdown_requested(&mut self) {
        let (processor, checkpointer) = (&mut self.processor, &self.shard.checkpointer);
        let requested = async { processor.shutdown_requested(checkpointer).await };
        if let Err(error) = guarded(requested).await {
            let shard = &self.shard.shard_id;
            tracing::warn!(%shard, %error, "the processor failed to shut down");
        }
    }

    pub(super) async fn lease_lost(&mut self) {
        let lost = async {
            self.processor.lease_lost().await;
            Ok(())
        };
        if let Err(error) = guarded(lost).await {
            let shard = &self.shard.shard_id;
            tracing::warn!(%shard, %error, "the processor failed at the loss of its lease");
        }
    }
}

fn is_lease_lost(error: &BoxError) -> bool {
    matches!(error.downcast_ref(), Some(ProcessorError::LeaseLost { .. }))
}
