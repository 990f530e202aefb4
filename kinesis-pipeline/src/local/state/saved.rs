//! The state in a serializable form: all that must survive except the records.
//!
//! Rates, subscriptions and faults end with their process. Iterators survive, as their text has all that they need.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    account::Deleted,
    changes::Marks,
    consumer::Consumer,
    log::Log,
    names,
    shard::{Closed, Shard},
    stream::{Change, Stream, StreamState},
    topology::Topology,
};
use crate::{
    service::StreamStatus,
    shard::{HashKey, HashKeyRange},
};

/// The account without its streams.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::local) struct SavedAccount {
    pub(in crate::local) region: String,
    pub(in crate::local) account_id: String,
    pub(in crate::local) next_generation: u64,
    pub(in crate::local) commitment: Option<u64>,
    #[serde(default)]
    pub(in crate::local) deleted: Deleted,
}

/// A stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::local) struct SavedStream {
    pub(in crate::local) name: String,
    arn: String,
    account_id: String,
    pub(in crate::local) generation: u64,
    created_millis: u64,
    due_millis: u64,
    pending: Option<SavedChange>,
    status: SavedStatus,
    retention_hours: u32,
    record_kib_max: u32,
    is_on_demand: bool,
    is_distributed: bool,
    warm_mebibytes: Option<u32>,
    key_id: Option<String>,
    metrics: Vec<String>,
    tags: BTreeMap<String, String>,
    policy: Option<String>,
    consumers: Vec<SavedConsumer>,
    next_shard_index: u32,
    pub(in crate::local) shards: Vec<SavedShard>,
}

/// A shard without its records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::local) struct SavedShard {
    pub(in crate::local) index: u32,
    range_start: SavedKey,
    range_end: SavedKey,
    parents: Vec<u32>,
    pub(in crate::local) created_millis: u64,
    created_seconds: u64,
    closed_millis: Option<u64>,
    children: Vec<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SavedConsumer {
    name: String,
    arn: String,
    created_millis: u64,
    active_millis: u64,
    gone_millis: Option<u64>,
    tags: BTreeMap<String, String>,
    policy: Option<String>,
}

/// A hash key as two halves, since not every format has integers of 128 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SavedKey(u64, u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum SavedStatus {
    Creating,
    Active,
    Updating,
    Deleting,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum SavedChange {
    Create,
    Split { parent: u32, second_start: SavedKey },
    Merge { first: u32, second: u32 },
    Update,
    Spread { shard_count: u32 },
    Delete,
}

impl SavedStream {
    /// Makes a stream as it stands; `state` is its state.
    pub(in crate::local) fn of(stream: &Stream, state: &StreamState) -> Self {
        Self {
            name: stream.name.clone(),
            arn: stream.arn.clone(),
            account_id: stream.account_id.clone(),
            generation: stream.generation,
            created_millis: stream.created_millis,
            due_millis: stream.due_millis(),
            pending: state.pending.map(SavedChange::from),
            status: state.status.into(),
            retention_hours: state.retention_hours,
            record_kib_max: state.record_kib_max,
            is_on_demand: state.is_on_demand,
            is_distributed: state.is_distributed,
            warm_mebibytes: state.warm_mebibytes,
            key_id: state.key_id.clone(),
            metrics: state.metrics.iter().map(ToString::to_string).collect(),
            tags: state.tags.clone(),
            policy: state.policy.clone(),
            consumers: state.consumers.values().map(SavedConsumer::of).collect(),
            next_shard_index: state.topology.next_index(),
            shards: state.topology.shards().map(SavedShard::of).collect(),
        }
    }

    /// Restores the stream. `logs` has the records of its shards by index; a shard without a log has none.
    pub(in crate::local) fn restore(self, mut logs: BTreeMap<u32, Log>, marks: Marks) -> Stream {
        let shards = self.shards.into_iter().map(|shard| {
            let log = logs.remove(&shard.index);
            shard.restore(log)
        });
        let topology = Topology::restore(shards.collect(), self.next_shard_index);
        let metrics = self.metrics.iter().filter_map(|name| names::metric(name));
        let consumers = self.consumers.into_iter().map(SavedConsumer::restore);
        let state = StreamState {
            status: self.status.into(),
            retention_hours: self.retention_hours,
            record_kib_max: self.record_kib_max,
            is_distributed: self.is_distributed,
            warm_mebibytes: self.warm_mebibytes,
            key_id: self.key_id,
            metrics: metrics.collect::<BTreeSet<_>>(),
            tags: self.tags,
            policy: self.policy,
            consumers: consumers
                .map(|consumer| (consumer.name.clone(), consumer))
                .collect(),
            pending: self.pending.map(Change::from),
            ..StreamState::new(self.is_on_demand, topology)
        };
        Stream::new(
            self.name,
            self.arn,
            self.account_id,
            self.generation,
            self.created_millis,
            state,
            marks,
        )
        .due_at(self.due_millis)
    }
}

