use super::StreamId;
use crate::shard::{HashKey, ShardId};

/// A call that begins to split a shard in two.
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
    /// Makes a call that splits this shard at `second_child_start`.
    #[must_use]
    pub fn new(stream: StreamId, shard_id: ShardId, second_child_start: HashKey) -> Self {
        Self {
            stream,
            shard_id,
            second_child_start,
        }
    }
}
