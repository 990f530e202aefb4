use std::{
    future::{Future, ready},
    marker::PhantomData,
};

use super::{Batch, Checkpointer};
use crate::{
    fleet::dead_letters::BoxError,
    fleet::lease::{LeaseCheckpoint, PendingCheckpoint, StreamIdentifier},
    service::StreamId,
    shard::{Position, ShardId},
};

/// An error of a processor with a special meaning for its worker. Any other error is a failure of the batch, on which
/// the [`ErrorPolicy`](super::ErrorPolicy) decides.
///
/// ```
/// use kinesis_pipeline::{BoxError, ProcessorError};
///
/// fn on_error(error: std::io::Error) -> BoxError {
///     // The records are not to blame: no try is counted, and none of them becomes a dead letter.
///     ProcessorError::unavailable(error).into()
/// }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessorError {
    /// A service that the processor depends on is not available for now. The records come again after pauses, without a
    /// limit: these tries are not counted.
    #[error("not available for now")]
    Unavailable {
        /// The reason.
        source: BoxError,
    },
    /// These records failed and would fail again. The policy decides on them at once, and then the other records of the
    /// batch come again. If the policy has no `then_` setting, this is a failure of the batch like any other.
    #[error("{} record(s) cannot be processed, the first one {}", records.len(), first(records))]
    BadRecords {
        /// The records of the batch that failed.
        records: Vec<BadRecord>,
    },
    /// A store of the processor shows that another worker has the shard. The worker drops the lease without a further
    /// write, and calls [`Processor::lease_lost`].
    #[error("another worker has the shard")]
    LeaseLost {
        /// The store's error.
        source: BoxError,
    },
    /// A person must repair something before any record of the shard can be processed. The policy counts the tries,
    /// also those of [`Processor::initialize`]. When they are spent, the worker ends with this error, even if the
    /// policy skips records or stores them as dead letters: the records are not the cause.
    #[error("a person must mend something before the shard goes on")]
    NeedsRepair {
        /// The fault, and how to repair it.
        source: BoxError,
    },
}

/// A record of a batch that a processor cannot process.
#[derive(Debug)]
#[non_exhaustive]
pub struct BadRecord {
    /// The record's position.
    pub position: Position,
    /// The reason.
    pub error: BoxError,
}

impl BadRecord {
    /// Makes a bad record with the reason of its failure.
    #[must_use]
    pub fn new(position: Position, error: impl Into<BoxError>) -> Self {
        let error = error.into();
        Self { position, error }
    }
}

impl ProcessorError {
    /// Makes an [`Unavailable`](Self::Unavailable).
    #[must_use]
    pub fn unavailable(source: impl Into<BoxError>) -> Self {
        let source = source.into();
        Self::Unavailable { source }
    }

    /// Makes a [`BadRecords`](Self::BadRecords).
    #[must_use]
    pub fn bad_records(records: Vec<BadRecord>) -> Self {
        Self::BadRecords { records }
    }

    /// Makes a [`LeaseLost`](Self::LeaseLost).
    #[must_use]
    pub fn lease_lost(source: impl Into<BoxError>) -> Self {
        let source = source.into();
        Self::LeaseLost { source }
    }

    /// Makes a [`NeedsRepair`](Self::NeedsRepair).
    #[must_use]
    pub fn needs_repair(source: impl Into<BoxError>) -> Self {
        let source = source.into();
        Self::NeedsRepair { source }
    }

    pub(super) fn is_repair(error: &BoxError) -> bool {
        matches!(error.downcast_ref(), Some(Self::NeedsRepair { .. }))
    }
}

fn first(records: &[BadRecord]) -> String {
    let first = records.first();
    first.map_or_else(String::new, |record| {
        format!("{}: {}", record.position, record.error)
    })
}

/// The position at which a processor begins in its shard.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ShardStart {
    /// The stream, as its handle was made.
    pub stream: StreamId,
    /// The stream's name in the lease table; `None` unless the worker's lease keys name the stream: see
    /// [`WorkerBuilder::multi_stream`](super::WorkerBuilder::multi_stream).
    pub stream_identifier: Option<StreamIdentifier>,
    /// The shard.
    pub shard_id: ShardId,
    /// The checkpoint of the shard so far.
    pub checkpoint: LeaseCheckpoint,
    /// The checkpoint that the last worker prepared but did not make: its place and the application's bytes.
    pub pending: Option<PendingCheckpoint>,
}

/// An application's processing of one shard. The worker has one value for each shard that it holds.
///
/// The calls for one shard come one after the other. Each may be dropped at an `await` when the lease is lost. Then
/// [`lease_lost`](Self::lease_lost) is called, and another worker begins at the last checkpoint.
pub trait Processor: Send {
    /// The type of the records.
    type Record;

    /// Prepares the processing before the first batch. `start` has the position at which reading begins.
    fn initialize(
        &mut self,
        start: &ShardStart,
        checkpointer: &Checkpointer,
    ) -> impl Future<Output = Result<(), BoxError>> + Send {
        let _ = (start, checkpointer);
        ready(Ok(()))
    }

    /// Returns the record after which reading begins, for processors that save positions themselves. Called once, after
    /// [`initialize`](Self::initialize). With the default, `None`, reading begins at the lease's checkpoint. With a
    /// [`concurrency`](super::WorkerBuilder::concurrency) over 1, a position ends the worker with an error.
    ///
    /// A position before the lease's checkpoint is allowed. The checkpoint stays until reading has passed it.
    fn start_after(&self) -> Option<Position> {
        None
    }

    /// Processes records. With [`Checkpointing::Automatic`](super::Checkpointing::Automatic) they are finished when
    /// this call returns `Ok`. After an error the same records come again.
    fn process(
        &mut self,
        batch: Batch<Self::Record>,
        checkpointer: &Checkpointer,
    ) -> impl Future<Output = Result<(), BoxError>> + Send;

    /// Finishes the processing of a shard after its last record. When this call returns `Ok`, the worker saves the
    /// shard's end. After an error it is called again.
    fn shard_ended(
        &mut self,
        checkpointer: &Checkpointer,
    ) -> impl Future<Output = Result<(), BoxError>> + Send {
        let _ = checkpointer;
        ready(Ok(()))
    }

    /// Ends the processing: another worker has the lease, and no checkpoint is possible.
    fn lease_lost(&mut self) -> impl Future<Output = ()> + Send {
        ready(())
    }

    /// Ends the processing at a point from which another worker can continue: the worker stops, or hands the shard
    /// over. A checkpoint is possible.
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
