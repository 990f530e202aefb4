use std::time::SystemTime;

use super::StreamId;
use crate::shard::{Shard, ShardId};

/// A call that lists shards, up to 1,000 a page.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ListShards {
    /// The stream.
    pub stream: StreamId,
    /// The filter; all retained shards if absent.
    pub filter: Option<ShardFilter>,
    /// The token of the page before, from which the service takes the stream and the filter.
    pub next_token: Option<String>,
    /// The largest number of shards of a page, 1 to 10,000.
    pub limit: Option<u32>,
}

impl ListShards {
    /// Makes a call for the first page of all retained shards.
    #[must_use]
    pub fn new(stream: StreamId) -> Self {
        Self {
            stream,
            filter: None,
            next_token: None,
            limit: None,
        }
    }

    /// Limits the listing to some of the shards.
    #[must_use]
    pub fn filter(mut self, filter: ShardFilter) -> Self {
        self.filter = Some(filter);
        self
    }

    /// Makes it the call for the page after the one with this token.
    #[must_use]
    pub fn next_token(mut self, token: String) -> Self {
        self.next_token = Some(token);
        self
    }

    /// Limits the page to `limit` shards.
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
    /// Shards after this one in the order of their ids.
    AfterShardId(ShardId),
    /// Shards that hold the oldest records that are retained.
    AtTrimHorizon,
    /// All shards with records that are retained.
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
    /// The token of the next page; `None` on the last one.
    pub next_token: Option<String>,
}
