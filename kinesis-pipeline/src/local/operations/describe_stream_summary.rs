//! `DescribeStreamSummary`: a stream without its shards.

use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use super::{
    Operation,
    shapes::{EnhancedMetrics, StreamModeDetails, WarmThroughput},
};
use crate::{
    local::{
        api_error::ApiError, core::Core, protocol::values::Timestamp, state::stream::StreamState,
        stream_ref::StreamRef,
    },
    service::StreamStatus,
};

pub(in crate::local) struct DescribeStreamSummary;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Request {
    #[serde(flatten)]
    pub(in crate::local) stream: StreamRef,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Response {
    pub(in crate::local) stream_description_summary: Summary,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Summary {
    pub(in crate::local) stream_name: String,
    #[serde(rename = "StreamARN")]
    pub(in crate::local) stream_arn: String,
    stream_id: String,
    #[serde(serialize_with = "serialize_as_text")]
    pub(in crate::local) stream_status: StreamStatus,
    pub(in crate::local) stream_mode_details: StreamModeDetails,
    pub(in crate::local) retention_period_hours: u32,
    pub(in crate::local) stream_creation_timestamp: Timestamp,
    pub(super) enhanced_monitoring: Vec<EnhancedMetrics>,
    pub(in crate::local) encryption_type: ByteString,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::local) key_id: Option<String>,
    pub(in crate::local) open_shard_count: u32,
    pub(in crate::local) consumer_count: u32,
    /// Always 0: there are no channels and no queues here.
    channel_count: u32,
    queue_count: u32,
    #[serde(rename = "MaxRecordSizeInKiB")]
    pub(in crate::local) max_record_size_in_kib: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    record_distribution_strategy: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    warm_throughput: Option<WarmThroughput>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn serialize_as_text<S: serde::Serializer>(
    status: &StreamStatus,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(status)
}

impl Operation for DescribeStreamSummary {
    const NAME: &'static str = "DescribeStreamSummary";
    const CALLS_PER_SECOND: Option<u32> = Some(20);
    type Request = Request;
    type Response = Response;

    fn run(core: &Core, request: Request) -> Result<Response, ApiError> {
        request.stream.checks().finish()?;
        let (stream, now_millis) = core.named(&request.stream)?;
        let state = stream.read(now_millis);
        Ok(Response {
            stream_description_summary: Summary {
                stream_name: stream.name.clone(),
                stream_arn: stream.arn.clone(),
                stream_id: stream_id(stream.generation),
                stream_status: state.status,
                stream_mode_details: StreamModeDetails::of(state.is_on_demand),
                retention_period_hours: state.retention_hours,
                stream_creation_timestamp: Timestamp::from_millis(stream.created_millis),
                enhanced_monitoring: EnhancedMetrics::of(&state),
                encryption_type: ByteString::from_static(state.encryption_type()),
                key_id: state.key_id.clone(),
                open_shard_count: count(state.topology.open_count()),
                consumer_count: count(state.consumers(now_millis).count()),
                channel_count: 0,
                queue_count: 0,
                max_record_size_in_kib: state.record_kib_max,
                record_distribution_strategy: state.is_on_demand.then(|| strategy(&state)),
                warm_throughput: state.warm_mebibytes.map(WarmThroughput::of),
            },
        })
    }
}

/// Returns an id in the form that the API's model gives it: 20 letters or digits, a dash, and 3 of them.
fn stream_id(generation: u64) -> String {
    format!("{generation:020}-000")
}

fn count(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn strategy(state: &StreamState) -> &'static str {
    if state.is_distributed {
        "AUTO"
    } else {
        "USER_PARTITION_KEY"
    }
}
