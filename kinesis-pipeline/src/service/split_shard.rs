use super::StreamId;
use crate::shard::{HashKey, ShardId};

/// Begins to split a shard in two.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SplitShard {
    /// The stream.
    pub stream: StreamId,
    /// The shard to split.
    pub shard_id: ShardId,
    /// The first hash key of the second child: inside the shard's range, neither its first nor its last key.
    pub second_child_start: HashKey,
}

impl SplitShard {
    /// A call that splits this shard there.
    #[must_use]
    pub fn new(stream: StreamId, shard_id: ShardId, second_child_start: HashKey) -> Self {
        Self {
            stream,
            shard_id,
            second_child_start,
        }
    }
}
