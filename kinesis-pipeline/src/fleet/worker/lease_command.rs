use tokio::sync::oneshot;

use super::checkpointer::CheckpointerError;
use crate::{
    fleet::lease::{Lease, LeaseCheckpoint, PendingCheckpoint},
    shard::ShardId,
};

/// The number of commands of one lease that may wait.
pub(super) const COMMANDS_MAX: usize = 64;

/// The answer to a command.
pub(super) type Reply = oneshot::Sender<Result<(), CheckpointerError>>;

/// A command of the lease's consumer, its checkpointers or the coordinator.
#[derive(Debug)]
pub(super) enum LeaseCommand {
    Checkpoint {
        to: LeaseCheckpoint,
        reply: Reply,
    },
    /// Saves the finished position.
    Save {
        reply: Reply,
    },
    Prepare {
        pending: PendingCheckpoint,
        reply: Reply,
    },
    /// Saves the shard's end, after the leases of its children are made.
    End {
        children: Vec<ShardId>,
        leases: Vec<Lease>,
        reply: Reply,
    },
    /// Saves the finished position, and gives the lease back or hands it over. The last command.
    Release {
        reply: Reply,
    },
    /// The lease as the coordinator's list shows it, with another holder.
    Seen(Box<Lease>),
}
