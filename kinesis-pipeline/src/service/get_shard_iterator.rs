use std::time::SystemTime;

use super::StreamId;
use crate::shard::{SequenceNumber, ShardId};

/// A call that fixes a position in a shard to read from. The service allows 5 a second and shard.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GetShardIterator {
    /// The stream.
    pub stream: StreamId,
    /// The shard to read.
    pub shard_id: ShardId,
    /// The start position.
    pub start: IteratorStart,
}

impl GetShardIterator {
    /// Makes a call for an iterator of this shard.
    #[must_use]
    pub fn new(stream: StreamId, shard_id: ShardId, start: IteratorStart) -> Self {
        Self {
            stream,
            shard_id,
            start,
        }
    }
}

/// The start position of an iterator in its shard.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IteratorStart {
    /// The oldest record that is retained.
    TrimHorizon,
    /// The position after the newest record at the moment of the call.
    Latest,
    /// The record with this sequence number.
    AtSequenceNumber(SequenceNumber),
    /// The position after the record with this sequence number.
    AfterSequenceNumber(SequenceNumber),
    /// The first record that arrived at this time or later, to the millisecond.
    AtTimestamp(SystemTime),
}

/// A position in a shard, as the service gives it out. It expires after 5 minutes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardIterator(String);

impl ShardIterator {
    /// Returns the iterator's text, which has a meaning for the service only.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the iterator's text.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl From<String> for ShardIterator {
    fn from(text: String) -> Self {
        Self(text)
    }
}
