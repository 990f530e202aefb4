//! Structures that several answers share.

use bytestring::ByteString;
use serde::{Serialize, Serializer, ser::SerializeStruct};

use crate::{
    local::{
        protocol::values::{Blob, Timestamp, read_from_maps},
        state::{
            log::LogRecord,
            sequence::Number,
            shard::{Shard, shard_id},
            stream::StreamState,
        },
    },
    shard,
};

/// A record as `GetRecords` and `SubscribeToShard` give it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Record {
    pub(in crate::local) sequence_number: ByteString,
    pub(in crate::local) approximate_arrival_timestamp: Timestamp,
    pub(in crate::local) data: Blob,
    /// Empty if the record was put without one, which no record with a key has.
    #[serde(skip_serializing_if = "is_empty")]
    pub(in crate::local) partition_key: ByteString,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::local) encryption_type: Option<&'static str>,
}

fn is_empty(key: &ByteString) -> bool {
    key.is_empty()
}

impl Record {
    pub(in crate::local) fn new(
        number: Number,
        record: LogRecord,
        encryption_type: Option<&'static str>,
    ) -> Self {
        Self {
            sequence_number: number.text(),
            approximate_arrival_timestamp: Timestamp::from_millis(record.arrived_millis),
            data: Blob(record.data),
            partition_key: record.partition_key,
            encryption_type,
        }
    }
}

/// A shard that took over keys of a closed one.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct ChildShard {
    pub(in crate::local) shard_id: ByteString,
    pub(in crate::local) parent_shards: Vec<ByteString>,
    pub(in crate::local) hash_key_range: HashKeyRange,
}

/// Returns the children of a closed shard; `None` while it is open.
pub(in crate::local) fn child_shards(
    state: &StreamState,
    shard: &Shard,
) -> Option<Vec<ChildShard>> {
    let children = &shard.closed.as_ref()?.children;
    let children = children.iter().filter_map(|index| {
        let child = state.topology.shard(*index)?;
        Some(ChildShard {
            shard_id: child.id.clone(),
            parent_shards: child.parents.iter().copied().map(shard_id).collect(),
            hash_key_range: HashKeyRange(child.range),
        })
    });
    Some(children.collect())
}

/// A range of hash keys, in decimal.
#[derive(Clone, Copy, Debug)]
pub(in crate::local) struct HashKeyRange(pub(in crate::local) shard::HashKeyRange);

impl Serialize for HashKeyRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut range = serializer.serialize_struct("HashKeyRange", 2)?;
        range.serialize_field("StartingHashKey", &self.0.start.to_string())?;
        range.serialize_field("EndingHashKey", &self.0.end.to_string())?;
        range.end()
    }
}

/// A shard as `DescribeStream` and `ListShards` give it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct ShardShape {
    pub(in crate::local) shard_id: ByteString,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::local) parent_shard_id: Option<ByteString>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::local) adjacent_parent_shard_id: Option<ByteString>,
    pub(in crate::local) hash_key_range: HashKeyRange,
    pub(in crate::local) sequence_number_range: SequenceNumberRange,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct SequenceNumberRange {
    pub(in crate::local) starting_sequence_number: ByteString,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::local) ending_sequence_number: Option<ByteString>,
}

impl From<&Shard> for ShardShape {
    fn from(shard: &Shard) -> Self {
        let mut parents = shard.parents.iter().copied().map(shard_id);
        Self {
            shard_id: shard.id.clone(),
            parent_shard_id: parents.next(),
            adjacent_parent_shard_id: parents.next(),
            hash_key_range: HashKeyRange(shard.range),
            sequence_number_range: SequenceNumberRange {
                starting_sequence_number: shard.starting_number().text(),
                ending_sequence_number: shard.ending_number().map(Number::text),
            },
        }
    }
}

/// The capacity mode of a stream: its user or the service decides about its shards.
#[derive(Clone, Debug, serde::Deserialize, Serialize)]
#[serde(rename_all = "PascalCase", remote = "Self")]
pub(in crate::local) struct StreamModeDetails {
    pub(in crate::local) stream_mode: Option<ByteString>,
}

read_from_maps!(StreamModeDetails);

impl Serialize for StreamModeDetails {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The one that serde derived, which is no part of the trait.
        Self::serialize(self, serializer)
    }
}

/// The modes of [`StreamModeDetails`].
pub(super) const STREAM_MODES: &[&str] = &["PROVISIONED", "ON_DEMAND"];

impl StreamModeDetails {
    pub(in crate::local) fn of(is_on_demand: bool) -> Self {
        let mode = if is_on_demand {
            "ON_DEMAND"
        } else {
            "PROVISIONED"
        };
        Self {
            stream_mode: Some(ByteString::from_static(mode)),
        }
    }
}

/// The shard-level metrics that are on.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct EnhancedMetrics {
    pub(super) shard_level_metrics: Vec<&'static str>,
}

impl EnhancedMetrics {
    /// Returns a stream's metrics, in the list of one that the API wants.
    pub(in crate::local) fn of(state: &StreamState) -> Vec<Self> {
        vec![Self {
            shard_level_metrics: state.metrics.iter().copied().collect(),
        }]
    }
}

/// The throughput that was asked for in advance: it is there at once.
#[derive(Clone, Debug, Serialize)]
pub(in crate::local) struct WarmThroughput {
    #[serde(rename = "TargetMiBps")]
    target: u32,
    #[serde(rename = "CurrentMiBps")]
    current: u32,
}

impl WarmThroughput {
    pub(in crate::local) fn of(mebibytes: u32) -> Self {
        Self {
            target: mebibytes,
            current: mebibytes,
        }
    }
}
