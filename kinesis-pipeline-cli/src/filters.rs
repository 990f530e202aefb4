//! Filters that are compiled into the program, for `deliver` and `transform`.

use clap::ValueEnum;
use kinesis_pipeline::firehose::{CloudWatchLogs, Event, Response, Verdict, transform};
use kinesis_pipeline_delivery::Delivery;
use serde_json::Value;

/// A filter of records. For a filter of your own, use the library, where it is a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Filter {
    /// Keeps records that are JSON, each on one line; others fail.
    Json,
    /// Keeps the log lines of records that CloudWatch Logs puts to a stream; others fail.
    Logs,
}

impl Filter {
    /// Sets the filter on a delivery.
    pub(crate) fn set(self, delivery: Delivery) -> Delivery {
        match self {
            Self::Json => delivery.transform(json),
            Self::Logs => delivery.transform(logs),
        }
    }

    /// Runs the filter over an event of Firehose.
    pub(crate) fn run(self, event: &Event<'_>) -> Response {
        match self {
            Self::Json => transform(event, json),
            Self::Logs => transform(event, logs),
        }
    }
}

fn json(record: Value) -> Verdict<Value> {
    Verdict::Keep(record)
}

fn logs(logs: CloudWatchLogs) -> Verdict<String> {
    if logs.is_control() {
        return Verdict::Drop;
    }
    let lines = logs.log_events.into_iter();
    Verdict::KeepAll(lines.map(|line| line.message).collect())
}
