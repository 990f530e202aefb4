//! Shards: their ids, hash-key ranges, sequence numbers, and lineage.

pub(crate) mod coverage;
mod hash_key;
mod id;
pub(crate) mod lineage;
mod sequence;

pub use hash_key::{HashKey, HashKeyRange, InvalidHashKey};
pub use id::ShardId;
pub use lineage::Lineage;
pub use sequence::{InvalidSequenceNumber, SequenceNumber};

/// A shard as `ListShards` describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shard {
    /// The shard's id, unique in its stream.
    pub id: ShardId,
    /// The parent: the shard that was split, or the first of two that were merged.
    ///
    /// The parent may not exist any more: the service forgets a shard once its records have expired.
    pub parent_id: Option<ShardId>,
    /// The second parent of a merged shard.
    pub adjacent_parent_id: Option<ShardId>,
    /// The hash keys that the shard takes.
    pub hash_key_range: HashKeyRange,
    /// The lower bound of the sequence numbers of the shard's records.
    pub starting_sequence_number: SequenceNumber,
    /// The upper bound of the sequence numbers of a closed shard's records; `None` for an open shard.
    pub ending_sequence_number: Option<SequenceNumber>,
}

impl Shard {
    /// Makes a shard that is open and has no parents.
    #[must_use]
    pub fn new(
        id: ShardId,
        hash_key_range: HashKeyRange,
        starting_sequence_number: SequenceNumber,
    ) -> Self {
        Self {
            id,
            parent_id: None,
            adjacent_parent_id: None,
            hash_key_range,
            starting_sequence_number,
            ending_sequence_number: None,
        }
    }

    /// Whether the shard still takes records.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.ending_sequence_number.is_none()
    }

    /// Returns the parents, the first one first: none, one (after a split) or two (after a merge).
    pub fn parents(&self) -> impl Iterator<Item = &ShardId> {
        self.parent_id.iter().chain(&self.adjacent_parent_id)
    }
}

/// The position of a record in a stream: its shard, its sequence number, and its index in an aggregate.
///
/// Positions can be compared only within one shard.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub struct Position {
    /// The shard that holds the record.
    pub shard_id: ShardId,
    /// The sequence number of the Kinesis record.
    pub sequence_number: SequenceNumber,
    /// The index of the user record in its [aggregate](crate::guide::words); 0 for a record that is not aggregated.
    pub sub_sequence_number: u64,
}

impl Position {
    /// Returns the position of a record that is not part of an aggregate.
    #[must_use]
    pub fn new(shard_id: ShardId, sequence_number: SequenceNumber) -> Self {
        Self {
            shard_id,
            sequence_number,
            sub_sequence_number: 0,
        }
    }

    /// Returns the same Kinesis record, at an index of its aggregate.
    #[must_use]
    pub fn at_sub_sequence_number(mut self, sub_sequence_number: u64) -> Self {
        self.sub_sequence_number = sub_sequence_number;
        self
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.shard_id, self.sequence_number)?;
        match self.sub_sequence_number {
            0 => Ok(()),
            sub => write!(f, ".{sub}"),
        }
    }
}
