//! A delivery: its settings here, their check in `check`, its run in `run`.

mod check;
#[cfg(feature = "aws")]
mod credentials;
mod location;
mod run;

use std::{fmt, sync::Arc, time::Duration};

use kinesis_pipeline::{
    Clock, KinesisRecord,
    firehose::{IntoVerdict, Transform},
};
pub use location::Location;
use object_store::{ObjectStore, multipart::MultipartStore};
pub use run::{DeliveryHandle, DeliveryHealth, DeliveryWorker};

use crate::{
    Compression, Format, Naming, merge::MergeLimits, store::Destination, transform::TransformFn,
};

/// 1 MiB.
const MIB: usize = 1024 * 1024;
/// The default size of a buffer. Firehose's limits are 128 MiB and 15 minutes, its defaults 5 MiB and 5 minutes.
const BUFFER_BYTES: u64 = 5 * MIB as u64;
const BUFFER_AGE: Duration = Duration::from_mins(1);
const MEMORY_BYTES: usize = 64 * MIB;
const FOLDERS: usize = 10_000;
/// The default time of retries. Firehose retries for 24 hours.
const RETRY_MAX: Duration = Duration::from_hours(24);

/// The service whose names, prefixes and format a delivery imitates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Like {
    /// Names, prefixes and bytes as Firehose makes them: records back to back.
    Firehose,
    /// Names and prefixes of a Kinesis channel; a record per line.
    Channel,
}

/// A delivery of records to object storage: a buffer for each folder, keys by time and partition, and each record in one
/// object.
///
/// See the [crate's page](crate) for an example and the promises.
#[must_use = "a delivery does nothing until it runs"]
pub struct Delivery {
    destination: Destination,
    name: String,
    naming: Naming,
    prefix: Option<String>,
    error_prefix: Option<String>,
    source_prefix: Option<String>,
    time_zone: String,
    format: Format,
    compression: Compression,
    extension: Option<String>,
    buffer_bytes: u64,
    buffer_age: Duration,
    idle: Option<Duration>,
    memory_bytes: usize,
    folders: usize,
    merge: Option<MergeLimits>,
    transform: TransformFn,
    has_keys: bool,
    query: Option<String>,
    flush_on_stop: bool,
    retry_max: Duration,
    denied_max: Option<Duration>,
    clock: Clock,
}

impl Delivery {
    /// Returns a delivery to this store, with the defaults.
    ///
    /// Objects of 64 MiB and more are uploaded in parts. A part that failed is sent again to `AmazonS3`,
    /// `GoogleCloudStorage`, `MicrosoftAzure` (with the features of this crate) and `InMemory`, also in a
    /// `PrefixStore`. With other stores a failed part ends the delivery with
    /// [`DeliveryError::UploadLost`](crate::DeliveryError::UploadLost), and the next start uploads the object from its
    /// beginning; for a store that implements `MultipartStore`, use [`to_multipart`](Self::to_multipart).
    pub fn to(store: impl ObjectStore) -> Self {
        Self::to_destination(Destination::of(store))
    }

    /// Returns a delivery to a store that is shared with other code. The store's type is not known, so a failed part of
    /// an upload is not sent again: see [`to`](Self::to) and [`to_multipart`](Self::to_multipart).
    pub fn to_shared(store: Arc<dyn ObjectStore>) -> Self {
        Self::to_destination(Destination::of_any(store))
    }

    /// Returns a delivery to a store that accepts a failed part of an upload again: see [`to`](Self::to). The store may
    /// be shared.
    ///
    /// ```
    /// # use kinesis_pipeline_delivery::Delivery;
    /// # use object_store::memory::InMemory;
    /// use std::sync::Arc;
    ///
    /// let store = Arc::new(InMemory::new());
    /// let delivery = Delivery::to_multipart(store.clone());
    /// ```
    pub fn to_multipart<S: ObjectStore + MultipartStore>(store: Arc<S>) -> Self {
        Self::to_destination(Destination::with_parts(store))
    }

    fn to_destination(destination: Destination) -> Self {
        Self {
            destination,
            name: "records".to_owned(),
            naming: Naming::default(),
            prefix: None,
            error_prefix: None,
            source_prefix: None,
            time_zone: "UTC".to_owned(),
            format: Format::default(),
            compression: Compression::default(),
            extension: None,
            buffer_bytes: BUFFER_BYTES,
            buffer_age: BUFFER_AGE,
            idle: None,
            memory_bytes: MEMORY_BYTES,
            folders: FOLDERS,
            merge: None,
            transform: TransformFn::default(),
            has_keys: false,
            query: None,
            flush_on_stop: false,
            retry_max: RETRY_MAX,
            denied_max: None,
            clock: Clock::system(),
        }
    }

