use super::StreamId;
use crate::shard::ShardId;

/// Begins to merge two shards whose hash-key ranges touch.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MergeShards {
    /// The stream.
    pub stream: StreamId,
    /// The shard that becomes the child's first parent.
    pub shard_id: ShardId,
    /// The shard that becomes its second parent.
    pub adjacent_shard_id: ShardId,
}

impl MergeShards {
    /// A call that merges these two shards.
    #[must_use]
    pub fn new(stream: StreamId, shard_id: ShardId, adjacent_shard_id: ShardId) -> Self {
        Self {
            stream,
            shard_id,
            adjacent_shard_id,
        }
    }
}
