//! Shard-level metrics: switching them on and off, and the answer about it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::local::{
    api_error::ApiError,
    core::Core,
    state::{names::METRICS, stream::Stream},
    stream_ref::StreamRef,
    validate::Checks,
};

const ALL: &str = "ALL";

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Request {
    #[serde(flatten)]
    pub(in crate::local) stream: StreamRef,
    pub(super) shard_level_metrics: Option<Vec<String>>,
}

/// The metrics before and after a call.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::local) struct Response {
    stream_name: String,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    current_shard_level_metrics: Vec<&'static str>,
    desired_shard_level_metrics: Vec<&'static str>,
}

impl Response {
    fn new(
        stream: &Stream,
        before: &BTreeSet<&'static str>,
        after: &BTreeSet<&'static str>,
    ) -> Self {
        Self {
            stream_name: stream.name.clone(),
            stream_arn: stream.arn.clone(),
            current_shard_level_metrics: before.iter().copied().collect(),
            desired_shard_level_metrics: after.iter().copied().collect(),
        }
    }
}

/// Does to a stream's metrics what `apply` does with those that the request names.
pub(super) fn change(
    core: &Core,
    request: &Request,
    apply: impl FnOnce(&mut BTreeSet<&'static str>, &[&'static str]),
) -> Result<Response, ApiError> {
    let mut checks = request.stream.checks();
    let named = check(&mut checks, request.shard_level_metrics.as_deref());
    checks.finish()?;
    let (stream, now_millis) = core.named(&request.stream)?;
    let mut state = stream.write_active(now_millis)?;
    let before = state.metrics.clone();
    apply(&mut state.metrics, &named);
    Ok(Response::new(&stream, &before, &state.metrics))
}

/// Returns the metrics that a request names; `ALL` names all of them.
fn check(checks: &mut Checks, given: Option<&[String]>) -> Vec<&'static str> {
    let names = checks.required("shardLevelMetrics", given);
    let (count, values) = (names.len(), [&METRICS[..], &[ALL]].concat());
    let words = format!("[{}]", names.join(", "));
    if count == 0 && given.is_some() {
        checks.length("shardLevelMetrics", &words, "greater", 1);
    }
    if count > METRICS.len() {
        checks.length("shardLevelMetrics", &words, "less", METRICS.len());
    }
    for name in names {
        checks.one_of("shardLevelMetrics", Some(name), &values);
    }
    let all = names.iter().any(|name| name == ALL);
    let mut metrics = METRICS.to_vec();
    metrics.retain(|metric| all || names.iter().any(|name| name == metric));
    metrics
}
