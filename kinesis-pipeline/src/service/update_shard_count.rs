use super::StreamId;

/// Begins to scale a provisioned stream to so many open shards of one size.
///
/// The service allows from half to twice the open shards a call, and 10 calls in 24 hours.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct UpdateShardCount {
    /// The stream.
    pub stream: StreamId,
    /// How many open shards it is to have.
    pub target_shard_count: u32,
}

impl UpdateShardCount {
    /// A call that scales this stream to so many shards.
    #[must_use]
    pub fn new(stream: StreamId, target_shard_count: u32) -> Self {
        Self {
            stream,
            target_shard_count,
        }
    }
}
