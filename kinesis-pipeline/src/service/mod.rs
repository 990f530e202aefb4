//! The seam: the trait [`Kinesis`], which has the few calls of Amazon Kinesis that this library makes.
//!
//! Everything above the seam makes its calls through the trait. So the service below it can be exchanged:
//!
//! ```text
//!   put/   get/   fleet/   the program
//!                │
//!   trait Kinesis ──┬── aws::AwsKinesis        the official SDK over HTTP
//!                   ├── local::LocalKinesis    the embedded Kinesis, in process
//!                   └── firehose/put           PutRecordBatch of Amazon Data Firehose, for puts alone
//! ```
//!
//! One file per call has its request and its answer. The pipelines above the seam are tested with the embedded Kinesis
//! under paused time. Implement [`Kinesis`] to put a layer of yours between the pipelines and the service: a recorder,
//! a fault injector, a quota.

pub(crate) mod backoff;
mod check_put_records;
mod consumer;
mod create_stream;
mod delete_stream;
mod deregister_stream_consumer;
mod describe_stream_consumer;
mod describe_stream_summary;
mod error;
mod get_records;
mod get_shard_iterator;
pub(crate) mod list_all;
mod list_shards;
mod list_streams;
mod merge_shards;
mod put_records;
mod register_stream_consumer;
mod split_shard;
mod stream_id;
mod subscribe_to_shard;
mod update_shard_count;

#[cfg(feature = "aws")]
pub mod aws;

use std::{fmt, future::Future, pin::Pin};

pub use check_put_records::PutCheck;
pub use consumer::{Consumer, ConsumerStatus};
pub use create_stream::{Capacity, CreateStream};
pub use delete_stream::DeleteStream;
pub use deregister_stream_consumer::DeregisterStreamConsumer;
pub use describe_stream_consumer::DescribeStreamConsumer;
pub use describe_stream_summary::{DescribeStreamSummary, StreamStatus, StreamSummary};
#[cfg(feature = "dynamodb")]
pub(crate) use error::is_expired_session;
pub use error::{ErrorClass, ServiceError};
pub(crate) use get_records::PAGE_RECORDS_MAX;
pub use get_records::{ChildShard, EncryptionType, GetRecords, RecordPage, StoredRecord};
pub use get_shard_iterator::{GetShardIterator, IteratorStart, ShardIterator};
pub use list_shards::{ListShards, ShardFilter, ShardPage};
pub use list_streams::{ListStreams, StreamPage};
pub use merge_shards::MergeShards;
pub use put_records::{EntryFailure, PutRecords, PutRecordsAnswer, StoredAt};
pub use register_stream_consumer::RegisterStreamConsumer;
pub use split_shard::SplitShard;
pub use stream_id::StreamId;
pub use subscribe_to_shard::{SubscribeToShard, Subscription, SubscriptionEvent};
pub use update_shard_count::UpdateShardCount;

/// The header by which the embedded Kinesis says over HTTP that it enforces no limits, and its value.
#[cfg(any(feature = "aws", feature = "local-server"))]
pub(crate) const LIMITS_HEADER: (&str, &str) = ("x-kinesis-pipeline-limits", "none");

/// The future that a call of the seam returns: the answer or a [`ServiceError`].
pub type ServiceFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, ServiceError>> + Send + 'a>>;

