//! The shards of a stream, and the shard of a record.

use kinesis_pipeline::{
    EncodedRecord, HashKey, HashKeyRange, Shard,
    service::{Kinesis, ListShards, ServiceError, ShardFilter, StreamId},
};

/// The most pages of a listing, of 10,000 shards each.
const PAGES_MAX: usize = 1_000;

/// The open shards of a stream, by their ranges.
#[derive(Debug)]
pub(crate) struct OpenShards(Vec<Shard>);

impl OpenShards {
    /// Lists the open shards of a stream.
    pub(crate) async fn list(
        service: &dyn Kinesis,
        stream: &StreamId,
    ) -> Result<Self, ServiceError> {
        let mut shards = Vec::new();
        let mut token = None;
        for _ in 0..PAGES_MAX {
            let call = ListShards::new(stream.clone());
            let call = match token.take() {
                Some(token) => call.next_token(token),
                None => call.filter(ShardFilter::AtLatest),
            };
            let page = service.list_shards(call).await?;
            shards.extend(page.shards.into_iter().filter(Shard::is_open));
            match page.next_token {
                Some(next) => token = Some(next),
                None => break,
            }
        }
        shards.sort_by_key(|shard| start(&shard.hash_key_range));
        Ok(Self(shards))
    }

    pub(crate) fn all(&self) -> &[Shard] {
        &self.0
    }

    /// Returns the index of the shard that takes this record.
    pub(crate) fn of(&self, record: &EncodedRecord) -> Option<usize> {
        let key = record.hash_key();
        let after = self
            .0
            .partition_point(|shard| start(&shard.hash_key_range) <= key);
        let index = after.checked_sub(1)?;
        self.0[index].hash_key_range.contains(key).then_some(index)
    }
}

fn start(range: &HashKeyRange) -> HashKey {
    range.start
}
