use clap::{Args, ValueEnum};
use kinesis_pipeline::aws_sdk_kinesis::types::{StreamMode, StreamModeDetails};

use super::describe;
use crate::{
    calls,
    cli::{Global, StreamArgument},
    failure::Failure,
    output::Layout,
};

#[derive(Args, Debug)]
pub(crate) struct Mode {
    #[command(flatten)]
    stream: StreamArgument,
    /// The new mode. The service allows two changes in 24 hours.
    #[arg(long, value_enum)]
    to: Capacity,
    /// The form in which the stream is printed.
    #[arg(short, long, value_enum, default_value_t)]
    output: Layout,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Capacity {
    /// The service decides the number of shards.
    OnDemand,
    /// The stream keeps the shards that it has until it is scaled.
    Provisioned,
}

impl Mode {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let connected = global.connect_to(&self.stream.stream).await?;
        let now = calls::describe(&*connected.service, &connected.id()).await?;
        if now.is_on_demand != (self.to == Capacity::OnDemand) {
            let mode = match self.to {
                Capacity::OnDemand => StreamMode::OnDemand,
                Capacity::Provisioned => StreamMode::Provisioned,
            };
            let mode = StreamModeDetails::builder().stream_mode(mode).build();
            let mode = mode.expect("the mode, the one required member, is set");
            let call = connected.client().update_stream_mode().stream_arn(now.arn);
            let done = call.stream_mode_details(mode).send().await;
            done.map_err(|error| connected.failed("UpdateStreamMode", &error))?;
        }
        let summary = calls::until_active(&*connected.service, &connected.id()).await?;
        describe::print(self.output, summary)
    }
}
