//! Shard-level metrics: their names, and the answer about them.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::local::{state::stream::Stream, validate::Checks};

const METRICS: [&str; 7] = [
    "IncomingBytes",
    "IncomingRecords",
    "IteratorAgeMilliseconds",
    "OutgoingBytes",
    "OutgoingRecords",
    "ReadProvisionedThroughputExceeded",
    "WriteProvisionedThroughputExceeded",
];
const ALL: &str = "ALL";

/// The metrics before and after a call.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Response {
    stream_name: String,
    #[serde(rename = "StreamARN")]
    stream_arn: String,
    current_shard_level_metrics: Vec<&'static str>,
    desired_shard_level_metrics: Vec<&'static str>,
}

impl Response {
    pub(super) fn new(
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

/// The metric of this name.
#[cfg(feature = "local-durable")]
pub(crate) fn named(name: &str) -> Option<&'static str> {
    METRICS.into_iter().find(|metric| *metric == name)
}

/// The metrics that a request names; `ALL` names all of them.
pub(super) fn check(checks: &mut Checks, names: Option<&[String]>) -> Vec<&'static str> {
    let names = checks.required("shardLevelMetrics", names);
    let values = [&METRICS[..], &[ALL]].concat();
    for name in names {
        checks.one_of("shardLevelMetrics", Some(name), &values);
    }
    let all = names.iter().any(|name| name == ALL);
    let mut metrics = METRICS.to_vec();
    metrics.retain(|metric| all || names.iter().any(|name| name == metric));
    metrics
}
