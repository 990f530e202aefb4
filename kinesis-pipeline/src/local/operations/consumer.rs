//! Names and descriptions of consumers, shared by the operations on them.

use std::sync::Arc;

use serde::Serialize;

use crate::local::{
    api_error::ApiError,
    core::Core,
    protocol::values::Timestamp,
    state::{consumer::Consumer, shard::Shard, stream::Stream},
    validate::{CONSUMER_ARN, Checks, NAME, STREAM_ARN, consumer_of_arn},
};

/// A consumer as the API shows it.
#[derive(Clone, Debug, Serialize)]
pub(in crate::local) struct ConsumerShape {
    #[serde(rename = "ConsumerName")]
    pub(in crate::local) name: String,
    #[serde(rename = "ConsumerARN")]
    pub(in crate::local) arn: String,
    #[serde(rename = "ConsumerStatus")]
    pub(in crate::local) status: &'static str,
    #[serde(rename = "ConsumerCreationTimestamp")]
    pub(in crate::local) created_at: Timestamp,
    /// Only in descriptions.
    #[serde(rename = "StreamARN", skip_serializing_if = "Option::is_none")]
    pub(in crate::local) stream_arn: Option<String>,
}

impl ConsumerShape {
    pub(super) fn new(consumer: &Consumer, now_millis: u64) -> Self {
        Self {
            name: consumer.name.clone(),
            arn: consumer.arn.clone(),
            status: consumer.status(now_millis),
            created_at: Timestamp::from_millis(consumer.created_millis),
            stream_arn: None,
        }
    }
}

/// Checks the members that name a consumer.
pub(super) fn check(
    checks: &mut Checks,
    stream_arn: Option<&str>,
    name: Option<&str>,
    consumer_arn: Option<&str>,
) {
    checks.text("streamARN", stream_arn, STREAM_ARN);
    checks.text("consumerName", name, NAME);
    checks.text("consumerARN", consumer_arn, CONSUMER_ARN);
}

/// Returns the stream of a consumer and the consumer's name, by its ARN or by the stream's ARN and its name.
pub(super) fn find(
    core: &Core,
    stream_arn: Option<&str>,
    name: Option<&str>,
    consumer_arn: Option<&str>,
    now_millis: u64,
) -> Result<(Arc<Stream>, String), ApiError> {
    match (consumer_arn, stream_arn, name) {
        (Some(arn), _, _) => {
            check_names(arn, stream_arn, name)?;
            core.consumer(arn, now_millis)
        }
        (None, Some(stream_arn), Some(name)) => {
            let stream = core.stream(None, Some(stream_arn), now_millis)?;
            Ok((stream, name.to_owned()))
        }
        _ => Err(ApiError::invalid_argument(
            "Either ConsumerARN, or StreamARN and ConsumerName, must be given.",
        )),
    }
}

/// Refuses a consumer's ARN beside the ARN of another stream or another name.
fn check_names(arn: &str, stream_arn: Option<&str>, name: Option<&str>) -> Result<(), ApiError> {
    let fits = consumer_of_arn(arn).is_some_and(|(stream_of_arn, name_of_arn)| {
        stream_arn.is_none_or(|stream_arn| stream_arn == stream_of_arn)
            && name.is_none_or(|name| name == name_of_arn)
    });
    if fits {
        return Ok(());
    }
    Err(ApiError::invalid_argument(
        "ConsumerARN, StreamARN and ConsumerName name different consumers.",
    ))
}

/// Returns the service's answer for a consumer that is not there.
pub(super) fn not_found(name: &str, stream: &Stream) -> ApiError {
    ApiError::not_found(format!(
        "Consumer {name} of stream {} under account {} not found.",
        stream.name, stream.account_id
    ))
}

/// Returns the service's answer for a consumer that cannot be used.
pub(super) fn not_active(consumer: &Consumer, stream: &Stream) -> ApiError {
    ApiError::in_use(format!(
        "Consumer {} with creation timestamp {} under stream: {} , account {} is not in ACTIVE status.",
        consumer.name,
        consumer.created_millis / 1000,
        stream.name,
        stream.account_id
    ))
}

/// Returns the service's answer for a consumer whose policy cannot be changed yet, or any more.
pub(super) fn policy_not_changeable(consumer: &Consumer, stream: &Stream) -> ApiError {
    ApiError::in_use(format!(
        "Consumer {} with creation timestamp {} under stream {} and account {} is not in ACTIVE status.",
        consumer.name,
        consumer.created_millis / 1000,
        stream.name,
        stream.account_id
    ))
}

/// Returns the service's answer for a consumer that subscribed to the shard a moment ago.
pub(super) fn subscribed_already(consumer: &Consumer, stream: &Stream, shard: &Shard) -> ApiError {
    ApiError::in_use(format!(
        "Another active subscription exists for this consumer: {}:{}:{}:{}",
        stream.account_id, stream.name, shard.id, consumer.name
    ))
}
