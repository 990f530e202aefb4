//! Typed records to and from Amazon Kinesis.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[doc(hidden)]
pub mod __private;
pub mod clock;
#[cfg(feature = "aws")]
mod config;
mod get;
#[cfg(feature = "local")]
pub mod local;
mod put;
pub mod record;
pub mod service;
pub mod shard;
mod stream;

pub use clock::Clock;
#[cfg(feature = "aws")]
pub use config::{ConfigError, ConfigProblem, NamedStream, StreamConfig};
pub use get::{GetError, Reader, Record, Records, ShardSelector, StartAt, StopHandle, Until};
#[cfg(feature = "derive")]
#[doc = include_str!("record/derive.md")]
pub use kinesis_pipeline_derive::KinesisRecord;
#[cfg(feature = "local")]
pub use local::LocalKinesis;
pub use put::{
    AttemptError, InvalidPutOption, PutError, PutFailure, PutOptions, PutStream, Receipt,
};
pub use record::{
    Codec, DecodeError, EncodeError, EncodedRecord, KeyError, KinesisRecord, PartitionKey,
};
#[cfg(feature = "aws")]
pub use service::aws::ConnectError;
pub use shard::{
    HashKey, HashKeyRange, InvalidHashKey, InvalidSequenceNumber, Position, SequenceNumber, Shard,
    ShardId,
};
pub use stream::KinesisStream;
