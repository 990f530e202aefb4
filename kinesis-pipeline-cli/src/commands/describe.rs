use clap::Args;
use kinesis_pipeline::service::StreamSummary;
use serde::Serialize;

use crate::{
    calls::describe,
    cli::{Global, StreamArgument},
    data,
    failure::Failure,
    output::{self, Layout, Row},
};

#[derive(Args, Debug)]
pub(crate) struct Describe {
    #[command(flatten)]
    stream: StreamArgument,
    /// The form in which the stream is printed.
    #[arg(short, long, value_enum, default_value_t)]
    output: Layout,
}

impl Describe {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let connected = global.connect_to(&self.stream.stream).await?;
        let summary = describe(&*connected.service, &connected.id()).await?;
        print(self.output, summary)
    }
}

/// Prints a stream: a line per property, or a JSON object.
pub(super) fn print(layout: Layout, summary: StreamSummary) -> Result<(), Failure> {
    let described = Described::from(summary);
    match layout {
        Layout::Json => Ok(output::rows(layout, &[described])?),
        Layout::Text => Ok(output::rows(layout, &described.properties())?),
    }
}

/// A stream as it is printed.
#[derive(Serialize)]
struct Described {
    name: String,
    arn: String,
    status: String,
    mode: &'static str,
    open_shard_count: u32,
    retention_hours: u64,
    consumer_count: u32,
    encryption: String,
    record_bytes_max: usize,
    created_at: String,
}

impl From<StreamSummary> for Described {
    fn from(summary: StreamSummary) -> Self {
        Self {
            name: summary.name,
            arn: summary.arn,
            status: summary.status.to_string(),
            mode: if summary.is_on_demand {
                "on-demand"
            } else {
                "provisioned"
            },
            open_shard_count: summary.open_shard_count,
            retention_hours: summary.retention.as_secs() / 3600,
            consumer_count: summary.consumer_count,
            encryption: format!("{:?}", summary.encryption_type).to_lowercase(),
            record_bytes_max: summary.record_bytes_max,
            created_at: data::rfc3339(summary.created_at),
        }
    }
}

impl Described {
    fn properties(&self) -> Vec<Property> {
        let property = |name, value: &dyn ToString| Property {
            name,
            value: value.to_string(),
        };
        let hours = format!("{} h", self.retention_hours);
        let bytes = format!("{} bytes", self.record_bytes_max);
        vec![
            property("name", &self.name),
            property("arn", &self.arn),
            property("status", &self.status),
            property("mode", &self.mode),
            property("open shards", &self.open_shard_count),
            property("retention", &hours),
            property("consumers", &self.consumer_count),
            property("encryption", &self.encryption),
            property("largest record", &bytes),
            property("created", &self.created_at),
        ]
    }
}

impl Row for Described {
    const TITLES: &'static [&'static str] = &[];

    fn cells(&self) -> Vec<String> {
        vec![self.name.clone()]
    }
}

#[derive(Serialize)]
struct Property {
    name: &'static str,
    value: String,
}

impl Row for Property {
    const TITLES: &'static [&'static str] = &[];

    fn cells(&self) -> Vec<String> {
        vec![self.name.to_owned(), self.value.clone()]
    }
}
