use std::{
    fmt,
    time::{Duration, SystemTime},
};

use super::{EncryptionType, StreamId};

/// A call that describes a stream without its shards. The service allows 20 a second and account.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DescribeStreamSummary {
    /// The stream.
    pub stream: StreamId,
}

impl DescribeStreamSummary {
    /// Makes a call for this stream's summary.
    #[must_use]
    pub fn new(stream: StreamId) -> Self {
        Self { stream }
    }
}

/// The summary of a stream: its settings without its shards.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StreamSummary {
    /// The stream's name.
    pub name: String,
    /// The stream's ARN.
    pub arn: String,
    /// The status of the stream.
    pub status: StreamStatus,
    /// Whether the service scales the stream by itself.
    pub is_on_demand: bool,
    /// The retention period.
    pub retention: Duration,
    /// The number of open shards.
    pub open_shard_count: u32,
    /// The creation time. A stream that is deleted and made again has another one.
    pub created_at: SystemTime,
    /// The encryption of records at rest.
    pub encryption_type: EncryptionType,
    /// The largest record that the stream takes, data and key, in bytes: 1 MiB unless raised.
    pub record_bytes_max: usize,
    /// The number of consumers that are registered for enhanced fan-out.
    pub consumer_count: u32,
}

impl StreamSummary {
    /// Makes the summary of an active provisioned stream with the service's defaults: 24 hours, 1 MiB records, no
    /// encryption.
    #[must_use]
    pub fn new(name: impl Into<String>, arn: impl Into<String>, created_at: SystemTime) -> Self {
        Self {
            name: name.into(),
            arn: arn.into(),
            status: StreamStatus::Active,
            is_on_demand: false,
            retention: Duration::from_hours(24),
            open_shard_count: 0,
            created_at,
            encryption_type: EncryptionType::None,
            record_bytes_max: 1024 * 1024,
            consumer_count: 0,
        }
    }
}

/// The status of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StreamStatus {
    /// Being created: not usable yet.
    Creating,
    /// Active: usable.
    Active,
    /// Being resharded or changed, and usable.
    Updating,
    /// Being deleted: not usable any more.
    Deleting,
}

impl fmt::Display for StreamStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Creating => "CREATING",
            Self::Active => "ACTIVE",
            Self::Updating => "UPDATING",
            Self::Deleting => "DELETING",
        })
    }
}
