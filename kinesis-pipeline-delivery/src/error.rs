use std::{io, time::Duration};

use kinesis_pipeline::{
    BoxError, CheckpointerError, GetError, InvalidWorkerOption, ShardId, WorkerError,
};

use crate::{StoreFault, prefix::PrefixError};

/// The reason why a delivery ended.
///
/// Objects that are written stay; a delivery that is started again goes on after the last checkpoint.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeliveryError {
    /// An object could not be written or read, with an error that no retry changes.
    #[error("the object `{key}` could not be written")]
    Store {
        /// The object's key.
        key: String,
        /// The store's error.
        source: object_store::Error,
    },
    /// The store cannot be used at the start: a wrong name, a missing right, or it is down. Nothing was retried.
    ///
    /// S3 needs `s3:PutObject`, `s3:GetObject`, `s3:ListBucket` (without it, S3 answers a request for an absent object
    /// with a denial), and `s3:DeleteObject` for the object that probes the store.
    #[error("the store cannot be used, {fault}: check its name, the credentials and their rights")]
    NotUsable {
        /// The kind of the failure.
        fault: StoreFault,
        /// The store's error.
        source: object_store::Error,
    },
    /// The store failed for longer than [`Delivery::retry_max`](crate::Delivery::retry_max), or denied for longer than
    /// [`Delivery::denied_max`](crate::Delivery::denied_max). The records are still in the stream, and the prepared
    /// objects are recorded on the leases.
    #[error(
        "the object `{key}` could not be written in {attempts} tries of {failing_for:?}, {fault}: mend it and start the delivery again, it goes on where it was"
    )]
    GaveUp {
        /// The object's key.
        key: String,
        /// The kind of the last failure.
        fault: StoreFault,
        /// The time for which it failed.
        failing_for: Duration,
        /// The number of tries.
        attempts: u32,
        /// The store's last error.
        source: object_store::Error,
    },
    /// A large object that was uploaded in parts cannot be completed: the store removed its parts, or a part failed and
    /// cannot be sent again (see [`Delivery::to`](crate::Delivery::to)). Nothing of the object is in the store.
    #[error(
        "the upload of `{key}` is lost: start the delivery again, it reads the records once more and writes the same object"
    )]
    UploadLost {
        /// The object's key.
        key: String,
        /// The store's error.
        source: object_store::Error,
    },
    /// An object is there already with other bytes: the transform gives another result for the same record (by a clock
    /// or a random number), its settings were changed, or another delivery has the same name and prefix.
    #[error(
        "the object `{key}` is there already with other bytes: give each delivery a name or prefix of its own, and let the transform depend on the record alone"
    )]
    ObjectDiffers {
        /// The object's key.
        key: String,
    },
    /// A block could not be compressed.
    #[error("records of {shard} could not be compressed")]
    Compress {
        /// The shard.
        shard: ShardId,
        /// The encoder's error.
        source: io::Error,
    },
    /// A checkpoint, or the prepared objects, could not be stored on the lease.
    #[error("the progress of {shard} could not be stored")]
    Progress {
        /// The shard.
        shard: ShardId,
        /// The reason.
        source: CheckpointerError,
    },
    /// The last worker prepared an object in a form that this version does not read.
    #[error(
        "{shard} has a prepared object that this version cannot read: deliver it with the version that prepared it, or a later one"
    )]
    Prepared {
        /// The shard.
        shard: ShardId,
        /// The reason.
        source: serde_json::Error,
    },
    /// The settings that decide keys and bytes were changed while objects were prepared: with the new settings their
    /// records would be written a second time, under other keys.
    #[error(
        "{shard} has prepared objects, and the name, prefixes, format or compression were changed since: run once with the old settings; the objects are {keys:?}"
    )]
    SettingsChanged {
        /// The shard.
        shard: ShardId,
        /// The keys of the prepared objects, eight at most.
        keys: Vec<String>,
    },
    /// A manifest of a merged object cannot be read.
    #[error("`{key}` is no manifest of a merged object: {problem}")]
    Manifest {
        /// The manifest's key.
        key: String,
        /// The problem.
        problem: String,
    },
    /// The worker ended.
    #[error("the worker of the delivery ended")]
    Worker(#[from] WorkerError),
    /// The stream cannot be read.
    #[error("the stream cannot be read")]
    Read(#[source] GetError),
    /// The task of a shard panicked.
    #[error("the delivery of {shard} panicked")]
    Panicked {
        /// The shard.
        shard: ShardId,
    },
    /// The settings are not usable.
    #[error(transparent)]
    Settings(#[from] InvalidDelivery),
}

/// An invalid setting of a delivery.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidDelivery {
    /// A prefix cannot be used.
    #[error("the {which}: {source}")]
    Prefix {
        /// The name of the prefix.
        which: &'static str,
        /// The problem.
        source: PrefixError,
    },
    /// The time zone is not known.
    #[error("the time zone `{zone}` is not known: use an IANA name as Europe/Berlin")]
    TimeZone {
        /// The name.
        zone: String,
    },
    /// A limit is out of its range.
    #[error("{what} is {value}: set {range}")]
    OutOfRange {
        /// The setting.
        what: &'static str,
        /// The value.
        value: String,
        /// The range.
        range: &'static str,
    },
    /// The format and the compression do not go together.
    #[error("the format tri is Snappy's framing format: set no other compression")]
    TriCompression,
    /// The worker has several streams. Their shards have the same ids, so their objects would have the same keys.
    #[error(
        "the worker has {streams} streams, and their objects would have the same keys: build a worker for each stream, \
         with an application and a prefix of its own"
    )]
    SeveralStreams {
        /// The number of streams.
        streams: usize,
    },
    /// The delivery's name is empty or too long to be a part of keys.
    #[error("the name `{name}` cannot be a part of keys: set 1 to 64 bytes, `/` is no part of it")]
    Name {
        /// The name.
        name: String,
    },
    /// The prefix uses a partition key, but no transform or query makes one.
    #[error("the prefix has `{expression}`, and {missing} is set")]
    NoPartitionKeys {
        /// The expression.
        expression: String,
        /// The missing setting.
        missing: &'static str,
    },
    /// The jq query cannot be compiled.
    #[error("the jq query `{query}` cannot be used: {problem}")]
    Query {
        /// The query.
        query: String,
        /// The problem.
        problem: String,
    },
    /// The URL names no store.
    #[error("`{url}` names no object store")]
    Url {
        /// The URL.
        url: String,
        /// The reason.
        source: BoxError,
    },
    /// The encoder cannot be made.
    #[error("the compression cannot be set up")]
    Compression(#[source] io::Error),
    /// The worker's settings are not usable.
    #[error(transparent)]
    Worker(#[from] InvalidWorkerOption),
}
