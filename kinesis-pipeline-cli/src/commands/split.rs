use clap::Args;
use kinesis_pipeline::{HashKey, ShardSelector, service::SplitShard};

use super::reshard;
use crate::{
    calls::repeated,
    cli::{Global, StreamArgument},
    failure::Failure,
    output::Layout,
    shards, values,
};

#[derive(Args, Debug)]
pub(crate) struct Split {
    #[command(flatten)]
    stream: StreamArgument,
    /// The shard: its number, as `shards` shows it, or its id.
    #[arg(value_parser = values::shard)]
    shard: ShardSelector,
    /// The first hash key of the second child; by default the middle of the shard's range.
    #[arg(long, value_name = "HASH_KEY")]
    at: Option<HashKey>,
    /// The form in which the children are printed.
    #[arg(short, long, value_enum, default_value_t)]
    output: Layout,
}

impl Split {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let connected = global.connect_to(&self.stream.stream).await?;
        let listed = shards::list(&connected).await?;
        let parent = shards::find(&connected, &listed, &self.shard)?;
        let at = self.at.unwrap_or_else(|| parent.hash_key_range.middle());
        let call = SplitShard::new(connected.id(), parent.id.clone(), at);
        repeated(|| connected.service.split_shard(call.clone())).await?;
        reshard::finish(&connected, &[&parent.id], self.output).await
    }
}
