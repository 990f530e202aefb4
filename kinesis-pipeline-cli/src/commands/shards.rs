use clap::Args;

use crate::{
    cli::{Global, StreamArgument},
    failure::Failure,
    output::{self, Layout},
    shards,
};

#[derive(Args, Debug)]
pub(crate) struct Shards {
    #[command(flatten)]
    stream: StreamArgument,
    /// The form in which the shards are printed.
    #[arg(short, long, value_enum, default_value_t)]
    output: Layout,
}

impl Shards {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let connected = global.connect_to(&self.stream.stream).await?;
        let shards = shards::list(&connected).await?;
        Ok(output::rows(self.output, &shards::rows_of(&shards))?)
    }
}
