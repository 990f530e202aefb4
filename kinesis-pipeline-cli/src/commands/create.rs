use clap::Args;
use kinesis_pipeline::service::{Capacity, CreateStream, StreamSummary};
use serde::Serialize;

use crate::{
    calls::{repeated, until_active},
    cli::{Global, StreamArgument},
    failure::Failure,
    output::{self, Layout, Row},
};

#[derive(Args, Debug)]
pub(crate) struct Create {
    #[command(flatten)]
    stream: StreamArgument,
    /// The number of shards.
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    shards: u32,
    /// On-demand mode: the service decides the number of shards.
    #[arg(long, conflicts_with = "shards")]
    on_demand: bool,
    /// The form in which the stream is printed.
    #[arg(short, long, value_enum, default_value_t)]
    output: Layout,
}

impl Create {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let connected = global.connect_to(&self.stream.stream).await?;
        let stream = connected.id();
        let capacity = if self.on_demand {
            Capacity::OnDemand
        } else {
            Capacity::Provisioned(self.shards)
        };
        let call = CreateStream::new(stream.name(), capacity);
        repeated(|| connected.service.create_stream(call.clone())).await?;
        let summary = until_active(&*connected.service, &stream).await?;
        Ok(output::rows(self.output, &[Created::from(summary)])?)
    }
}

#[derive(Serialize)]
struct Created {
    name: String,
    arn: String,
    status: String,
    open_shard_count: u32,
    is_on_demand: bool,
    retention_hours: u64,
}

impl From<StreamSummary> for Created {
    fn from(summary: StreamSummary) -> Self {
        Self {
            name: summary.name,
            arn: summary.arn,
            status: summary.status.to_string(),
            open_shard_count: summary.open_shard_count,
            is_on_demand: summary.is_on_demand,
            retention_hours: summary.retention.as_secs() / 3600,
        }
    }
}

impl Row for Created {
    const TITLES: &'static [&'static str] = &["STREAM", "STATUS", "SHARDS", "RETENTION"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            self.status.clone(),
            self.open_shard_count.to_string(),
            format!("{} h", self.retention_hours),
        ]
    }
}
