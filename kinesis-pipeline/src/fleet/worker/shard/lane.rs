use super::context::{Halt, PAUSE_MIN, ShardContext, guarded};
use crate::{
    KinesisRecord,
    fleet::worker::{Processor, ShardStart},
};

/// One processor and its calls, one after the other. Panics are errors, and errors are tried again.
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
        loop {
            let (processor, checkpointer) = (&mut self.processor, &self.shard.checkpointer);
            match guarded(async { processor.initialize(start, checkpointer).await }).await {
                Ok(()) => return Ok(()),
                Err(error) => self.shard.warn(&*error, "initialize"),
            }
            self.shard.rest(&mut pause).await?;
        }
    }

    pub(super) async fn shard_ended(&mut self) -> Result<(), Halt> {
        let mut pause = PAUSE_MIN;
        loop {
            let (processor, checkpointer) = (&mut self.processor, &self.shard.checkpointer);
            match guarded(async { processor.shard_ended(checkpointer).await }).await {
                Ok(()) => return Ok(()),
                Err(error) => self.shard.warn(&*error, "shard_ended"),
            }
            self.shard.rest(&mut pause).await?;
        }
    }

    /// Lets the processor come to a point. An error is told in the log: there is no later try.
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