/// The calls of Amazon Kinesis Data Streams that this library makes.
///
/// Each method is one call, without retries: the pipelines above decide about those. Dropping a returned future
/// abandons the call; the service may carry it out all the same.
pub trait Kinesis: fmt::Debug + Send + Sync + 'static {
    /// Returns the endpoint for error messages: a URL, or words such as `the embedded Kinesis`.
    fn endpoint(&self) -> &str;

    /// Whether shards enforce the limits of Amazon Kinesis. True by default, and always on AWS.
    ///
    /// If it is false, a [`Producer`](crate::Producer) does not pace its writes. It is called after the shards of a stream
    /// were listed. The embedded Kinesis enforces limits only on request; over HTTP it says so with the header
    /// `x-kinesis-pipeline-limits: none` of its answers.
    fn enforces_limits(&self) -> bool {
        true
    }

    /// Stores up to 500 records. Each entry succeeds or fails alone.
    fn put_records(&self, call: PutRecords) -> ServiceFuture<'_, PutRecordsAnswer>;

    /// Lets the service check the permission and the input of a put without storing anything.
    ///
    /// The default answer is [`PutCheck::Unknown`]. An error is the one that the put itself would get.
    fn check_put_records(&self, call: PutRecords) -> ServiceFuture<'_, PutCheck> {
        let _ = call;
        Box::pin(std::future::ready(Ok(PutCheck::Unknown)))
    }

    /// Fixes a position in a shard to read from.
    fn get_shard_iterator(&self, call: GetShardIterator) -> ServiceFuture<'_, ShardIterator>;

    /// Reads one page of records.
    fn get_records(&self, call: GetRecords) -> ServiceFuture<'_, RecordPage>;

    /// Lists one page of a stream's shards.
    fn list_shards(&self, call: ListShards) -> ServiceFuture<'_, ShardPage>;

    /// Lists one page of the account's streams.
    fn list_streams(&self, call: ListStreams) -> ServiceFuture<'_, StreamPage>;

    /// Describes a stream.
    fn describe_stream_summary(
        &self,
        call: DescribeStreamSummary,
    ) -> ServiceFuture<'_, StreamSummary>;

    /// Begins to create a stream, which is usable once its status is [`StreamStatus::Active`].
    fn create_stream(&self, call: CreateStream) -> ServiceFuture<'_, ()>;

    /// Begins to delete a stream with all its records.
    fn delete_stream(&self, call: DeleteStream) -> ServiceFuture<'_, ()>;

    /// Begins to split a shard in two.
    fn split_shard(&self, call: SplitShard) -> ServiceFuture<'_, ()>;

    /// Begins to merge two adjacent shards.
    fn merge_shards(&self, call: MergeShards) -> ServiceFuture<'_, ()>;

    /// Begins to scale a stream to a number of open shards. It is done once its status is [`StreamStatus::Active`].
    ///
    /// The default is an error of class [`ErrorClass::Invalid`].
    fn update_shard_count(&self, call: UpdateShardCount) -> ServiceFuture<'_, ()> {
        let _ = call;
        let message = "this service does not scale streams";
        let error = ServiceError::unanswered(
            "UpdateShardCount",
            self.endpoint(),
            ErrorClass::Invalid,
            message,
        );
        Box::pin(std::future::ready(Err(error)))
    }

    /// Registers a consumer for enhanced fan-out. It can subscribe once its status is [`ConsumerStatus::Active`].
    ///
    /// The default of this call and the following three is an error of class [`ErrorClass::Invalid`]. A service of yours
    /// offers enhanced fan-out if it has all four.
    fn register_stream_consumer(
        &self,
        call: RegisterStreamConsumer,
    ) -> ServiceFuture<'_, Consumer> {
        let _ = call;
        not_offered("RegisterStreamConsumer", self.endpoint())
    }

    /// Describes a registered consumer.
    fn describe_stream_consumer(
        &self,
        call: DescribeStreamConsumer,
    ) -> ServiceFuture<'_, Consumer> {
        let _ = call;
        not_offered("DescribeStreamConsumer", self.endpoint())
    }

    /// Begins to remove a registered consumer and ends its subscriptions.
    fn deregister_stream_consumer(&self, call: DeregisterStreamConsumer) -> ServiceFuture<'_, ()> {
        let _ = call;
        not_offered("DeregisterStreamConsumer", self.endpoint())
    }

    /// Subscribes a registered consumer to a shard. The position is fixed when the answer comes.
    fn subscribe_to_shard(&self, call: SubscribeToShard) -> ServiceFuture<'_, Subscription> {
        let _ = call;
        not_offered("SubscribeToShard", self.endpoint())
    }
}

/// Returns the answer of a service that does not offer a call.
fn not_offered<'a, T: Send + 'a>(operation: &'static str, endpoint: &str) -> ServiceFuture<'a, T> {
    let message = "this service does not offer enhanced fan-out";
    let error = ServiceError::unanswered(operation, endpoint, ErrorClass::Invalid, message);
    Box::pin(std::future::ready(Err(error)))
}
