use std::{fmt, sync::Arc};

use bytes::Bytes;
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::{hold::Hold, lease_command::LeaseCommand};
use crate::{
    Clock,
    fleet::lease::{LeaseCheckpoint, LeaseStoreError, PendingCheckpoint},
    service::StreamId,
    shard::{Position, ShardId},
};

/// A fencing token, for stores of your own. A store can refuse the writes of a worker that has lost its lease: those
/// with a smaller counter than it has seen for the same stream and shard.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct FencingToken {
    /// The stream.
    pub stream: StreamId,
    /// The shard.
    pub shard_id: ShardId,
    /// The lease's counter when the worker took it. It is greater than that of each earlier worker.
    pub counter: u64,
}

/// The reason why a checkpoint was not made.
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
    /// checkpoint is saved automatically when all records before it are finished.
    #[error("{shard} is worked on by several lanes: its checkpoint follows by itself")]
    SeveralLanes {
        /// The shard.
        shard: ShardId,
    },
    /// The store refused the write permanently.
    #[error("the checkpoint of {shard} could not be stored")]
    #[non_exhaustive]
    Store {
        /// The shard.
        shard: ShardId,
        /// The store's error.
        source: Arc<LeaseStoreError>,
    },
}

/// A handle that saves checkpoints of a shard. Cheap to clone. Clones may be kept after the call that they were given
/// to.
///
/// Writes wait for the store. While it is down they are retried, until the lease is lost.
#[derive(Clone)]
pub struct Checkpointer {
    token: FencingToken,
    hold: Hold,
    commands: mpsc::Sender<LeaseCommand>,
    clock: Clock,
    /// Whether other processors work on the same shard. Then a position of one of them says nothing about the others.
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

    /// Whether the lease is held now, by this worker's clock. It may be lost right after.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.hold.is_valid(self.now())
    }

    /// Saves that this record and all before it in the shard are finished. Removes a prepared checkpoint.
    ///
    /// # Errors
    /// [`CheckpointerError`]. If the call is dropped before its end, the old or the new checkpoint is saved.
    pub async fn checkpoint(&self, position: &Position) -> Result<(), CheckpointerError> {
        let to = self.place(position)?;
        self.command(|reply| LeaseCommand::Checkpoint { to, reply })
            .await
    }

    /// Prepares a checkpoint: saves a position before its work is done, with bytes of your own. A worker that continues
    /// after a crash gets both in [`ShardStart::pending`](super::ShardStart::pending). The next checkpoint removes
    /// them.
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
        // A renewer ends when the lease is lost or given back.
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
