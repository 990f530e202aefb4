use super::in_time;
use crate::{
    service::{
        GetRecords, GetShardIterator, IteratorStart, RecordPage, ServiceError, ShardIterator,
    },
    shard::ShardId,
    target::Target,
};

/// Fetches an iterator of a shard.
pub(in crate::get) async fn get_iterator(
    target: &Target,
    shard_id: ShardId,
    start: IteratorStart,
) -> Result<ShardIterator, ServiceError> {
    let service = &*target.service;
    let call = GetShardIterator::new(target.stream.clone(), shard_id, start);
    in_time(
        "GetShardIterator",
        service,
        service.get_shard_iterator(call),
    )
    .await
}

/// Fetches the page at an iterator.
pub(in crate::get) async fn get_page(
    target: &Target,
    iterator: ShardIterator,
    records_max: u32,
) -> Result<RecordPage, ServiceError> {
    let service = &*target.service;
    let call = GetRecords::new(target.stream.clone(), iterator).limit(records_max);
    in_time("GetRecords", service, service.get_records(call)).await
}
