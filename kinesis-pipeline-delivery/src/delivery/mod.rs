//! The delivery: its settings here, their check in `check`, its course in `run`.

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
/// Firehose's limits of a buffer are 128 MiB and 15 minutes; its default is 5 MiB and 5 minutes.
const BUFFER_BYTES: u64 = 5 * MIB as u64;
const BUFFER_AGE: Duration = Duration::from_mins(1);
const MEMORY_BYTES: usize = 64 * MIB;
const FOLDERS: usize = 10_000;
/// Firehose tries for 24 hours.
const RETRY_MAX: Duration = Duration::from_hours(24);

/// Firehose's behaviour, or that of a Kinesis channel, in names and prefixes.
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
    /// A delivery to this store, with the defaults.
    ///
    /// Objects of 64 MiB and more are uploaded in parts. `AmazonS3`, `GoogleCloudStorage`, `MicrosoftAzure` (with the
    /// features of this crate) and `InMemory`, also in a `PrefixStore`, are sent a part again that they refused. Other
    /// stores take none again, so that such a failure ends the delivery with
    /// [`DeliveryError::UploadLost`](crate::DeliveryError::UploadLost), and the next start uploads the object from its
    /// begin; give those that implement `MultipartStore` to [`to_multipart`](Self::to_multipart).
    pub fn to(store: impl ObjectStore) -> Self {
        Self::to_destination(Destination::of(store))
    }

    /// A delivery to a store that others use too. Its kind is not known: it is sent no part of an upload again, see
    /// [`to`](Self::to) and [`to_multipart`](Self::to_multipart).
    pub fn to_shared(store: Arc<dyn ObjectStore>) -> Self {
        Self::to_destination(Destination::of_any(store))
    }

    /// A delivery to a store that takes a part of an upload again, see [`to`](Self::to). Others may use it too.
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

    /// A delivery to the store and folder of a URL.
    pub fn to_location(location: Location) -> Self {
        Self::to_destination(location.into_destination())
    }

    /// The first part of objects' names, as Firehose puts the delivery stream's name there. `records` by default; two
    /// deliveries into one prefix need two names.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The form of objects' names. [`Naming::Position`] by default.
    pub fn naming(mut self, naming: Naming) -> Self {
        self.naming = naming;
        self
    }

    /// Names, prefix and format of another service, as defaults of what is not set otherwise afterwards.
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

    /// The begin of keys, with Firehose's expressions: `!{timestamp:yyyy/MM/dd}` of the object's oldest record,
    /// `!{partitionKeyFromLambda:name}`, `!{partitionKeyFromQuery:name}`, `!{firehose:random-string}`. One without a
    /// timestamp gets the folders `yyyy/MM/dd/HH/` behind it. Empty by default.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = Some(prefix.into());
        self
    }

    /// The begin of keys of failed records, with the expressions `!{timestamp:..}`, `!{firehose:error-output-type}` and
    /// `!{firehose:random-string}`. As in Firehose, one with the error type is taken as it is written, and the default is the
    /// prefix up to its first expression, then `!{firehose:error-output-type}/yyyy/MM/dd/HH/`. One without it and without a
    /// timestamp gets `yyyy/MM/dd/HH/` behind it.
    pub fn error_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.error_prefix = Some(prefix.into());
        self
    }

    /// Keeps every record also as it came, under this prefix. Not by default.
    pub fn source_backup(mut self, prefix: impl Into<String>) -> Self {
        self.source_prefix = Some(prefix.into());
        self
    }

    /// The time zone of timestamps in keys, by its IANA name. `UTC` by default.
    pub fn time_zone(mut self, name: impl Into<String>) -> Self {
        self.time_zone = name.into();
        self
    }

    /// The framing of records. [`Format::Lines`] by default.
    pub fn format(mut self, format: Format) -> Self {
        self.format = format;
        self
    }

    /// The compression of objects. None by default.
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// The end of objects' names, such as `.json.gz`. By default that of the format and the compression.
    pub fn extension(mut self, extension: impl Into<String>) -> Self {
        self.extension = Some(extension.into());
        self
    }

    /// An object is written when it has these bytes, **after** compression, or when this time has passed since the first
    /// record of the shard that is not written arrived, whichever comes first. 5 MiB and 60 s by default; 1 KiB to
    /// 5 TiB, 1 s to 24 hours.
    ///
    /// From 64 MiB on, objects are uploaded in parts of 8 MiB while they grow.
    pub fn buffer(mut self, bytes: u64, age: Duration) -> Self {
        (self.buffer_bytes, self.buffer_age) = (bytes, age);
        self
    }

    /// A folder's object is written when none of its records came for this time. The age of [`buffer`](Self::buffer) by
    /// default.
    pub fn idle(mut self, time: Duration) -> Self {
        self.idle = Some(time);
        self
    }

    /// The memory of the open objects of one shard, in bytes: when it is used up, the coldest are written until half is
    /// free. 64 MiB by default, 1 MiB at least.
    pub fn memory_bytes(mut self, bytes: usize) -> Self {
        self.memory_bytes = bytes;
        self
    }

    /// The most open objects of one shard; past it, the coldest are written until half is free. 10,000 by default.
    pub fn folders_max(mut self, folders: usize) -> Self {
        self.folders = folders;
        self
    }

    /// Puts what the shards of this process write into one folder together into one object: fewer and larger files. An
    /// object is written when it has these bytes, or when its first part has waited this long for those of other shards.
    /// Not by default; 1 KiB to 5 TiB, 1 ms to 1 hour.
    ///
    /// Objects are named `merged-..`. Beside each stands a manifest, `_manifests/<key of the object>.json`, of the segments
    /// in it: for each its shard, the positions of its first and last record, and the place of its bytes.
    ///
    /// ```json
    /// {"version": 1, "object": "a/2026/11/28/18/merged-7fq.jsonl", "bytes": 812, "segments": [
    ///   {"id": "a/2026/11/28/18/records-shardId-000000000000-4959-0.jsonl", "shard_id": "shardId-000000000000",
    ///    "first": {"sequence_number": "4959", "sub_sequence_number": 0},
    ///    "last": {"sequence_number": "4973", "sub_sequence_number": 0}, "records": 14, "offset": 0, "bytes": 812}]}
    /// ```
    ///
    /// After a crash a record may be in storage twice, always in a segment of the same `id`:
    /// [`merged_segments`](crate::merged_segments) takes each once. Reading the objects without the manifests sees it
    /// twice.
    pub fn merge(mut self, bytes: u64, wait: Duration) -> Self {
        self.merge = Some(MergeLimits { bytes, wait });
        self
    }

    /// Runs a function over every record: the same as in [`firehose::transform`](kinesis_pipeline::firehose::transform).
    ///
    /// Records that it keeps are delivered, those that it drops are not, and those that it fails go to the error prefix as Firehose's JSON
    /// lines. It must depend on the record alone: after a crash it runs over the same records again, and must make the
    /// same bytes.
    pub fn transform<T, V>(self, function: impl Fn(T) -> V + Send + Sync + 'static) -> Self
    where
        T: KinesisRecord,
        V: IntoVerdict<Record: KinesisRecord + 'static>,
    {
        self.transform_with(Transform::new(), function)
    }

    /// As [`transform`](Self::transform), with settings: partition keys, and whether lines are ended.
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

    /// A jq query that makes an object of partition keys of each delivered JSON record: `{state: .address.state}` for
    /// `!{partitionKeyFromQuery:state}`. A record that it fails on goes to the error prefix.
    ///
    /// A query ends on every record, with the same result each time: `def`, `reduce`, `foreach`, assignments and functions
    /// such as `range`, `repeat`, `until` and `now` are refused. On one record it takes at most 1,000,000 steps, one for each
    /// value that it makes and for each 16 bytes of it, hence 16 MB; a record past that, or nested deeper than 128, goes to
    /// the error prefix. Texts are made of texts, numbers and booleans.
    #[cfg(feature = "jq")]
    pub fn partition_by_jq(mut self, query: impl Into<String>) -> Self {
        self.query = Some(query.into());
        self
    }

    /// Whether a worker that is stopped writes what is open. False by default: the next worker reads those records again
    /// and makes the objects that would have been made. Set it where none follows.
    pub fn flush_on_stop(mut self, yes: bool) -> Self {
        self.flush_on_stop = yes;
        self
    }

    /// Sets the time for which a failing call to the store is made again, with pauses that grow to 30 s, before the
    /// delivery ends with [`DeliveryError::GaveUp`](crate::DeliveryError::GaveUp): outages, throttling, credentials that
    /// have expired, and denials. 24 hours by default, as Firehose has it; no limit: `Duration::MAX`.
    ///
    /// Meanwhile [`DeliveryHandle::health`] shows the failure, the records stay in the stream, and what was prepared stands
    /// on the leases. Keep it shorter than the stream's retention.
    pub fn retry_max(mut self, time: Duration) -> Self {
        self.retry_max = time;
        self
    }

    /// Sets the time for which the store may deny access, or have no such bucket, before the delivery ends with
    /// [`DeliveryError::GaveUp`](crate::DeliveryError::GaveUp). That of [`retry_max`](Self::retry_max) by default, as
    /// Firehose tries then too: a change of rights takes minutes to come to all servers, and mending one takes longer.
    ///
    /// At the start a denial ends it at once, with [`DeliveryError::NotUsable`](crate::DeliveryError::NotUsable).
    pub fn denied_max(mut self, time: Duration) -> Self {
        self.denied_max = Some(time);
        self
    }

    /// The clock that ages are measured by. The system's by default.
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