impl SavedShard {
    fn of(shard: &Shard) -> Self {
        let closed = shard.closed.as_ref();
        Self {
            index: shard.index,
            range_start: shard.range.start.into(),
            range_end: shard.range.end.into(),
            parents: shard.parents.clone(),
            created_millis: shard.created_millis,
            created_seconds: shard.created_seconds,
            closed_millis: closed.map(|closed| closed.at_millis),
            children: closed.map_or_else(Vec::new, |closed| closed.children.clone()),
        }
    }

    fn restore(self, log: Option<Log>) -> Shard {
        let range = HashKeyRange::new(self.range_start.into(), self.range_end.into());
        let closed = self.closed_millis.map(|at_millis| Closed {
            at_millis,
            children: self.children,
        });
        Shard::new(
            self.index,
            range,
            self.parents,
            self.created_millis,
            self.created_seconds,
        )
        .restored(closed, log.unwrap_or_else(|| Log::new(self.created_millis)))
    }
}

impl SavedConsumer {
    fn of(consumer: &Consumer) -> Self {
        Self {
            name: consumer.name.clone(),
            arn: consumer.arn.clone(),
            created_millis: consumer.created_millis,
            active_millis: consumer.active_millis,
            gone_millis: consumer.gone_millis,
            tags: consumer.tags.clone(),
            policy: consumer.policy.clone(),
        }
    }

    fn restore(self) -> Consumer {
        let times = (self.created_millis, self.active_millis, self.gone_millis);
        Consumer::restore(self.name, self.arn, times, self.tags, self.policy)
    }
}

impl From<HashKey> for SavedKey {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the halves of 128 bits are 64 bits"
    )]
    fn from(key: HashKey) -> Self {
        Self((key.value() >> 64) as u64, key.value() as u64)
    }
}

impl From<SavedKey> for HashKey {
    fn from(SavedKey(high, low): SavedKey) -> Self {
        Self::new(u128::from(high) << 64 | u128::from(low))
    }
}

impl From<StreamStatus> for SavedStatus {
    fn from(status: StreamStatus) -> Self {
        match status {
            StreamStatus::Creating => Self::Creating,
            StreamStatus::Active => Self::Active,
            StreamStatus::Updating => Self::Updating,
            StreamStatus::Deleting => Self::Deleting,
        }
    }
}

impl From<SavedStatus> for StreamStatus {
    fn from(status: SavedStatus) -> Self {
        match status {
            SavedStatus::Creating => Self::Creating,
            SavedStatus::Active => Self::Active,
            SavedStatus::Updating => Self::Updating,
            SavedStatus::Deleting => Self::Deleting,
        }
    }
}

impl From<Change> for SavedChange {
    fn from(change: Change) -> Self {
        match change {
            Change::Create => Self::Create,
            Change::Split {
                parent,
                second_start,
            } => Self::Split {
                parent,
                second_start: second_start.into(),
            },
            Change::Merge { first, second } => Self::Merge { first, second },
            Change::Update => Self::Update,
            Change::Spread { shard_count } => Self::Spread { shard_count },
            Change::Delete => Self::Delete,
        }
    }
}

impl From<SavedChange> for Change {
    fn from(change: SavedChange) -> Self {
        match change {
            SavedChange::Create => Self::Create,
            SavedChange::Split {
                parent,
                second_start,
            } => Self::Split {
                parent,
                second_start: second_start.into(),
            },
            SavedChange::Merge { first, second } => Self::Merge { first, second },
            SavedChange::Update => Self::Update,
            SavedChange::Spread { shard_count } => Self::Spread { shard_count },
            SavedChange::Delete => Self::Delete,
        }
    }
}
