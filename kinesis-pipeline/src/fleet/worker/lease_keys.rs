use std::sync::Arc;

use crate::{
    fleet::lease::StreamIdentifier,
    shard::{Shard, ShardId},
};

/// The keys of one stream's leases: its shard ids, in a table of several streams behind the stream's identifier. Cheap
/// to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::fleet) struct LeaseKeys {
    /// The identifier and a colon; `None` in a table of a single stream.
    prefix: Option<Arc<str>>,
}

impl LeaseKeys {
    pub(in crate::fleet) fn of(stream: &StreamIdentifier) -> Self {
        Self {
            prefix: Some(format!("{stream}:").into()),
        }
    }

    pub(in crate::fleet) fn key(&self, shard_id: &ShardId) -> ShardId {
        match &self.prefix {
            None => shard_id.clone(),
            Some(prefix) => format!("{prefix}{shard_id}").into(),
        }
    }

    /// Returns the shard of a key of this stream.
    pub(in crate::fleet) fn shard_id(&self, key: &ShardId) -> ShardId {
        match self.without_prefix(key) {
            Some(shard_id) => shard_id.into(),
            None => key.clone(),
        }
    }

    /// Whether the key is of a shard of this stream.
    pub(in crate::fleet) fn has(&self, key: &ShardId) -> bool {
        self.prefix.is_none() || self.without_prefix(key).is_some()
    }

    /// Names shards and their parents by their keys.
    pub(in crate::fleet) fn shards(&self, mut shards: Vec<Shard>) -> Vec<Shard> {
        if self.prefix.is_some() {
            for shard in &mut shards {
                shard.id = self.key(&shard.id);
                for parent in [&mut shard.parent_id, &mut shard.adjacent_parent_id] {
                    *parent = parent.as_ref().map(|parent| self.key(parent));
                }
            }
        }
        shards
    }

    fn without_prefix<'a>(&self, key: &'a ShardId) -> Option<&'a str> {
        key.as_str().strip_prefix(self.prefix.as_deref()?)
    }
}
