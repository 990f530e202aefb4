use clap::Args;
use kinesis_pipeline::{ShardSelector, service::MergeShards};

use super::reshard;
use crate::{
    calls::repeated,
    cli::{Global, StreamArgument},
    failure::Failure,
    output::Layout,
    shards, values,
};

#[derive(Args, Debug)]
pub(crate) struct Merge {
    #[command(flatten)]
    stream: StreamArgument,
    /// A shard: its number, as `shards` shows it, or its id.
    #[arg(value_parser = values::shard)]
    shard: ShardSelector,
    /// The adjacent shard: its hash keys begin where those of the first shard end, or the other way round.
    #[arg(value_parser = values::shard)]
    adjacent_shard: ShardSelector,
    /// The form in which the child is printed.
    #[arg(short, long, value_enum, default_value_t)]
    output: Layout,
}

impl Merge {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let connected = global.connect_to(&self.stream.stream).await?;
        let listed = shards::list(&connected).await?;
        let mut pair = [
            shards::find(&connected, &listed, &self.shard)?,
            shards::find(&connected, &listed, &self.adjacent_shard)?,
        ];
        // The service expects the lower shard first.
        pair.sort_by_key(|shard| shard.hash_key_range.start);
        let [parent, adjacent] = pair.map(|shard| &shard.id);
        let call = MergeShards::new(connected.id(), parent.clone(), adjacent.clone());
        repeated(|| connected.service.merge_shards(call.clone())).await?;
        reshard::finish(&connected, &[parent, adjacent], self.output).await
    }
}
