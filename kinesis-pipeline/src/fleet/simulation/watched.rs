use std::sync::{Arc, OnceLock};

use tokio::sync::watch;

use super::{history::Given, world::World};
use crate::{
    Batch, BoxError, Checkpointer, Processor, ShardId, ShardStart, fleet::lease::WorkerId,
};

/// A wrapper of a processor that reports its batches to the checker.
pub(super) struct Watched<P> {
    pub(super) inner: P,
    pub(super) world: Arc<World>,
    pub(super) worker: WorkerId,
    pub(super) shard_id: ShardId,
    /// The key of its lease. Set when the processor is initialized, as the shard's stream is known then.
    pub(super) key: Arc<OnceLock<ShardId>>,
    /// Whether the worker is paused.
    pub(super) paused: watch::Receiver<bool>,
    pub(super) finishes: bool,
    pub(super) has_lanes: bool,
}

impl<P> Drop for Watched<P> {
    fn drop(&mut self) {
        if let Some(key) = self.key.get() {
            self.world.on_processor_gone(&self.worker, key);
        }
    }
}

impl<P> Watched<P> {
    async fn pass(&mut self) {
        // An error means that the worker's handle is gone: such a worker is not paused.
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
        // An initialization that failed comes again; only the first one is noted.
        if self.key.get().is_none() {
            let key = self.world.key(&start.stream, &self.shard_id);
            let token = (!self.has_lanes).then_some(checkpointer.token().counter);
            self.world.on_processor(&self.worker, &key, token);
            self.key.get_or_init(|| key);
        }
        self.inner.initialize(start, checkpointer).await
    }

    async fn process(
        &mut self,
        batch: Batch<P::Record>,
        checkpointer: &Checkpointer,
    ) -> Result<(), BoxError> {
        let Some(key) = self.key.get() else {
            return Err("a batch before the processor was initialized".into());
        };
        let records = batch.iter();
        let records: Vec<_> = records
            .map(|record| (record.position().clone(), record.partition_key.clone()))
            .collect();
        let given = Given {
            worker: &self.worker,
            shard_id: key,
            records: &records,
            attempt: batch.attempt,
            has_lanes: self.has_lanes,
        };
        self.world.begin(given);
        self.inner.process(batch, checkpointer).await?;
        self.pass().await;
        if self.finishes {
            let positions: Vec<_> = records.iter().map(|(position, _)| position).collect();
            self.world.finish(self.key.get(), &positions);
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
