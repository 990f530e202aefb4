//! The changing part of a stream, and its changes.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    local::state::{consumer::Consumer, shard::Shard, topology::Topology},
    service::StreamStatus,
    shard::HashKey,
};

/// The retention of a new stream, in hours.
pub(in crate::local) const RETENTION_HOURS_DEFAULT: u32 = 24;
/// The largest record that a stream takes unless it is changed, in KiB.
pub(in crate::local) const RECORD_KIB_DEFAULT: u32 = 1024;

/// The changing part of a stream.
#[derive(Debug)]
pub(in crate::local) struct StreamState {
    pub(in crate::local) status: StreamStatus,
    pub(in crate::local) topology: Topology,
    pub(in crate::local) retention_hours: u32,
    pub(in crate::local) record_kib_max: u32,
    pub(in crate::local) is_on_demand: bool,
    /// Whether the service places records and ignores their keys.
    pub(in crate::local) is_distributed: bool,
    /// The throughput that was asked for in advance, in MiB a second.
    pub(in crate::local) warm_mebibytes: Option<u32>,
    /// The KMS key that records are said to be encrypted with.
    pub(in crate::local) key_id: Option<String>,
    pub(in crate::local) metrics: BTreeSet<&'static str>,
    pub(in crate::local) tags: BTreeMap<String, String>,
    pub(in crate::local) policy: Option<String>,
    pub(in crate::local) consumers: BTreeMap<String, Consumer>,
    pub(in crate::local::state) pending: Option<Change>,
}

/// A change of a stream that is carried out once its time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::local) enum Change {
    /// The stream becomes usable.
    Create,
    /// A shard is split.
    Split { parent: u32, second_start: HashKey },
    /// Two shards are merged.
    Merge { first: u32, second: u32 },
    /// A setting takes effect; it is set already.
    Update,
    /// The shards are split and merged to this many.
    Spread { shard_count: u32 },
    /// The stream goes.
    Delete,
}

impl StreamState {
    /// Makes a stream that is not usable yet, with no shards.
    pub(in crate::local) fn new(is_on_demand: bool, topology: Topology) -> Self {
        Self {
            status: StreamStatus::Creating,
            topology,
            retention_hours: RETENTION_HOURS_DEFAULT,
            record_kib_max: RECORD_KIB_DEFAULT,
            is_on_demand,
            is_distributed: false,
            warm_mebibytes: None,
            key_id: None,
            metrics: BTreeSet::new(),
            tags: BTreeMap::new(),
            policy: None,
            consumers: BTreeMap::new(),
            pending: None,
        }
    }

    /// Whether records can be put and read.
    pub(in crate::local) fn is_usable(&self) -> bool {
        matches!(self.status, StreamStatus::Active | StreamStatus::Updating)
    }

    /// Returns the largest record that the stream takes, data and key.
    pub(in crate::local) fn record_bytes_max(&self) -> usize {
        self.record_kib_max as usize * 1024
    }

    /// Returns the time before which records have expired.
    pub(in crate::local) fn horizon_millis(&self, now_millis: u64) -> u64 {
        now_millis.saturating_sub(u64::from(self.retention_hours) * 3_600_000)
    }

    /// Returns the shard with this index, unless it has expired.
    pub(in crate::local) fn shard(&self, index: u32, now_millis: u64) -> Option<&Shard> {
        let horizon = self.horizon_millis(now_millis);
        self.topology
            .shard(index)
            .filter(|shard| !shard.is_expired(horizon))
    }

    /// Returns the shards that have not expired, by index.
    pub(in crate::local) fn shards(
        &self,
        now_millis: u64,
    ) -> impl DoubleEndedIterator<Item = &Shard> {
        let horizon = self.horizon_millis(now_millis);
        self.topology
            .shards()
            .filter(move |shard| !shard.is_expired(horizon))
    }

    /// Returns the consumers that are registered, by name.
    pub(in crate::local) fn consumers(&self, now_millis: u64) -> impl Iterator<Item = &Consumer> {
        let consumers = self.consumers.values();
        consumers.filter(move |consumer| !consumer.is_gone(now_millis))
    }

    /// Whether the stream has been deleted, and nothing of it is left.
    pub(in crate::local) fn is_gone(&self) -> bool {
        self.status == StreamStatus::Deleting && self.pending.is_none()
    }

    /// Returns the type of encryption that records are said to have.
    pub(in crate::local) fn encryption_type(&self) -> &'static str {
        if self.key_id.is_some() { "KMS" } else { "NONE" }
    }

    pub(super) fn carry_out(&mut self, at_millis: u64) {
        let Some(change) = self.pending.take() else {
            return;
        };
        self.topology.wake();
        self.topology.forget_expired(self.horizon_millis(at_millis));
        match change {
            Change::Create | Change::Update => {}
            Change::Split {
                parent,
                second_start,
            } => {
                self.topology.split(parent, second_start, at_millis);
            }
            Change::Merge { first, second } => self.topology.merge(first, second, at_millis),
            Change::Spread { shard_count } => self.topology.spread(shard_count, at_millis),
            Change::Delete => return self.topology.clear(),
        }
        self.status = StreamStatus::Active;
    }
}

impl Change {
    pub(super) fn status_meanwhile(self) -> StreamStatus {
        match self {
            Self::Create => StreamStatus::Creating,
            Self::Update | Self::Split { .. } | Self::Merge { .. } | Self::Spread { .. } => {
                StreamStatus::Updating
            }
            Self::Delete => StreamStatus::Deleting,
        }
    }
}
