use std::{fmt, sync::Arc};

use bytes::Bytes;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::{hold::Hold, renewer::LeaseCommand};
use crate::{
    Clock,
    fleet::lease::{LeaseCheckpoint, LeaseStoreError, PendingCheckpoint},
    service::StreamId,
    shard::{Position, ShardId},
};

/// Proof of a lease for stores of your own: a store that refuses a smaller counter than it has seen for the shard
/// of the stream refuses what a worker writes that has lost its lease.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct FencingToken {
    /// The stream.
    pub stream: StreamId,
    /// The shard.
    pub shard_id: ShardId,
    /// The lease's counter when the worker took it: greater than that of every worker before.
    pub counter: u64,
}

/// A checkpoint that was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointerError {
    /// Another worker has the lease, and continues at the last checkpoint.
    #[error("the lease of {shard} is lost: no checkpoint is possible")]
    #[non_exhaustive]
    LeaseLost {
        /// The shard.
        shard: ShardId,
    },
    /// The position is before the last checkpoint, or of another shard.
    #[error(
        "{position} is no position to checkpoint: it is of another shard, or before the last checkpoint"
    )]
    #[non_exhaustive]
    OutOfRange {
        /// The position.
        position: Box<Position>,
    },
    /// Several lanes work on the shard: see [`WorkerBuilder::concurrency`](super::WorkerBuilder::concurrency). Its
    /// checkpoint follows by itself once all records before are finished.
    #[error("{shard} is worked on by several lanes: its checkpoint follows by itself")]
    SeveralLanes {
        /// The shard.
        shard: ShardId,
    },
    /// The store refused the write for good.
    #[error("the checkpoint of {shard} could not be stored")]
    #[non_exhaustive]
    Store {
        /// The shard.
        shard: ShardId,
        /// The store's error.
        source: Arc<LeaseStoreError>,
    },
}

/// A handle that saves checkpoints of a shard. Cheap to clone; clones may outlive the call that they were given to.
///
/// Writes wait for the store: while a store is down they are retried, and a lost lease ends them.
#[derive(Clone)]
pub struct Checkpointer {
    token: FencingToken,
    hold: Hold,
    commands: mpsc::Sender<LeaseCommand>,
    clock: Clock,
    /// Whether other processors work on the same shard: then no position of one of them is finished for all.
    has_lanes: bool,
}

impl Checkpointer {
    pub(super) fn new(
        token: FencingToken,
        hold: Hold,
        commands: mpsc::Sender<LeaseCommand>,
        clock: Clock,
        has_lanes: bool,
    ) -> Self {
        Self {
            token,
            hold,
            commands,
            clock,
            has_lanes,
        }
    }

    /// Returns the shard.
    #[must_use]
    pub fn shard_id(&self) -> &ShardId {
        &self.token.shard_id
    }

    /// Returns the fencing token of this worker's lease.
    #[must_use]
    pub fn token(&self) -> &FencingToken {
        &self.token
    }

    /// Whether the lease is held now, by this worker's clock. It may be lost at the next moment.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.hold.is_valid(self.now())
    }

    /// Saves that this record is finished, and all before it in the shard. Removes a prepared checkpoint.
    ///
    /// # Errors
    /// [`CheckpointerError`]. Dropping the call half way leaves the old or the new checkpoint.
    pub async fn checkpoint(&self, position: &Position) -> Result<(), CheckpointerError> {
        let to = self.place(position)?;
        self.command(|reply| LeaseCommand::Checkpoint { to, reply })
            .await
    }

    /// Prepares a checkpoint: saves a position before its work is done, with bytes of yours. The worker that continues after
    /// a crash gets both in [`ShardStart::pending`](super::ShardStart::pending); the next checkpoint removes them.
    ///
    /// # Errors
    /// [`CheckpointerError`].
    pub async fn prepare(
        &self,
        position: &Position,
        state: impl Into<Bytes>,
    ) -> Result<(), CheckpointerError> {
        let pending = PendingCheckpoint::new(self.place(position)?, Some(state.into()));
        self.command(|reply| LeaseCommand::Prepare { pending, reply })
            .await
    }

    fn place(&self, position: &Position) -> Result<LeaseCheckpoint, CheckpointerError> {
        if self.has_lanes {
            let shard = self.token.shard_id.clone();
            return Err(CheckpointerError::SeveralLanes { shard });
        }
        if position.shard_id != self.token.shard_id {
            return Err(CheckpointerError::OutOfRange {
                position: Box::new(position.clone()),
            });
        }
        Ok(LeaseCheckpoint::after(position))
    }

    pub(super) async fn command(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<(), CheckpointerError>>) -> LeaseCommand,
    ) -> Result<(), CheckpointerError> {
        let (reply, answer) = oneshot::channel();
        // A renewer that has ended has lost the lease or given it back.
        if self.commands.send(command(reply)).await.is_err() {
            return Err(self.lost());
        }
        answer.await.unwrap_or_else(|_| Err(self.lost()))
    }

    fn lost(&self) -> CheckpointerError {
        CheckpointerError::LeaseLost {
            shard: self.token.shard_id.clone(),
        }
    }

    fn now(&self) -> Instant {
        self.clock.instant()
    }
}

impl fmt::Debug for Checkpointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpointer")
            .field("token", &self.token)
            .field("phase", &self.hold.phase())
            .finish_non_exhaustive()
    }
}
