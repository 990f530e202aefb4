use std::time::SystemTime;

use super::StreamId;
use crate::shard::{Shard, ShardId};

/// Lists shards, up to 1,000 a page.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ListShards {
    /// The stream.
    pub stream: StreamId,
    /// The filter; all shards that are retained when absent.
    pub filter: Option<ShardFilter>,
    /// The token of the page before. The service then takes the stream and the filter from the token.
    pub next_token: Option<String>,
    /// At most this many shards a page, 1 to 10,000.
    pub limit: Option<u32>,
}

impl ListShards {
    /// A call for the first page of all shards that are retained.
    #[must_use]
    pub fn new(stream: StreamId) -> Self {
        Self {
            stream,
            filter: None,
            next_token: None,
            limit: None,
        }
    }

    /// The same call for some of the shards.
    #[must_use]
    pub fn filter(mut self, filter: ShardFilter) -> Self {
        self.filter = Some(filter);
        self
    }

    /// The call for the page that follows.
    #[must_use]
    pub fn next_token(mut self, token: String) -> Self {
        self.next_token = Some(token);
        self
    }

    /// The same call for at most `limit` shards.
    #[must_use]
    pub fn limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }
}

/// A filter of shards.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShardFilter {
    /// Shards that come after this one in the order of their ids.
    AfterShardId(ShardId),
    /// Shards that hold the oldest records that are retained.
    AtTrimHorizon,
    /// All shards whose records are not all expired.
    FromTrimHorizon,
    /// Open shards.
    AtLatest,
    /// Shards that were open at this time.
    AtTimestamp(SystemTime),
    /// Shards that were open at this time or later.
    FromTimestamp(SystemTime),
}

/// One page of shards.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ShardPage {
    /// The shards, by id.
    pub shards: Vec<Shard>,
    /// Present when there are more.
    pub next_token: Option<String>,
}
