//! `DescribeStream`: a stream with its shards, in pages.

use bytestring::ByteString;
use serde::{Deserialize, Serialize};

use super::{
    Operation,
    shapes::{EnhancedMetrics, ShardShape, StreamModeDetails},
};
use crate::{
    local::{
        api_error::ApiError, core::Core, protocol::values::Timestamp, state::shard::shard_index,
        stream_ref::StreamRef, validate::NAME,
    },
    service::StreamStatus,
};

const LIMIT_MAX: i64 = 10_000;
const LIMIT_DEFAULT: i64 = 100;

pub(in crate::local) struct DescribeStream;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Request {
    #[serde(flatten)]
    pub(in crate::local) stream: StreamRef,
    pub(in crate::local) limit: Option<i64>,
    pub(super) exclusive_start_shard_id: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Response {
    pub(super) stream_description: Description,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Description {
    stream_name: String,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    stream_status: String,
    stream_mode_details: StreamModeDetails,
    shards: Vec<ShardShape>,
    has_more_shards: bool,
    retention_period_hours: u32,
    stream_creation_timestamp: Timestamp,
    enhanced_monitoring: Vec<EnhancedMetrics>,
    encryption_type: ByteString,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
}

impl Operation for DescribeStream {
    const NAME: &'static str = "DescribeStream";
    const CALLS_PER_SECOND: Option<u32> = Some(10);
    type Request = Request;
    type Response = Response;

    fn run(core: &Core, request: Request) -> Result<Response, ApiError> {
        let start = request.exclusive_start_shard_id.as_deref();
        let mut checks = request.stream.checks();
        checks.number("limit", request.limit, 1, LIMIT_MAX);
        checks.text("exclusiveStartShardId", start, NAME);
        checks.finish()?;
        let limit = request.limit.unwrap_or(LIMIT_DEFAULT).min(LIMIT_DEFAULT);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);

        let (stream, now_millis) = core.named(&request.stream)?;
        let after = start.and_then(shard_index);
        let state = stream.read(now_millis);
        let mut shards: Vec<_> = state
            .shards(now_millis)
            .filter(|_| state.status != StreamStatus::Creating)
            .filter(|shard| after.is_none_or(|after| shard.index > after))
            .take(limit + 1)
            .map(ShardShape::from)
            .collect();
        let has_more_shards = shards.len() > limit;
        shards.truncate(limit);
        Ok(Response {
            stream_description: Description {
                stream_name: stream.name.clone(),
                stream_arn: stream.arn.clone(),
                stream_status: state.status.to_string(),
                stream_mode_details: StreamModeDetails::of(state.is_on_demand),
                shards,
                has_more_shards,
                retention_period_hours: state.retention_hours,
                stream_creation_timestamp: Timestamp::from_millis(stream.created_millis),
                enhanced_monitoring: EnhancedMetrics::of(&state),
                encryption_type: ByteString::from_static(state.encryption_type()),
                key_id: state.key_id.clone(),
            },
        })
    }
}
