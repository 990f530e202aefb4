//! The cheapest Kinesis in process: it says that all records are stored, and keeps none.

use kinesis_pipeline::{
    HashKey, HashKeyRange, SequenceNumber, Shard, ShardId,
    service::{
        CreateStream, DeleteStream, DescribeStreamSummary, ErrorClass, GetRecords,
        GetShardIterator, Kinesis, ListShards, ListStreams, MergeShards, PutRecords,
        PutRecordsAnswer, RecordPage, ServiceError, ServiceFuture, ShardIterator, ShardPage,
        SplitShard, StoredAt, StreamPage, StreamSummary,
    },
};

/// The shards of its stream, of equal ranges: so many that their pace is no limit.
const SHARDS: u128 = 64;

#[derive(Debug)]
pub(crate) struct Null;

fn shard_id(index: u128) -> ShardId {
    format!("shardId-{index:012}").as_str().into()
}

fn index(key: HashKey) -> u128 {
    key.value() / (u128::MAX / SHARDS + 1)
}

fn refused<T: Send + 'static>(operation: &'static str) -> ServiceFuture<'static, T> {
    let message = "the cheapest Kinesis only stores";
    let error = ServiceError::unanswered(operation, "null", ErrorClass::Invalid, message);
    Box::pin(std::future::ready(Err(error)))
}

impl Kinesis for Null {
    fn endpoint(&self) -> &'static str {
        "null"
    }

    fn put_records(&self, call: PutRecords) -> ServiceFuture<'_, PutRecordsAnswer> {
        let stored = call.records.iter().map(|record| {
            let shard = shard_id(index(record.hash_key()));
            Ok(StoredAt::new(shard, SequenceNumber::from(1_u128)))
        });
        let answer = PutRecordsAnswer::new(stored.collect());
        Box::pin(async move {
            // A service answers later: the records that come meanwhile share a request.
            tokio::task::yield_now().await;
            Ok(answer)
        })
    }

    fn list_shards(&self, _: ListShards) -> ServiceFuture<'_, ShardPage> {
        let width = u128::MAX / SHARDS + 1;
        let shards = (0..SHARDS).map(|index| {
            let start = index * width;
            let range = HashKeyRange::new(HashKey::new(start), HashKey::new(start + (width - 1)));
            Shard::new(shard_id(index), range, SequenceNumber::from(1_u128))
        });
        let mut page = ShardPage::default();
        page.shards = shards.collect();
        Box::pin(std::future::ready(Ok(page)))
    }

    fn describe_stream_summary(
        &self,
        _: DescribeStreamSummary,
    ) -> ServiceFuture<'_, StreamSummary> {
        let summary = StreamSummary::new("null", "null", std::time::SystemTime::UNIX_EPOCH);
        Box::pin(std::future::ready(Ok(summary)))
    }

    fn get_shard_iterator(&self, _: GetShardIterator) -> ServiceFuture<'_, ShardIterator> {
        refused("GetShardIterator")
    }

    fn get_records(&self, _: GetRecords) -> ServiceFuture<'_, RecordPage> {
        refused("GetRecords")
    }

    fn list_streams(&self, _: ListStreams) -> ServiceFuture<'_, StreamPage> {
        refused("ListStreams")
    }

    fn create_stream(&self, _: CreateStream) -> ServiceFuture<'_, ()> {
        refused("CreateStream")
    }

    fn delete_stream(&self, _: DeleteStream) -> ServiceFuture<'_, ()> {
        refused("DeleteStream")
    }

    fn split_shard(&self, _: SplitShard) -> ServiceFuture<'_, ()> {
        refused("SplitShard")
    }

    fn merge_shards(&self, _: MergeShards) -> ServiceFuture<'_, ()> {
        refused("MergeShards")
    }
}
