use super::{
    CheckpointerError, Processor,
    consumer::{Halt, PAUSE_MIN, ShardConsumer, UNACKED_LOOK, guarded, leaves},
    renewer::Order,
};
use crate::{KinesisRecord, fleet::lease::sync::Sync, get::list_shards};

/// The end of a shard.
impl<R, P> ShardConsumer<P>
where
    R: KinesisRecord + Send,
    P: Processor<Record = R>,
{
    /// All records of the shard came and were processed.
    pub(super) async fn end(&mut self) -> Result<(), Halt> {
        let mut pause = PAUSE_MIN;
        while self.progress.open_count(&self.lease.shard_id) > 0 {
            tokio::select! {
                biased;
                () = leaves(self.hold.clone(), self.stop.clone()) => return Err(Halt::Leave),
                () = tokio::time::sleep(UNACKED_LOOK) => {}
            }
        }
        while let Err(error) =
            guarded(async { self.processor.shard_ended(&self.checkpointer).await }).await
        {
            self.warn(&*error, "shard_ended");
            if self.rest(&mut pause).await {
                return Err(Halt::Leave);
            }
        }
        pause = PAUSE_MIN;
        loop {
            match self.note_end().await {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(halt) => return Err(halt),
            }
            if self.rest(&mut pause).await {
                return Err(Halt::Leave);
            }
        }
    }

    /// Makes the leases of the children and notes the shard's end. Returns whether that is done; it is not while the
    /// service does not show the children of the closed shard, or something fails that may pass.
    async fn note_end(&mut self) -> Result<bool, Halt> {
        let shards = match list_shards(&self.target).await {
            Ok(shards) => shards,
            Err(error) if error.is_retryable() => {
                self.warn(&error, "list shards");
                return Ok(false);
            }
            Err(error) => return Err(self.failed(error)),
        };
        let leases = match self.store.list(&self.settings.app).await {
            Ok(leases) => leases,
            Err(error) => {
                self.warn(&error, "list leases");
                return Ok(false);
            }
        };
        let now = self.target.clock.now();
        let is_retained = shards.iter().any(|shard| shard.id == self.lease.shard_id);
        let mut ended = self.lease.clone();
        if let Some(stored) = leases.iter().find(|l| l.shard_id == ended.shard_id) {
            ended.checkpoint = stored.checkpoint.clone();
        }
        let (children, leases) = Sync::new(&shards, &leases).children_leases(&ended, now);
        if children.is_empty() && is_retained {
            return Ok(false);
        }
        let order = |reply| Order::End {
            children,
            leases,
            reply,
        };
        match self.checkpointer.order(order).await {
            Ok(()) => Ok(true),
            Err(CheckpointerError::LeaseLost { .. }) => Err(Halt::Lost),
            Err(error) => {
                self.warn(&error, "note the shard's end");
                Ok(false)
            }
        }
    }
}
