use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::Stream;
use futures_util::{StreamExt as _, stream};
use tokio::sync::broadcast::{self, error::RecvError};

use crate::shard::ShardId;

/// A change of a worker's state. A worker of several streams names shards by their lease keys: see
/// [`StreamIdentifier`](crate::StreamIdentifier).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WorkerEvent {
    /// A lease was taken, and the work on its shard begins.
    #[non_exhaustive]
    Acquired {
        /// The shard.
        shard_id: ShardId,
        /// The counter of the lease: the fencing token.
        counter: u64,
    },
    /// Another worker has taken the lease without a hand-over.
    #[non_exhaustive]
    Lost {
        /// The shard.
        shard_id: ShardId,
    },
    /// The lease was handed over to the worker that asked for it.
    #[non_exhaustive]
    HandedOver {
        /// The shard.
        shard_id: ShardId,
    },
    /// The lease was given back, because the worker stops.
    #[non_exhaustive]
    Released {
        /// The shard.
        shard_id: ShardId,
    },
    /// The whole shard is finished.
    #[non_exhaustive]
    ShardEnded {
        /// The shard.
        shard_id: ShardId,
    },
    /// The processor failed on a batch. The [policy](crate::WorkerBuilder::on_error) decides what follows.
    #[non_exhaustive]
    ProcessorFailed {
        /// The shard.
        shard_id: ShardId,
        /// The number of times that the batch has failed.
        failures: u32,
        /// The text of the processor's error.
        error: String,
    },
    /// Records were stored as dead letters.
    #[non_exhaustive]
    DeadLettered {
        /// The shard.
        shard_id: ShardId,
        /// The number of records.
        records: usize,
    },
    /// Records were skipped by the policy.
    #[non_exhaustive]
    Skipped {
        /// The shard.
        shard_id: ShardId,
        /// The number of records.
        records: usize,
    },
    /// A renewal or a checkpoint failed. It is tried again.
    #[non_exhaustive]
    LeaseWriteFailed {
        /// The shard.
        shard_id: ShardId,
        /// The text of the store's error.
        error: String,
    },
    /// The receiver was too slow: events before this one were dropped.
    #[non_exhaustive]
    Missed {
        /// The number of dropped events.
        events: u64,
    },
    /// The worker has ended. The last event.
    #[non_exhaustive]
    Stopped {
        /// The text of the error that ended it; `None` after a stop, or if the worker's future was dropped.
        error: Option<String>,
    },
}

impl WorkerEvent {
    /// Returns the shard that the event is about; `None` if it is about the worker.
    #[must_use]
    pub fn shard_id(&self) -> Option<&ShardId> {
        match self {
            Self::Acquired { shard_id, .. }
            | Self::Lost { shard_id }
            | Self::HandedOver { shard_id }
            | Self::Released { shard_id }
            | Self::ShardEnded { shard_id }
            | Self::ProcessorFailed { shard_id, .. }
            | Self::DeadLettered { shard_id, .. }
            | Self::Skipped { shard_id, .. }
            | Self::LeaseWriteFailed { shard_id, .. } => Some(shard_id),
            Self::Missed { .. } | Self::Stopped { .. } => None,
        }
    }
}

/// The events of a worker: a futures [`Stream`], from [`WorkerHandle::events`](crate::WorkerHandle::events).
///
/// The worker never waits for a receiver. Up to 1,024 events are kept for a slow one. Then the oldest are dropped, and
/// [`WorkerEvent::Missed`] has their number. Dropping the stream has no effect on the worker.
#[must_use = "a stream does nothing unless it is read"]
pub struct WorkerEvents(Pin<Box<dyn Stream<Item = WorkerEvent> + Send>>);

impl WorkerEvents {
    pub(super) fn of(receiver: broadcast::Receiver<WorkerEvent>) -> Self {
        let events = stream::unfold(Some(receiver), |receiver| async {
            let mut receiver = receiver?;
            let event = match receiver.recv().await {
                Ok(event) => event,
                Err(RecvError::Lagged(events)) => WorkerEvent::Missed { events },
                Err(RecvError::Closed) => return None,
            };
            let goes_on = !matches!(event, WorkerEvent::Stopped { .. });
            Some((event, goes_on.then_some(receiver)))
        });
        Self(Box::pin(events.fuse()))
    }

    /// Returns the events of a worker that has ended: none are left.
    pub(super) fn none() -> Self {
        Self(Box::pin(stream::empty()))
    }

    /// Returns the next event; `None` after the last. Cancel safe.
    pub async fn next(&mut self) -> Option<WorkerEvent> {
        self.0.next().await
    }
}

impl Stream for WorkerEvents {
    type Item = WorkerEvent;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context)
    }
}

impl fmt::Debug for WorkerEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerEvents").finish_non_exhaustive()
    }
}
