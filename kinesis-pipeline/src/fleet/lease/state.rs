use std::{fmt, sync::Arc, time::SystemTime};

use bytes::Bytes;

use crate::shard::{HashKeyRange, Position, SequenceNumber, Shard, ShardId};

/// The id of a worker, unique in its fleet. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(Arc<str>);

impl WorkerId {
    /// Makes an id that no other worker has.
    #[must_use]
    pub fn unique() -> Self {
        Self(uuid::Uuid::new_v4().to_string().into())
    }

    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for WorkerId {
    fn from(id: &str) -> Self {
        Self(id.into())
    }
}

impl From<String> for WorkerId {
    fn from(id: String) -> Self {
        Self(id.into())
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A position in a shard, as in the Kinesis Client Library: see [from KCL](crate::guide::from_kcl).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LeaseCheckpoint {
    /// Nothing is finished: reading begins at the oldest record.
    TrimHorizon,
    /// Nothing is finished: reading begins with the records that were put after the lease was created.
    Latest,
    /// Nothing is finished: reading begins at the first record that arrived at [`Lease::begun_at`].
    AtTimestamp,
    /// This user record and all before it are finished.
    After {
        /// The sequence number of the Kinesis record.
        sequence_number: SequenceNumber,
        /// The index of the user record in its aggregate; 0 without aggregation.
        sub_sequence_number: u64,
    },
    /// The whole shard is finished.
    ShardEnd,
}

impl LeaseCheckpoint {
    /// Returns the checkpoint behind this record.
    #[must_use]
    pub fn after(position: &Position) -> Self {
        Self::After {
            sequence_number: position.sequence_number.clone(),
            sub_sequence_number: position.sub_sequence_number,
        }
    }

    /// Whether a record of the shard, or the whole shard, is finished.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        matches!(self, Self::After { .. } | Self::ShardEnd)
    }

    /// Whether the shard is finished.
    #[must_use]
    pub fn is_end(&self) -> bool {
        matches!(self, Self::ShardEnd)
    }

    /// Whether this checkpoint is before `other`. Checkpoints at which nothing is finished are equal.
    #[must_use]
    pub fn is_before(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::After {
                    sequence_number: a,
                    sub_sequence_number: sub_a,
                },
                Self::After {
                    sequence_number: b,
                    sub_sequence_number: sub_b,
                },
            ) => (a, sub_a) < (b, sub_b),
            (Self::ShardEnd, _) => false,
            (_, Self::ShardEnd) => true,
            (a, b) => !a.has_begun() && b.has_begun(),
        }
    }
}

/// A checkpoint that was prepared but not made yet: KCL's `pendingCheckpoint`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PendingCheckpoint {
    /// The prepared checkpoint.
    pub checkpoint: LeaseCheckpoint,
    /// Bytes of the application, for the worker that continues.
    pub state: Option<Bytes>,
}

impl PendingCheckpoint {
    /// Makes a prepared checkpoint.
    #[must_use]
    pub fn new(checkpoint: LeaseCheckpoint, state: Option<Bytes>) -> Self {
        Self { checkpoint, state }
    }
}

/// The right of one worker to read one shard, with the shard's checkpoint: a row of KCL's lease table.
///
/// Every change is a [`LeaseWrite`](super::LeaseWrite) with a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lease {
    /// The shard; the key of the row. In a table of several streams, the key of
    /// [`StreamIdentifier::lease_key`](super::StreamIdentifier::lease_key).
    pub shard_id: ShardId,
    /// The worker that holds the lease, or will hold it after a hand-over.
    pub owner: Option<WorkerId>,
    /// The counter, which every write increments except the start of a hand-over.
    pub counter: u64,
    /// The place up to which the shard is finished.
    pub checkpoint: LeaseCheckpoint,
    /// The time at which reading begins, in milliseconds, for a lease at [`LeaseCheckpoint::AtTimestamp`] or
    /// [`LeaseCheckpoint::Latest`]. KCL has no attribute for it.
    pub begun_at: Option<SystemTime>,
    /// The time before which everything that arrived is finished, by this checkpoint. A store need not keep it. Without
    /// it, a worker cannot tell whether records behind the checkpoint have expired. KCL has no attribute for it.
    pub current_at: Option<SystemTime>,
    /// The checkpoint that was prepared but not made yet.
    pub pending: Option<PendingCheckpoint>,
    /// The old owner during a hand-over, which may still checkpoint; otherwise `None`.
    pub checkpoint_owner: Option<WorkerId>,
    /// The number of times that the owner changed since the last checkpoint.
    pub owner_switches: u64,
    /// The last worker of this library that took the lease. If it is the owner, the owner hands over on request, which
    /// a KCL 2 worker does not. KCL has no attribute for it.
    pub courteous_owner: Option<WorkerId>,
    /// The shards that this one was made from.
    pub parents: Vec<ShardId>,
    /// The shards that were made from this one; empty before its end.
    pub children: Vec<ShardId>,
    /// The hash keys of the shard, if the row has them.
    pub hash_key_range: Option<HashKeyRange>,
}

impl Lease {
    /// Makes a lease without an owner.
    #[must_use]
    pub fn new(shard_id: ShardId, checkpoint: LeaseCheckpoint) -> Self {
        Self {
            shard_id,
            owner: None,
            counter: 0,
            checkpoint,
            begun_at: None,
            current_at: None,
            pending: None,
            checkpoint_owner: None,
            owner_switches: 0,
            courteous_owner: None,
            parents: Vec::new(),
            children: Vec::new(),
            hash_key_range: None,
        }
    }

    /// Makes a lease of this shard without an owner.
    #[must_use]
    pub fn of_shard(shard: &Shard, checkpoint: LeaseCheckpoint) -> Self {
        Self {
            parents: shard.parents().cloned().collect(),
            hash_key_range: Some(shard.hash_key_range),
            ..Self::new(shard.id.clone(), checkpoint)
        }
    }

    /// Returns the worker that may checkpoint: the old owner during a hand-over, else the owner.
    #[must_use]
    pub fn holder(&self) -> Option<&WorkerId> {
        self.checkpoint_owner.as_ref().or(self.owner.as_ref())
    }

    /// Whether the shard is finished.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.checkpoint.is_end()
    }

    /// Whether the owner hands the lease over when it is asked to.
    #[must_use]
    pub fn hands_over(&self) -> bool {
        self.owner.is_some() && self.owner == self.courteous_owner
    }

    /// Whether both leases are equal in all that a holder writes.
    pub(super) fn is_as_written(&self, other: &Self) -> bool {
        self.counter == other.counter
            && self.holder() == other.holder()
            && self.checkpoint == other.checkpoint
            && self.pending == other.pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(number: u128, sub_sequence_number: u64) -> LeaseCheckpoint {
        LeaseCheckpoint::After {
            sequence_number: number.into(),
            sub_sequence_number,
        }
    }

    #[test]
    fn places_are_in_the_order_in_which_a_shard_is_read() {
        let places = [
            LeaseCheckpoint::Latest,
            after(9, 0),
            after(9, 3),
            after(10, 0),
            LeaseCheckpoint::ShardEnd,
        ];
        for (i, a) in places.iter().enumerate() {
            for (j, b) in places.iter().enumerate() {
                assert_eq!(a.is_before(b), i < j, "{a:?} before {b:?}");
            }
        }
        assert!(!LeaseCheckpoint::TrimHorizon.is_before(&LeaseCheckpoint::AtTimestamp));
    }
}
