use std::sync::Arc;

use crate::{
    fleet::lease::StreamIdentifier,
    shard::{Shard, ShardId},
};

/// The lease keys of one stream: the shard ids, with the stream's identifier before them in a table of several streams.
/// Cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::fleet) struct LeaseKeys {
    /// The stream, in a table of several streams; `None` in a table of one.
    stream: Option<Arc<NamedStream>>,
}

#[derive(Debug, PartialEq, Eq)]
struct NamedStream {
    identifier: StreamIdentifier,
    /// The identifier and a colon.
    prefix: String,
}

impl LeaseKeys {
    pub(in crate::fleet) fn of(identifier: StreamIdentifier) -> Self {
        let prefix = format!("{identifier}:");
        Self {
            stream: Some(Arc::new(NamedStream { identifier, prefix })),
        }
    }

    /// Returns the stream's identifier, in a table of several streams.
    pub(in crate::fleet) fn identifier(&self) -> Option<&StreamIdentifier> {
        Some(&self.stream.as_ref()?.identifier)
    }

    pub(in crate::fleet) fn key(&self, shard_id: &ShardId) -> ShardId {
        match self.prefix() {
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

    /// Whether the key belongs to a shard of this stream.
    pub(in crate::fleet) fn has(&self, key: &ShardId) -> bool {
        self.stream.is_none() || self.without_prefix(key).is_some()
    }

    /// Replaces the ids of shards and their parents by their lease keys.
    pub(in crate::fleet) fn shards(&self, mut shards: Vec<Shard>) -> Vec<Shard> {
        if self.stream.is_some() {
            for shard in &mut shards {
                shard.id = self.key(&shard.id);
                for parent in [&mut shard.parent_id, &mut shard.adjacent_parent_id] {
                    *parent = parent.as_ref().map(|parent| self.key(parent));
                }
            }
        }
        shards
    }

    fn prefix(&self) -> Option<&str> {
        Some(&self.stream.as_ref()?.prefix)
    }

    fn without_prefix<'a>(&self, key: &'a ShardId) -> Option<&'a str> {
        key.as_str().strip_prefix(self.prefix()?)
    }
}