    /// Returns a delivery to the store and folder of a URL.
    pub fn to_location(location: Location) -> Self {
        Self::to_destination(location.into_destination())
    }

    /// Sets the first part of objects' names, where Firehose has the name of the delivery stream. `records` by default;
    /// two deliveries into one prefix need two names.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the form of objects' names. [`Naming::Position`] by default.
    pub fn naming(mut self, naming: Naming) -> Self {
        self.naming = naming;
        self
    }

    /// Sets names, default prefix and format to those of another service. Setters that are called afterwards override
    /// them.
    pub fn like(mut self, like: Like) -> Self {
        (self.naming, self.format) = match like {
            Like::Firehose => (Naming::Firehose, Format::Concat),
            Like::Channel => (Naming::Channel, Format::Lines),
        };
        if self.extension.is_none() {
            self.extension = Some(String::new());
        }
        self
    }

    /// Sets the prefix of keys, with Firehose's expressions: `!{timestamp:yyyy/MM/dd}` of the object's oldest record,
    /// `!{partitionKeyFromLambda:name}`, `!{partitionKeyFromQuery:name}`, `!{firehose:random-string}`. A prefix without
    /// a timestamp gets the folders `yyyy/MM/dd/HH/` appended. Empty by default.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// Sets the prefix of failed records' keys, with the expressions `!{timestamp:..}`, `!{firehose:error-output-type}`
    /// and `!{firehose:random-string}`. As in Firehose, a prefix with the error type is used as it is written, and the
    /// default is the prefix up to its first expression, then `!{firehose:error-output-type}/yyyy/MM/dd/HH/`. A prefix
    /// with neither error type nor timestamp gets `yyyy/MM/dd/HH/` appended.
    pub fn error_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.error_prefix = Some(prefix.into());
        self
    }

    /// Stores a copy of every record, as it came, under this prefix. Off by default.
    pub fn source_backup(mut self, prefix: impl Into<String>) -> Self {
        self.source_prefix = Some(prefix.into());
        self
    }

    /// Sets the time zone of timestamps in keys, by its IANA name. `UTC` by default.
    pub fn time_zone(mut self, name: impl Into<String>) -> Self {
        self.time_zone = name.into();
        self
    }

    /// Sets the framing of records. [`Format::Lines`] by default.
    pub fn format(mut self, format: Format) -> Self {
        self.format = format;
        self
    }

    /// Sets the compression of objects. None by default.
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Sets the file extension of objects, such as `.json.gz`. By default that of the format and the compression.
    pub fn extension(mut self, extension: impl Into<String>) -> Self {
        self.extension = Some(extension.into());
        self
    }

    /// Sets the size, in bytes **after** compression, and the age at which an object is written, whichever comes first.
    /// The age counts from the arrival of the shard's first record that is not written yet. 5 MiB and 60 s by default;
    /// 1 KiB to 5 TiB, 1 s to 24 hours.
    ///
    /// From 64 MiB on, objects are uploaded in parts of 8 MiB while they grow.
    pub fn buffer(mut self, bytes: u64, age: Duration) -> Self {
        (self.buffer_bytes, self.buffer_age) = (bytes, age);
        self
    }

    /// Sets the time without a new record after which a folder's object is written. The age of [`buffer`](Self::buffer)
    /// by default.
    pub fn idle(mut self, time: Duration) -> Self {
        self.idle = Some(time);
        self
    }

    /// Sets the memory limit of one shard's open objects, in bytes. At the limit, the least recently used objects are
    /// written until half of it is free. 64 MiB by default, 1 MiB at least.
    pub fn memory_bytes(mut self, bytes: usize) -> Self {
        self.memory_bytes = bytes;
        self
    }

    /// Sets the most open objects of one shard. Past it, the least recently used objects are written until half of it
    /// is free. 10,000 by default.
    pub fn folders_max(mut self, folders: usize) -> Self {
        self.folders = folders;
        self
    }

    /// Merges the objects that the shards of this process write into one folder, for fewer and larger files. A merged
    /// object is written when it has this size in bytes, or when its first part has waited this long for parts of other
    /// shards. Off by default; 1 KiB to 5 TiB, 1 ms to 1 hour.
    ///
    /// Merged objects are named `merged-..`. Each has a manifest, `_manifests/<key of the object>.json`, which lists
    /// its segments: for each the shard, the positions of the first and last record, and the range of its bytes.
    ///
    /// ```json
    /// {"version": 1, "object": "a/2026/11/28/18/merged-7fq.jsonl", "bytes": 812, "segments": [
    ///   {"id": "a/2026/11/28/18/records-shardId-000000000000-4959-0.jsonl", "shard_id": "shardId-000000000000",
    ///    "first": {"sequence_number": "4959", "sub_sequence_number": 0},
    ///    "last": {"sequence_number": "4973", "sub_sequence_number": 0}, "records": 14, "offset": 0, "bytes": 812}]}
    /// ```
    ///
    /// After a crash a record may be in storage twice, always in segments of the same `id`:
    /// [`merged_segments`](crate::merged_segments) returns each id once. A reader that ignores the manifests sees the
    /// record twice.
    pub fn merge(mut self, bytes: u64, wait: Duration) -> Self {
        self.merge = Some(MergeLimits { bytes, wait });
        self
    }

    /// Runs a function over every record, as [`firehose::transform`](kinesis_pipeline::firehose::transform) does.
    ///
    /// Records that it keeps are delivered, dropped records are not, and failed records go to the error prefix as
    /// Firehose's JSON lines. The function must depend on the record alone: after a crash it runs over the same records
    /// again, and must make the same bytes.
    pub fn transform<T, V>(self, function: impl Fn(T) -> V + Send + Sync + 'static) -> Self
    where
        T: KinesisRecord,
        V: IntoVerdict<Record: KinesisRecord + 'static>,
    {
        self.transform_with(Transform::new(), function)
    }

    /// Runs a function over every record, as [`transform`](Self::transform), with settings: partition keys, and whether
    /// lines are ended.
    pub fn transform_with<T, V, R>(
        mut self,
        transform: Transform<R>,
        function: impl Fn(T) -> V + Send + Sync + 'static,
    ) -> Self
    where
        T: KinesisRecord,
        R: KinesisRecord + 'static,
        V: IntoVerdict<Record = R>,
    {
        self.transform = TransformFn::new(transform, function);
        self.has_keys = true;
        self
    }

    /// Sets the jq query that makes the partition keys of each delivered JSON record, as an object:
    /// `{state: .address.state}` for `!{partitionKeyFromQuery:state}`. A record on which the query fails goes to the
    /// error prefix.
    ///
    /// A query must end on every record, with the same result each time, so `def`, `reduce`, `foreach`, assignments and
    /// functions such as `range`, `repeat`, `until` and `now` are refused. On one record it takes at most 1,000,000
    /// steps: one for each value that it makes, and one for each 16 bytes of the value, so at most 16 MB. A record that
    /// needs more, or nests deeper than 128 levels, goes to the error prefix. Texts are made of texts, numbers and
    /// booleans only.
    #[cfg(feature = "jq")]
    pub fn partition_by_jq(mut self, query: impl Into<String>) -> Self {
        self.query = Some(query.into());
        self
    }

    /// Sets whether a worker that is stopped writes its open objects. False by default: the next worker reads their
    /// records again and makes the same objects as without the stop. Set it where no other worker follows.
    pub fn flush_on_stop(mut self, yes: bool) -> Self {
        self.flush_on_stop = yes;
        self
    }

    /// Sets how long a failing call to the store is retried, with pauses that grow to 30 s, before the delivery ends
    /// with [`DeliveryError::GaveUp`](crate::DeliveryError::GaveUp). It covers outages, throttling, expired
    /// credentials, and denials. 24 hours by default, as in Firehose; `Duration::MAX` means no limit.
    ///
    /// Meanwhile [`DeliveryHandle::health`] shows the failure, the records stay in the stream, and the prepared objects
    /// are recorded on the leases. Keep this time shorter than the stream's retention.
    pub fn retry_max(mut self, time: Duration) -> Self {
        self.retry_max = time;
        self
    }

    /// Sets how long the store may deny access, or lack the bucket, before the delivery ends with
    /// [`DeliveryError::GaveUp`](crate::DeliveryError::GaveUp). The time of [`retry_max`](Self::retry_max) by default,
    /// as Firehose retries these failures too: a change of permissions takes minutes to reach all servers, and to
    /// correct one takes longer.
    ///
    /// A denial at the start ends the delivery at once, with
    /// [`DeliveryError::NotUsable`](crate::DeliveryError::NotUsable).
    pub fn denied_max(mut self, time: Duration) -> Self {
        self.denied_max = Some(time);
        self
    }

    /// Sets the clock that measures ages. The system's by default.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("destination", &self.destination)
            .field("name", &self.name)
            .field("prefix", &self.prefix)
            .field("format", &self.format)
            .field("compression", &self.compression)
            .field("has_transform", &self.transform.is_set())
            .finish_non_exhaustive()
    }
}
