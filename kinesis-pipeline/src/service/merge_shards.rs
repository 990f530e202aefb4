use super::StreamId;
use crate::shard::ShardId;

/// Begins to merge two shards whose hash-key ranges touch.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MergeShards {
    /// The stream.
    pub stream: StreamId,
    /// The lower one, which becomes the child's first parent: the service refuses the two the other way round.
    pub shard_id: ShardId,
    /// The one whose hash keys begin where those of the first end: the child's second parent.
    pub adjacent_shard_id: ShardId,
}

impl MergeShards {
    /// A call that merges these two shards, the lower one first.
    #[must_use]
    pub fn new(stream: StreamId, shard_id: ShardId, adjacent_shard_id: ShardId) -> Self {
        Self {
            stream,
            shard_id,
            adjacent_shard_id,
        }
    }
}
