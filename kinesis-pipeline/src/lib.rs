//! Typed records to and from Amazon Kinesis: derive, put, iterate.
//!
//! A Rust service has structs; Kinesis has shards. Derive [`KinesisRecord`] on a struct, [`put`](KinesisStream::put) it
//! to a [`KinesisStream`], and iterate over the records that come back. This works without an AWS account, on the
//! embedded Kinesis of the feature `local`, and with one, on the real service.
//!
#![cfg_attr(all(feature = "derive", feature = "local"), doc = "```")]
#![cfg_attr(not(all(feature = "derive", feature = "local")), doc = "```ignore")]
//! use kinesis_pipeline::{KinesisRecord, KinesisStream, LocalKinesis};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, PartialEq, Serialize, Deserialize, KinesisRecord)]
//! struct Reading {
//!     #[kinesis(partition_key)]
//!     device: String,
//!     temperature: f64,
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // On AWS: KinesisStream::<Reading>::connect("readings").await?
//! let stream: KinesisStream<Reading> = LocalKinesis::start().await?.stream("readings", 4).await?;
//!
//! // Every shard's position is fixed when this returns: what is put from now on is read.
//! let mut records = stream.iter_from_latest().await?;
//!
//! let reading = Reading { device: "attic".into(), temperature: 21.5 };
//! let receipt = stream.put(&reading).await?;
//!
//! while let Some(record) = records.next().await {
//!     let record = record?;
//!     assert_eq!(record.data, reading);
//!     assert_eq!(*record.position(), receipt.position());
//!     records.stop(); // no more fetches; what was fetched still comes; then `None`
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # The flow
//!
//! ```text
//!  your struct                                                             your struct
//!      │ KinesisRecord: key, codec                          KinesisRecord: codec ▲
//!      ▼                                                                         │
//!  put ─ encode ─ collect ─ send ─ retry ─ receipt      shards ─ fetch ─ decode ─ Records
//!                              │                                   ▲
//!                              └────► service::Kinesis ────────────┘
//!                                       │          │
//!                                   AWS, by the    local: the embedded Kinesis,
//!                                   official SDK   in process or over HTTP
//! ```
//!
//! # The guide
//!
//! The [`guide`] has a page for each question of the first weeks:
//!
//! | writing and reading | running it | coming from elsewhere |
//! |---|---|---|
//! | [putting: which put](guide::putting) | [tuning: all defaults](guide::tuning) | [an SDK loop](guide::from_sdk) |
//! | [producing at full speed](guide::producing) | [IAM policies](guide::iam) | [KPL](guide::from_kpl) |
//! | [reading and checkpoints](guide::reading) | [cost](guide::cost) | [KCL](guide::from_kcl) |
//! | [errors and dead letters](guide::errors) | [operating: what to watch](guide::operating) | [words](guide::words) |
//! | [duplicates](guide::duplicates) | [memory: all bounds](guide::memory) | |
//! | [testing](guide::testing) | [resharding](guide::resharding) | |
//! | [into a database](guide::sql) | [on Kubernetes](guide::kubernetes) | |
//!
//! # Where to read on
//!
//! | you want to | read |
//! |---|---|
//! | choose how records look in the stream, and their keys | the derive [`KinesisRecord`][its-derive], [`record`] |
//! | reach a stream | [`KinesisStream`]: `connect`, `with_client`, `with_service`; `StreamConfig` for streams by name |
//! | put | [`KinesisStream::put`], [`put_all`](KinesisStream::put_all), [`put_stream`](KinesisStream::put_stream), [`PutOptions`], [`PutError`] |
//! | put at full shard speed | [`KinesisStream::producer`], [`Producer`], [`Order`]; [`wire::aggregate`], many records in one |
//! | read | [`KinesisStream::iter_from_latest`] and its sisters, [`Reader`], [`Records`], [`GetError`], [`CheckpointStore`] |
//! | share the shards among workers | [`KinesisStream::worker`], [`Worker`], [`Processor`], [`LeaseStore`], [`ErrorPolicy`], [`Redrive`] |
//! | transform records in Firehose or Lambda | [`firehose`] |
//! | watch it at work | [`metrics`], [`Producer::stats`], [`Records::stats`] |
//! | test without AWS | the module `local` |
//! | test a [`Processor`] against kills, pauses and reshards | the module `simulation` (feature `local`) |
//! | put something of yours between the library and the service | [`service`] |
//!
//! # Promises
//!
//! - **At least once.** A record whose put returned a [`Receipt`] reaches every reader that starts before it, unless
//!   retention ends first. An answer that is lost after the service stored the records makes duplicates; an error
//!   then says [`may_have_been_stored`](PutError::may_have_been_stored).
//! - **Order.** The records of a shard come in the order in which they are stored. Puts that are awaited one after
//!   the other are stored in that order; among puts in flight together a retry can reorder, except with
//!   [`Order::PerKey`].
//! - **Resharding.** No record is skipped, and no child is read before its parents end.
//! - **Bounds.** Memory is bounded by named limits, whatever the other side does.
//! - **Bad records.** A bad record is never lost silently. A reader returns it as one error item, with its raw bytes. A
//!   worker handles it by its [`ErrorPolicy`]; without a policy for it, the worker waits there until its processor
//!   takes the record.
//! - **Logs.** No credential, record content or key is logged at `info` or above.
//!
//! # Features
//!
//! | feature | brings | default |
//! |---|---|---|
//! | `derive` | the macro | yes |
//! | `aws` | streams on AWS through the official SDK, which is re-exported as `aws_sdk_kinesis` | yes |
//! | `https` | the SDK's own HTTP client, with TLS by rustls: without it, `ConnectOptions::http_client` takes one of yours | yes |
//! | `config` | the YAML file of named streams, `StreamConfig` | |
//! | `dynamodb` | leases and checkpoints in DynamoDB, in the lease table of [KCL](guide::from_kcl), Amazon's consumer library for Java | |
//! | `firehose` | put to Amazon Data Firehose, `firehose::DeliveryStream`; the transforms are always there | |
//! | `local` | the embedded Kinesis, in process: a dev-dependency | |
//! | `local-server` | its HTTP face, and an embedded DynamoDB beside it | |
//! | `local-durable` | a data directory for it, whose contents survive the process | |
//! | `local-tls` | TLS for the HTTP face, with a certificate made at its start | |
//! | `signal` | workers that stop at SIGTERM and Ctrl-C: `Worker::run_until_stopped` | yes |
//! | `metrics` | numbers for operators through the `metrics` facade: see [`metrics`] | |
//!
//! The program `kinesis-pipeline` is a crate of its own, `kinesis-pipeline-cli`.
//!
//! A feature only adds. Without default features the codecs and pipelines build in seconds.
//!
#![cfg_attr(feature = "derive", doc = " [its-derive]: derive@KinesisRecord")]
#![cfg_attr(not(feature = "derive"), doc = " [its-derive]: trait@KinesisRecord")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![warn(clippy::print_stderr, clippy::print_stdout)]

