use super::StreamId;

/// A call that begins to scale a provisioned stream to a number of open shards with equal ranges.
///
/// The service allows half to twice the open shards a call, and 10 calls in 24 hours.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UpdateShardCount {
    /// The stream.
    pub stream: StreamId,
    /// The new number of open shards.
    pub target_shard_count: u32,
}

impl UpdateShardCount {
    /// Makes a call that scales this stream to `target_shard_count` shards.
    #[must_use]
    pub fn new(stream: StreamId, target_shard_count: u32) -> Self {
        Self {
            stream,
            target_shard_count,
        }
    }
}
