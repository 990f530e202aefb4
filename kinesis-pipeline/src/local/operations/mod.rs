//! The operations of the API, one per file.
//!
//! ```text
//!   HTTP face ── dispatch(name, wire) ──┐
//!                                       ├─> call::<O>(request) ──> O::run(core, request) ──> state
//!   in process ── the seam ─────────────┘        │
//!                                           faults, limits
//! ```

pub(crate) mod create_stream;
pub(crate) mod delete_stream;
pub(crate) mod describe_stream;
pub(crate) mod describe_stream_summary;
pub(crate) mod entry;
pub(crate) mod get_records;
pub(crate) mod get_shard_iterator;
pub(crate) mod list_shards;
pub(crate) mod list_streams;
pub(crate) mod merge_shards;
mod position;
pub(crate) mod put_record;
pub(crate) mod put_records;
pub(crate) mod shapes;
pub(crate) mod split_shard;
pub(crate) mod subscribe_to_shard;

use serde::{Serialize, de::DeserializeOwned};

use super::{
    api_error::{ApiError, CallFailure},
    core::Core,
};

use create_stream::CreateStream;
use delete_stream::DeleteStream;
use describe_stream::DescribeStream;
use describe_stream_summary::DescribeStreamSummary;
use get_records::GetRecords;
use get_shard_iterator::GetShardIterator;
use list_shards::ListShards;
use list_streams::ListStreams;
use merge_shards::MergeShards;
use put_record::PutRecord;
use put_records::PutRecords;
use split_shard::SplitShard;

/// One operation of the API: what it takes, what it answers, and what it does.
///
/// Members have the names of the API reference. A required member is an `Option` all the same: its absence is
/// an answer of [`run`](Self::run), in the service's words.
pub(crate) trait Operation {
    /// The API's name, such as `PutRecords`.
    const NAME: &'static str;
    /// The members of the request.
    type Request: DeserializeOwned + Send;
    /// The members of the answer.
    type Response: Serialize + Send;

    /// Carries the call out. It neither waits nor blocks for long.
    fn run(core: &Core, request: Self::Request) -> Result<Self::Response, ApiError>;
}

/// The answer of an operation that has nothing to say.
#[derive(Debug, Serialize)]
pub(crate) struct Nothing {}

/// One call on the wire: how its request is read and its answer written.
pub(crate) trait Wire: Send {
    /// A written answer.
    type Answer: Send;

    /// Reads the request's members; `SerializationException` if it cannot.
    fn read<T: DeserializeOwned>(&self) -> Result<T, ApiError>;

    /// Writes the answer's members.
    fn write<T: Serialize>(&self, response: &T) -> Result<Self::Answer, ApiError>;
}

/// Carries one call out in process.
pub(crate) async fn call<O: Operation>(
    core: &Core,
    request: O::Request,
) -> Result<O::Response, CallFailure> {
    // The faults of this operation come here.
    std::future::ready(()).await;
    Ok(O::run(core, request)?)
}

async fn exchange<O: Operation, W: Wire + Sync>(
    core: &Core,
    wire: &W,
) -> Result<W::Answer, CallFailure> {
    let request = wire.read::<O::Request>()?;
    let response = call::<O>(core, request).await?;
    Ok(wire.write(&response)?)
}

macro_rules! dispatch {
    ($($operation:ident,)*) => {
        /// The operations that [`dispatch`] knows. `SubscribeToShard` is not among them: it answers a stream
        /// of events.
        pub(crate) const NAMES: &[&str] = &[$($operation::NAME,)*];

        /// Carries out the call of the operation with this name.
        pub(crate) async fn dispatch<W: Wire + Sync>(
            core: &Core,
            name: &str,
            wire: &W,
        ) -> Result<W::Answer, CallFailure> {
            match name {
                $($operation::NAME => exchange::<$operation, W>(core, wire).await,)*
                _ => Err(ApiError::unknown_operation(format!(
                    "The embedded Kinesis has no operation {name}"
                )).into()),
            }
        }
    };
}

dispatch! {
    CreateStream,
    DeleteStream,
    DescribeStream,
    DescribeStreamSummary,
    GetRecords,
    GetShardIterator,
    ListShards,
    ListStreams,
    MergeShards,
    PutRecord,
    PutRecords,
    SplitShard,
}