#[doc(hidden)]
pub mod __private;
#[cfg(test)]
mod apart;
#[cfg(any(feature = "aws", fuzzing))]
#[cfg_attr(
    not(feature = "aws"),
    expect(
        dead_code,
        unused_imports,
        reason = "what is fuzzed without the SDK reads only"
    )
)]
mod cbor;
pub mod clock;
#[cfg(feature = "config")]
mod config;
mod digest;
pub mod firehose;
mod fleet;
mod get;
// The guide is only text, and its examples need the embedded Kinesis, so programs do not compile it.
#[cfg(any(
    all(doc, not(doctest)),
    all(doctest, feature = "derive", feature = "local")
))]
pub mod guide;
mod json;
#[cfg(feature = "local")]
pub mod local;
pub mod metrics;
mod prefetch;
mod put;
pub mod record;
pub mod service;
pub mod shard;
#[cfg(feature = "signal")]
pub mod shutdown;
mod stream;
mod target;
#[cfg(test)]
mod trials;
pub mod wire;

/// The SDK of Firehose, in the version whose client
/// [`DeliveryStream::with_client`](firehose::DeliveryStream::with_client) takes.
#[cfg(feature = "firehose")]
#[doc(no_inline)]
pub use aws_sdk_firehose;
/// The SDK of Kinesis, in the version whose client [`KinesisStream::with_client`] takes.
#[cfg(feature = "aws")]
#[doc(no_inline)]
pub use aws_sdk_kinesis;
pub use clock::Clock;
#[cfg(feature = "config")]
pub use config::{ConfigError, ConfigProblem, NamedStream, StreamConfig};
#[cfg(feature = "local")]
pub use fleet::simulation;
pub use fleet::{
    BadRecord, Batch, BoxError, Checkpointer, CheckpointerError, Checkpointing, DeadLetter,
    DeadLetterFuture, DeadLetters, ErrorPolicy, FencingToken, FileDeadLetters, FileLeases,
    FleetLead, InvalidStreamIdentifier, InvalidWorkerOption, Lease, LeaseChange, LeaseCheckpoint,
    LeaseFuture, LeaseStore, LeaseStoreError, LeaseWrite, LeaseWritten, MemoryLeases,
    PendingCheckpoint, Processor, ProcessorError, PropertiesError, Redrive, RedriveError,
    RedriveHandle, RedriveReport, ShardHealth, ShardStart, StreamDeadLetters, StreamIdentifier,
    Worker, WorkerBuilder, WorkerError, WorkerEvent, WorkerEvents, WorkerHandle, WorkerHealth,
    WorkerId, WorkerPhase, WorkerProperties, WorkerReport, dead_letters_to,
};
#[cfg(feature = "dynamodb")]
pub use fleet::{DynamoDbCheckpoints, DynamoDbLeases, LeaseError};
#[cfg(feature = "health-server")]
pub use fleet::{HealthServer, HealthServerBuilder, HealthServerError};
pub use get::{
    ByShard, Checkpoint, CheckpointError, CheckpointFuture, CheckpointHandle, CheckpointPlace,
    CheckpointStore, FileCheckpoints, GetError, MemoryCheckpoints, Mismatch, OnTrimmed, Reader,
    ReaderStats, Record, Records, ShardReader, ShardReaderBuilder, ShardRecords, ShardSelector,
    ShardStats, StartAt, StopHandle, Until,
};
#[cfg(feature = "derive")]
#[doc = include_str!("record/derive.md")]
pub use kinesis_pipeline_derive::KinesisRecord;
#[cfg(feature = "local")]
pub use local::LocalKinesis;
pub use put::{
    AttemptError, CloseError, FlushError, InvalidPutOption, Order, PendingReceipt, Producer,
    ProducerBuilder, ProducerSink, ProducerStats, PutError, PutFailure, PutOptions, PutResults,
    PutStream, Receipt, Reservation, SinkError,
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
