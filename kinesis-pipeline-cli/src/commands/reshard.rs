use kinesis_pipeline::ShardId;

use crate::{
    calls::until_active,
    connect::Connected,
    failure::Failure,
    output::{self, Layout},
    shards::{self, ShardRow},
};

/// Waits until a split or a merge is done, and prints the child shards of these parents.
pub(super) async fn finish(
    connected: &Connected,
    parents: &[&ShardId],
    layout: Layout,
) -> Result<(), Failure> {
    until_active(&*connected.service, &connected.id()).await?;
    let shards = shards::list(connected).await?;
    let children: Vec<_> = shards
        .iter()
        .enumerate()
        .filter(|(_, shard)| shard.parents().any(|parent| parents.contains(&parent)))
        .map(|(number, shard)| ShardRow::new(number, shard))
        .collect();
    Ok(output::rows(layout, &children)?)
}
