use clap::Args;
use kinesis_pipeline::service::DeleteStream;
use serde::Serialize;

use crate::{
    calls::{repeated, until_gone},
    cli::{Global, StreamArgument},
    failure::Failure,
    output::{self, Layout, Row},
};

#[derive(Args, Debug)]
pub(crate) struct Delete {
    #[command(flatten)]
    stream: StreamArgument,
    /// Also when consumers are registered.
    #[arg(long)]
    even_with_consumers: bool,
    /// How to print what was deleted.
    #[arg(short, long, value_enum, default_value_t)]
    output: Layout,
}

impl Delete {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let connected = global.connect_to(&self.stream.stream).await?;
        let stream = connected.id();
        let mut call = DeleteStream::new(stream.clone());
        call.even_with_consumers = self.even_with_consumers;
        repeated(|| connected.service.delete_stream(call.clone())).await?;
        until_gone(&*connected.service, &stream).await?;
        let deleted = stream.name().to_owned();
        Ok(output::rows(self.output, &[Deleted { deleted }])?)
    }
}

#[derive(Serialize)]
struct Deleted {
    deleted: String,
}

impl Row for Deleted {
    const TITLES: &'static [&'static str] = &[];

    fn cells(&self) -> Vec<String> {
        vec![format!("{} is deleted", self.deleted)]
    }
}
