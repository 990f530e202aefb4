//! The operations of the API, one per file.
//!
//! ```text
//!   HTTP face ── dispatch(name, wire) ──┐
//!                                       ├─> call::<O>(request) ──> O::run(core, request) ──> state
//!   in process ── the seam ─────────────┘        │
//!                                           faults, limits
//! ```

pub(super) mod add_tags_to_stream;
pub(super) mod commitment;
pub(super) mod consumer;
pub(super) mod create_stream;
pub(super) mod decrease_stream_retention_period;
pub(super) mod delete_resource_policy;
pub(super) mod delete_stream;
pub(super) mod deregister_stream_consumer;
pub(super) mod describe_account_settings;
pub(super) mod describe_limits;
pub(super) mod describe_stream;
pub(super) mod describe_stream_consumer;
pub(super) mod describe_stream_summary;
pub(super) mod disable_enhanced_monitoring;
pub(super) mod enable_enhanced_monitoring;
pub(super) mod encryption;
pub(super) mod entry;
pub(super) mod get_records;
pub(super) mod get_resource_policy;
pub(super) mod get_shard_iterator;
pub(super) mod increase_stream_retention_period;
pub(super) mod list_shards;
pub(super) mod list_stream_consumers;
pub(super) mod list_streams;
pub(super) mod list_tags_for_resource;
pub(super) mod list_tags_for_stream;
pub(super) mod merge_shards;
pub(super) mod metrics;
pub(super) mod position;
pub(super) mod put_record;
pub(super) mod put_records;
pub(super) mod put_resource_policy;
mod rate;
pub(super) mod register_stream_consumer;
pub(super) mod remove_tags_from_stream;
mod resource;
pub(super) mod retention;
pub(super) mod shapes;
pub(super) mod split_shard;
pub(super) mod start_stream_encryption;
pub(super) mod stop_stream_encryption;
pub(super) mod subscribe_to_shard;
pub(super) mod tag_resource;
pub(super) mod tags;
pub(super) mod untag_resource;
pub(super) mod update_account_settings;
pub(super) mod update_max_record_size;
pub(super) mod update_shard_count;
pub(super) mod update_stream_mode;
pub(super) mod update_stream_record_distribution_strategy;
pub(super) mod update_stream_warm_throughput;

use std::time::Duration;

use bytestring::ByteString;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    api_error::{ApiError, CallFailure},
    core::Core,
    faults::Refusals,
    protocol::Wire,
    state::shard::{shard_id, shard_index},
};

/// One operation of the API: its input, its answer, and its effect.
///
/// Members have the names of the API reference. A required member is an `Option` all the same: its absence is
/// an answer of [`run`](Self::run), in the service's words.
pub(super) trait Operation {
    /// The API's name, such as `PutRecords`.
    const NAME: &'static str;
    /// The members of the request.
    type Request: DeserializeOwned + Send;
    /// The members of the answer.
    type Response: Serialize + Send;

    /// The number of calls a second that are allowed, if the operation has such a rate. Most have this one.
    const CALLS_PER_SECOND: Option<u32> = Some(5);

    /// Returns the name of the stream that the rate is counted for; `None` if it is counted for the account.
    fn rated_stream(_request: &Self::Request) -> Option<&str> {
        None
    }

    /// Returns the shards that the call is about, for the faults that are set on shards.
    fn shards(_core: &Core, _request: &Self::Request) -> Vec<ByteString> {
        Vec::new()
    }

    /// Counts the entries of a put, for the faults that are set on entries.
    fn entries(_request: &Self::Request) -> usize {
        0
    }

    /// Marks some entries of a put as refused.
    fn refuse(_request: &mut Self::Request, _refusals: Refusals) {}

    /// Carries the call out. It neither waits nor blocks for long.
    fn run(core: &Core, request: Self::Request) -> Result<Self::Response, ApiError>;
}

/// The answer of an operation without members in it.
#[derive(Debug, Serialize)]
pub(super) struct Nothing {}

/// Carries one call out, with the faults and limits that are set on it.
pub(super) async fn call<O: Operation>(
    core: &Core,
    mut request: O::Request,
) -> Result<O::Response, CallFailure> {
    if !core.faults.may_strike() {
        rate::check::<O>(core, &request)?;
        let answer = O::run(core, request);
        // Reads wait too: a record that a crash could still lose is not given out.
        core.kept().await?;
        return Ok(answer?);
    }
    let plan = core
        .faults
        .plan(O::NAME, &O::shards(core, &request), O::entries(&request));
    wait(plan.delay).await;
    if let Some(error) = plan.refused {
        return Err(error.into());
    }
    O::refuse(&mut request, plan.refusals);
    rate::check::<O>(core, &request)?;
    let answer = O::run(core, request);
    core.kept().await?;
    let response = answer?;
    if plan.lost {
        return Err(CallFailure::ResponseLost);
    }
    Ok(response)
}

