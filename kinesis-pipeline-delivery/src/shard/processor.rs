use std::sync::Arc;

use kinesis_pipeline::{Batch, BoxError, Checkpointer, EncodedRecord, Processor, ShardStart};

use super::{
    ledger::Ledger,
    task::{ShardTask, Shared},
};

/// The delivery of one shard as a fleet's worker runs it.
pub(crate) struct ShardProcessor {
    shared: Arc<Shared>,
    task: Option<ShardTask>,
}

impl ShardProcessor {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, task: None }
    }

    fn task(&self) -> Result<&ShardTask, BoxError> {
        let task = self.task.as_ref();
        task.ok_or_else(|| "the worker gave records before it initialized the processor".into())
    }
}

impl Processor for ShardProcessor {
    type Record = EncodedRecord;

    async fn initialize(
        &mut self,
        start: &ShardStart,
        checkpointer: &Checkpointer,
    ) -> Result<(), BoxError> {
        let ledger = Ledger::Lease(checkpointer.clone());
        let pending = start.pending.as_ref();
        match ShardTask::start(&start.shard_id, &self.shared, ledger, pending) {
            Ok(task) => self.task = Some(task),
            // The worker would retry it forever.
            Err(error) => return Err(self.shared.fail(&start.shard_id, error).into()),
        }
        Ok(())
    }

    async fn process(
        &mut self,
        batch: Batch<EncodedRecord>,
        _: &Checkpointer,
    ) -> Result<(), BoxError> {
        let behind_latest = batch.behind_latest;
        let sent = self.task()?.records(batch.records, behind_latest).await;
        Ok(sent?)
    }

    async fn shard_ended(&mut self, _: &Checkpointer) -> Result<(), BoxError> {
        Ok(self.task()?.end().await?)
    }

    async fn lease_lost(&mut self) {
        self.task = None;
    }

    async fn shutdown_requested(&mut self, _: &Checkpointer) -> Result<(), BoxError> {
        let task = self.task.take();
        match task {
            Some(task) if self.shared.settings.flush_on_stop => Ok(task.end().await?),
            // The next worker reads the records of open objects again, and makes the same objects.
            _ => Ok(()),
        }
    }
}
