use std::sync::Arc;

use tokio::sync::watch;

use super::{history::Given, world::World};
use crate::{
    Batch, BoxError, Checkpointer, Processor, ShardId, ShardStart, fleet::lease::WorkerId,
};

/// A processor whose batches are told to the checker.
pub(super) struct Watched<P> {
    pub(super) inner: P,
    pub(super) world: Arc<World>,
    pub(super) worker: WorkerId,
    pub(super) shard_id: ShardId,
    /// Whether the worker stands still.
    pub(super) paused: watch::Receiver<bool>,
    pub(super) finishes: bool,
    pub(super) has_lanes: bool,
}

impl<P> Drop for Watched<P> {
    fn drop(&mut self) {
        self.world.on_processor(&self.worker, &self.shard_id, false);
    }
}

impl<P> Watched<P> {
    async fn pass(&mut self) {
        // A worker whose handle is gone does not stand still.
        let _ = self.paused.wait_for(|paused| !paused).await;
    }
}

impl<P: Processor> Processor for Watched<P>
where
    P::Record: Send,
{
    type Record = P::Record;

    async fn initialize(
        &mut self,
        start: &ShardStart,
        checkpointer: &Checkpointer,
    ) -> Result<(), BoxError> {
        self.inner.initialize(start, checkpointer).await
    }

    async fn process(
        &mut self,
        batch: Batch<P::Record>,
        checkpointer: &Checkpointer,
    ) -> Result<(), BoxError> {
        let records = batch.iter();
        let records: Vec<_> = records
            .map(|record| (record.position().clone(), record.partition_key.clone()))
            .collect();
        let given = Given {
            worker: &self.worker,
            shard_id: &self.shard_id,
            token: checkpointer.token().counter,
            records: &records,
            attempt: batch.attempt,
            has_lanes: self.has_lanes,
        };
        self.world.begin(given);
        self.inner.process(batch, checkpointer).await?;
        self.pass().await;
        if self.finishes {
            let positions: Vec<_> = records.iter().map(|(position, _)| position).collect();
            self.world.finish(&positions);
        }
        Ok(())
    }

    async fn shard_ended(&mut self, checkpointer: &Checkpointer) -> Result<(), BoxError> {
        self.pass().await;
        self.inner.shard_ended(checkpointer).await
    }

    async fn lease_lost(&mut self) {
        self.inner.lease_lost().await;
    }

    async fn shutdown_requested(&mut self, checkpointer: &Checkpointer) -> Result<(), BoxError> {
        self.inner.shutdown_requested(checkpointer).await
    }
}
