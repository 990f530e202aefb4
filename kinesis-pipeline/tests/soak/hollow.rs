//! A Kinesis with the limits of shards that keeps no data.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use kinesis_pipeline::{
    Clock, EncodedRecord, HashKey, HashKeyRange, Shard, ShardId,
    service::{
        CreateStream, DeleteStream, DescribeStreamSummary, EntryFailure, ErrorClass, GetRecords,
        GetShardIterator, Kinesis, ListShards, ListStreams, MergeShards, PutRecords,
        PutRecordsAnswer, RecordPage, ServiceError, ServiceFuture, ShardIterator, ShardPage,
        SplitShard, StoredAt, StreamPage, StreamSummary,
    },
};
use tokio::time::Instant;

pub(crate) const SHARDS: u8 = 4;
/// The records that a shard accepts in a second. It saves up at most this many (a token bucket).
const SHARD_RECORDS: f64 = 1_000.0;
pub(crate) const SHARD_BYTES: f64 = 1_048_576.0;
/// The time that a request takes.
const LATENCY: Duration = Duration::from_millis(20);

/// The conditions under which requests are answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conditions {
    /// The part of the shards' limits that other writers leave.
    pub(crate) share: f64,
    /// The percentage of entries that are throttled.
    pub(crate) throttled_percent: u8,
    /// The percentage of answers that are lost after the records were stored.
    pub(crate) lost_percent: u8,
}

pub(crate) struct Hollow {
    clock: Clock,
    conditions: Conditions,
    shards: Vec<Shard>,
    state: Mutex<State>,
}

struct State {
    random: fastrand::Rng,
    room: Vec<Room>,
    last_number: u128,
    stored: Stored,
}

/// The totals of stored records, with duplicates, and of faults.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Stored {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    pub(crate) throttled: u64,
    pub(crate) answers_lost: u64,
}

/// The tokens of a shard's bucket.
struct Room {
    share: f64,
    records: f64,
    bytes: f64,
    at: Instant,
}

impl Hollow {
    pub(crate) fn start(clock: Clock, conditions: Conditions, seed: u64) -> Arc<Self> {
        let width = u128::MAX / u128::from(SHARDS) + 1;
        let shards = (0..SHARDS).map(|number| {
            let start = u128::from(number) * width;
            let range = HashKeyRange::new(start.into(), (start + (width - 1)).into());
            Shard::new(shard_id(number), range, 1_u128.into())
        });
        let now = clock.instant();
        let room = (0..SHARDS).map(|_| Room {
            share: conditions.share,
            records: SHARD_RECORDS * conditions.share,
            bytes: SHARD_BYTES * conditions.share,
            at: now,
        });
        Arc::new(Self {
            conditions,
            shards: shards.collect(),
            state: Mutex::new(State {
                random: fastrand::Rng::with_seed(seed),
                room: room.collect(),
                last_number: 1,
                stored: Stored::default(),
            }),
            clock,
        })
    }

    pub(crate) fn stored(&self) -> Stored {
        self.state.lock().unwrap().stored
    }

    fn shard_of(&self, record: &EncodedRecord) -> usize {
        let key = record
            .explicit_hash_key
            .unwrap_or_else(|| HashKey::of_partition_key(record.partition_key.as_str()));
        let holds = |shard: &Shard| shard.hash_key_range.contains(key);
        self.shards.iter().position(holds).expect("no hole")
    }

    fn store(&self, record: &EncodedRecord) -> Result<StoredAt, EntryFailure> {
        let shard = self.shard_of(record);
        let mut state = self.state.lock().unwrap();
        let is_unlucky = state.random.u8(..100) < self.conditions.throttled_percent;
        if is_unlucky || !state.room[shard].takes(record.size_bytes(), self.clock.instant()) {
            state.stored.throttled += 1;
            let code = "ProvisionedThroughputExceededException";
            return Err(EntryFailure::new(code, "Rate exceeded for shard"));
        }
        state.stored.records += 1;
        state.stored.bytes += record.size_bytes() as u64;
        state.last_number += 1;
        let id = self.shards[shard].id.clone();
        Ok(StoredAt::new(id, state.last_number.into()))
    }

    fn loses_the_answer(&self) -> bool {
        let mut state = self.state.lock().unwrap();
        let is_lost = state.random.u8(..100) < self.conditions.lost_percent;
        state.stored.answers_lost += u64::from(is_lost);
        is_lost
    }
}

impl Room {
    fn takes(&mut self, bytes: usize, now: Instant) -> bool {
        let seconds = (now - self.at).as_secs_f64();
        self.at = now;
        let (records, bytes_max) = (SHARD_RECORDS * self.share, SHARD_BYTES * self.share);
        self.records = records.min(self.records + records * seconds);
        self.bytes = bytes_max.min(self.bytes + bytes_max * seconds);
        let bytes = bytes as f64;
        let takes = self.records >= 1.0 && self.bytes >= bytes;
        if takes {
            self.records -= 1.0;
            self.bytes -= bytes;
        }
        takes
    }
}

fn shard_id(number: u8) -> ShardId {
    ShardId::from(format!("shardId-{number:012}"))
}

impl Kinesis for Hollow {
    fn endpoint(&self) -> &'static str {
        "nowhere"
    }

    fn put_records(&self, call: PutRecords) -> ServiceFuture<'_, PutRecordsAnswer> {
        Box::pin(async move {
            tokio::time::sleep(LATENCY).await;
            let results = call.records.iter().map(|record| self.store(record));
            let results = results.collect();
            if self.loses_the_answer() {
                let (operation, class) = ("PutRecords", ErrorClass::Transient);
                let mut lost =
                    ServiceError::unanswered(operation, self.endpoint(), class, "connection reset");
                lost.may_have_been_done = true;
                return Err(lost);
            }
            Ok(PutRecordsAnswer::new(results))
        })
    }

    fn list_shards(&self, _: ListShards) -> ServiceFuture<'_, ShardPage> {
        let mut page = ShardPage::default();
        page.shards.clone_from(&self.shards);
        Box::pin(async move { Ok(page) })
    }

    fn get_shard_iterator(&self, _: GetShardIterator) -> ServiceFuture<'_, ShardIterator> {
        unimplemented!("producers do not read")
    }

    fn get_records(&self, _: GetRecords) -> ServiceFuture<'_, RecordPage> {
        unimplemented!("producers do not read")
    }

    fn list_streams(&self, _: ListStreams) -> ServiceFuture<'_, StreamPage> {
        unimplemented!("producers do not list streams")
    }

    fn describe_stream_summary(
        &self,
        _: DescribeStreamSummary,
    ) -> ServiceFuture<'_, StreamSummary> {
        let operation = "DescribeStreamSummary";
        let refused = ServiceError::answered(
            operation,
            self.endpoint(),
            "AccessDeniedException",
            "as many producers may not",
        );
        Box::pin(async move { Err(refused) })
    }

    fn create_stream(&self, _: CreateStream) -> ServiceFuture<'_, ()> {
        unimplemented!("producers do not create streams")
    }

    fn delete_stream(&self, _: DeleteStream) -> ServiceFuture<'_, ()> {
        unimplemented!("producers do not delete streams")
    }

    fn split_shard(&self, _: SplitShard) -> ServiceFuture<'_, ()> {
        unimplemented!("producers do not split shards")
    }

    fn merge_shards(&self, _: MergeShards) -> ServiceFuture<'_, ()> {
        unimplemented!("producers do not merge shards")
    }
}

impl fmt::Debug for Hollow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hollow")
    }
}
