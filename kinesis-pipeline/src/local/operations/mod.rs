//! The operations of the API, one per file.
//!
//! ```text
//!   HTTP face ── dispatch(name, wire) ──┐
//!                                       ├─> call::<O>(request) ──> O::run(core, request) ──> state
//!   in process ── the seam ─────────────┘        │
//!                                           faults, limits
//! ```

pub(crate) mod add_tags_to_stream;
pub(crate) mod commitment;
pub(crate) mod consumer;
pub(crate) mod create_stream;
pub(crate) mod decrease_stream_retention_period;
pub(crate) mod delete_resource_policy;
pub(crate) mod delete_stream;
pub(crate) mod deregister_stream_consumer;
pub(crate) mod describe_account_settings;
pub(crate) mod describe_limits;
pub(crate) mod describe_stream;
pub(crate) mod describe_stream_consumer;
pub(crate) mod describe_stream_summary;
pub(crate) mod disable_enhanced_monitoring;
pub(crate) mod enable_enhanced_monitoring;
pub(crate) mod encryption;
pub(crate) mod entry;
pub(crate) mod get_records;
pub(crate) mod get_resource_policy;
pub(crate) mod get_shard_iterator;
pub(crate) mod increase_stream_retention_period;
pub(crate) mod list_shards;
pub(crate) mod list_stream_consumers;
pub(crate) mod list_streams;
pub(crate) mod list_tags_for_resource;
pub(crate) mod list_tags_for_stream;
pub(crate) mod merge_shards;
pub(crate) mod metrics;
pub(crate) mod position;
pub(crate) mod put_record;
pub(crate) mod put_records;
pub(crate) mod put_resource_policy;
mod rate;
pub(crate) mod register_stream_consumer;
pub(crate) mod remove_tags_from_stream;
pub(crate) mod retention;
pub(crate) mod shapes;
pub(crate) mod split_shard;
pub(crate) mod start_stream_encryption;
pub(crate) mod stop_stream_encryption;
pub(crate) mod subscribe_to_shard;
pub(crate) mod tag_resource;
pub(crate) mod tags;
pub(crate) mod untag_resource;
pub(crate) mod update_account_settings;
pub(crate) mod update_max_record_size;
pub(crate) mod update_shard_count;
pub(crate) mod update_stream_mode;
pub(crate) mod update_stream_record_distribution_strategy;
pub(crate) mod update_stream_warm_throughput;

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

    /// How many calls a second the account is allowed, if the operation has such a rate. Most have this one.
    const CALLS_PER_SECOND: Option<u32> = Some(5);

    /// The name of the stream that the rate holds for; none if it holds for the account.
    fn rated_stream(_request: &Self::Request) -> Option<&str> {
        None
    }

    /// The shards that the call is about, for the faults that are set on shards.
    fn shards(_core: &Core, _request: &Self::Request) -> Vec<ByteString> {
        Vec::new()
    }

    /// How many entries a put has, for the faults that are set on entries.
    fn entries(_request: &Self::Request) -> usize {
        0
    }

    /// Has some entries of a put refused.
    fn refuse(_request: &mut Self::Request, _refusals: Refusals) {}

    /// Carries the call out. It neither waits nor blocks for long.
    fn run(core: &Core, request: Self::Request) -> Result<Self::Response, ApiError>;
}

/// The answer of an operation that has nothing to say.
#[derive(Debug, Serialize)]
pub(crate) struct Nothing {}

/// Carries one call out, with the faults and limits that are set on it.
pub(crate) async fn call<O: Operation>(
    core: &Core,
    mut request: O::Request,
) -> Result<O::Response, CallFailure> {
    if !core.faults.may_strike() {
        rate::check::<O>(core, &request)?;
        let answer = O::run(core, request);
        // Reads wait too: nobody sees a record that a crash could still take away.
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

/// The shard that a request names, in the service's way of writing it.
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

/// Operations of the API that are not here: another service's work.
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

/// The answer to a name that no operation here has.
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
        /// The operations that [`dispatch`] knows. `SubscribeToShard` is not among them: it answers a stream
        /// of events.
        #[cfg(test)]
        const NAMES: &[&str] = &[$($module::$operation::NAME,)*];

        /// Carries out the call of the operation with this name.
        pub(crate) async fn dispatch<W: Wire + Sync>(
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
