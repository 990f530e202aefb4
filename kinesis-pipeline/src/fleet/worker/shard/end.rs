use super::{
    consumer::{Processing, ShardConsumer},
    context::{Halt, PAUSE_MIN, UNACKED_LOOK},
};
use crate::{
    KinesisRecord,
    fleet::{
        lease::sync::Sync,
        worker::{CheckpointerError, Processor, lease_command::LeaseCommand},
    },
    get::list_shards,
};

/// The work at the end of a shard.
impl<R, P> ShardConsumer<P>
where
    R: KinesisRecord + Send,
    P: Processor<Record = R> + 'static,
{
    /// Finishes a shard after its last record.
    pub(super) async fn end(&mut self, processing: &mut Processing<P>) -> Result<(), Halt> {
        processing.drain().await?;
        while self.shard.progress.open_count(&self.shard.shard_id) > 0 {
            self.shard.pause(UNACKED_LOOK).await?;
        }
        processing.shard_ended().await?;
        let mut pause = PAUSE_MIN;
        while !self.note_end().await? {
            self.shard.rest(&mut pause).await?;
        }
        Ok(())
    }

    /// Makes the leases of the children and saves the shard's end. Returns whether this was done. It is not done while
    /// the service does not list the children of the closed shard, or after a retryable error.
    async fn note_end(&mut self) -> Result<bool, Halt> {
        let shard = &self.shard;
        let shards = match list_shards(&shard.target).await {
            Ok(shards) => shard.keys.shards(shards),
            Err(error) if error.is_retryable() => {
                shard.warn(&error, "list shards");
                return Ok(false);
            }
            Err(error) => return Err(shard.failed(error)),
        };
        let leases = match self.store.list(&shard.settings.app).await {
            Ok(leases) => leases,
            Err(error) => {
                shard.warn(&error, "list leases");
                return Ok(false);
            }
        };
        let now = shard.target.clock.now();
        let is_retained = shards.iter().any(|shard| shard.id == self.lease.shard_id);
        let mut ended = self.lease.clone();
        if let Some(stored) = leases.iter().find(|l| l.shard_id == ended.shard_id) {
            ended.checkpoint = stored.checkpoint.clone();
        }
        let (children, leases) = Sync::new(&shards, &leases).children_leases(&ended, now);
        if children.is_empty() && is_retained {
            return Ok(false);
        }
        let command = |reply| LeaseCommand::End {
            children,
            leases,
            reply,
        };
        match shard.checkpointer.command(command).await {
            Ok(()) => Ok(true),
            Err(CheckpointerError::LeaseLost { .. }) => Err(Halt::Lost),
            Err(error) => {
                shard.warn(&error, "note the shard's end");
                Ok(false)
            }
        }
    }
}