/// Returns the shard that a request names, with the full form of its id.
fn named_shard(id: Option<&str>) -> Vec<ByteString> {
    id.and_then(shard_index).map(shard_id).into_iter().collect()
}

pub(super) async fn wait(delay: Duration) {
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
}

async fn exchange<O: Operation, W: Wire + Sync>(
    core: &Core,
    wire: &W,
) -> Result<W::Answer, CallFailure> {
    let request = wire.read::<O::Request>()?;
    let response = call::<O>(core, request).await?;
    Ok(wire.write(&response)?)
}

/// Operations of the API that are left out: they belong to another service.
const CHANNEL_OPERATIONS: &[&str] = &[
    "CreateChannel",
    "DeleteChannel",
    "DescribeChannel",
    "ListChannels",
    "UpdateChannel",
];
const QUEUE_OPERATIONS: &[&str] = &[
    "AcknowledgeDeadLetterQueueRecords",
    "AcknowledgeQueueRecords",
    "CreateQueue",
    "DeleteQueue",
    "DescribeQueue",
    "ListQueues",
    "ReceiveDeadLetterQueueRecords",
    "ReceiveQueueRecords",
    "RestoreDeadLetterQueueRecords",
    "UpdateDeadLetterQueueRecordsVisibility",
    "UpdateQueue",
    "UpdateQueueRecordsVisibility",
];

/// Returns the answer to a name that no operation here has.
fn unknown(name: &str) -> ApiError {
    let missing = if CHANNEL_OPERATIONS.contains(&name) {
        "channels"
    } else if QUEUE_OPERATIONS.contains(&name) {
        "queues"
    } else {
        return ApiError::no_operation();
    };
    ApiError::unknown_operation(format!(
        "The embedded Kinesis leaves out {name}: it has no {missing}"
    ))
}

macro_rules! dispatch {
    ($($module:ident::$operation:ident,)*) => {
        /// The operations that [`dispatch`] knows. `SubscribeToShard` is not among them, as its answer is a stream of events.
        #[cfg(test)]
        const NAMES: &[&str] = &[$($module::$operation::NAME,)*];

        /// Carries out the call of the operation with this name.
        pub(super) async fn dispatch<W: Wire + Sync>(
            core: &Core,
            name: &str,
            wire: &W,
        ) -> Result<W::Answer, CallFailure> {
            match name {
                $($module::$operation::NAME => exchange::<$module::$operation, W>(core, wire).await,)*
                other => Err(unknown(other).into()),
            }
        }
    };
}

dispatch! {
    add_tags_to_stream::AddTagsToStream,
    create_stream::CreateStream,
    decrease_stream_retention_period::DecreaseStreamRetentionPeriod,
    delete_resource_policy::DeleteResourcePolicy,
    delete_stream::DeleteStream,
    deregister_stream_consumer::DeregisterStreamConsumer,
    describe_account_settings::DescribeAccountSettings,
    describe_limits::DescribeLimits,
    describe_stream::DescribeStream,
    describe_stream_consumer::DescribeStreamConsumer,
    describe_stream_summary::DescribeStreamSummary,
    disable_enhanced_monitoring::DisableEnhancedMonitoring,
    enable_enhanced_monitoring::EnableEnhancedMonitoring,
    get_records::GetRecords,
    get_resource_policy::GetResourcePolicy,
    get_shard_iterator::GetShardIterator,
    increase_stream_retention_period::IncreaseStreamRetentionPeriod,
    list_shards::ListShards,
    list_stream_consumers::ListStreamConsumers,
    list_streams::ListStreams,
    list_tags_for_resource::ListTagsForResource,
    list_tags_for_stream::ListTagsForStream,
    merge_shards::MergeShards,
    put_record::PutRecord,
    put_records::PutRecords,
    put_resource_policy::PutResourcePolicy,
    register_stream_consumer::RegisterStreamConsumer,
    remove_tags_from_stream::RemoveTagsFromStream,
    split_shard::SplitShard,
    start_stream_encryption::StartStreamEncryption,
    stop_stream_encryption::StopStreamEncryption,
    tag_resource::TagResource,
    untag_resource::UntagResource,
    update_account_settings::UpdateAccountSettings,
    update_max_record_size::UpdateMaxRecordSize,
    update_shard_count::UpdateShardCount,
    update_stream_mode::UpdateStreamMode,
    update_stream_record_distribution_strategy::UpdateStreamRecordDistributionStrategy,
    update_stream_warm_throughput::UpdateStreamWarmThroughput,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::state::names::OPERATIONS;

    #[test]
    fn every_operation_is_in_the_list_of_names_and_no_other() {
        let mut known = NAMES.to_vec();
        known.push(subscribe_to_shard::NAME);
        known.sort_unstable();
        assert_eq!(known, OPERATIONS);
    }
}
