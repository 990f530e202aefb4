use std::{
    future::{Future, ready},
    marker::PhantomData,
};

use super::{Batch, Checkpointer};
use crate::{
    fleet::dead_letters::BoxError,
    fleet::lease::{LeaseCheckpoint, PendingCheckpoint},
    service::StreamId,
    shard::ShardId,
};

/// The place at which a processor begins in its shard.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ShardStart {
    /// The stream, as its handle was made.
    pub stream: StreamId,
    /// The shard.
    pub shard_id: ShardId,
    /// The place up to which the shard was finished before.
    pub checkpoint: LeaseCheckpoint,
    /// The checkpoint that the last worker prepared and did not make: its place and the application's bytes.
    pub pending: Option<PendingCheckpoint>,
}

/// The work of an application on one shard: one value for each shard that the worker holds.
///
/// The calls for one shard come one after the other. Each may be dropped at an `await` when the lease is lost: then
/// [`lease_lost`](Self::lease_lost) follows, and another worker begins at the last checkpoint.
pub trait Processor: Send {
    /// The type of the records.
    type Record;

    /// Takes note of where reading begins, before the first batch.
    fn initialize(
        &mut self,
        start: &ShardStart,
        checkpointer: &Checkpointer,
    ) -> impl Future<Output = Result<(), BoxError>> + Send {
        let _ = (start, checkpointer);
        ready(Ok(()))
    }

    /// Processes records. With [`Checkpointing::Automatic`](super::Checkpointing::Automatic) they are finished when
    /// this returns `Ok`. After an error the same records come again.
    fn process(
        &mut self,
        batch: Batch<Self::Record>,
        checkpointer: &Checkpointer,
    ) -> impl Future<Output = Result<(), BoxError>> + Send;

    /// Finishes the work on a shard of which all records came. The worker notes the shard's end when this returns
    /// `Ok`; after an error it is called again.
    fn shard_ended(
        &mut self,
        checkpointer: &Checkpointer,
    ) -> impl Future<Output = Result<(), BoxError>> + Send {
        let _ = checkpointer;
        ready(Ok(()))
    }

    /// Gives up the work: another worker has the lease, and no checkpoint is possible.
    fn lease_lost(&mut self) -> impl Future<Output = ()> + Send {
        ready(())
    }

    /// Brings the work to a point where another worker can go on: the worker stops, or hands the shard over. A
    /// checkpoint is possible.
    fn shutdown_requested(
        &mut self,
        checkpointer: &Checkpointer,
    ) -> impl Future<Output = Result<(), BoxError>> + Send {
        let _ = checkpointer;
        ready(Ok(()))
    }
}

/// A processor made of a closure that takes batches.
pub(super) struct EachBatch<R, F> {
    process: F,
    record: PhantomData<fn() -> R>,
}

impl<R, F> EachBatch<R, F> {
    pub(super) fn new(process: F) -> Self {
        Self {
            process,
            record: PhantomData,
        }
    }
}

impl<R, F, W> Processor for EachBatch<R, F>
where
    R: Send,
    F: FnMut(Batch<R>) -> W + Send,
    W: Future<Output = Result<(), BoxError>> + Send,
{
    type Record = R;

    fn process(
        &mut self,
        batch: Batch<R>,
        _: &Checkpointer,
    ) -> impl Future<Output = Result<(), BoxError>> + Send {
        (self.process)(batch)
    }
}
