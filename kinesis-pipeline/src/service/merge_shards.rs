use super::StreamId;
use crate::shard::ShardId;

/// A call that begins to merge two shards with adjacent ranges of hash keys.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MergeShards {
    /// The stream.
    pub stream: StreamId,
    /// The shard with the lower hash keys, which becomes the child's first parent. The service refuses the opposite order.
    pub shard_id: ShardId,
    /// The shard with the higher hash keys, which becomes the child's second parent.
    pub adjacent_shard_id: ShardId,
}

impl MergeShards {
    /// Makes a call that merges these two shards, the lower one first.
    #[must_use]
    pub fn new(stream: StreamId, shard_id: ShardId, adjacent_shard_id: ShardId) -> Self {
        Self {
            stream,
            shard_id,
            adjacent_shard_id,
        }
    }
}
