//! A Kinesis between a reader and the embedded one, whose answers are not those of one moment.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    Clock, Shard, ShardId,
    service::{
        CreateStream, DeleteStream, DescribeStreamSummary, ErrorClass, GetRecords,
        GetShardIterator, Kinesis, ListShards, ListStreams, MergeShards, PutRecords,
        PutRecordsAnswer, RecordPage, ServiceError, ServiceFuture, ShardIterator, ShardPage,
        SplitShard, StreamPage, StreamSummary,
    },
};

/// How long a new shard may be unknown to some hosts of the service.
const NEWS_TIME_MAX: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub(super) struct Unsteady {
    inner: Arc<dyn Kinesis>,
    clock: Clock,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    random: fastrand::Rng,
    /// What listings showed before, the last one last, without repetitions.
    listings: Vec<Vec<Shard>>,
    /// Since when each shard is there.
    since: HashMap<ShardId, Instant>,
    /// How many listings are still answered from an older state, or without a shard.
    stale: u32,
    cut: u32,
    /// How many calls about new shards are still answered by a host that does not know them.
    unknown: u32,
    /// Until when the credentials cannot be renewed.
    locked_until: Option<Instant>,
    /// How many answers were wrong.
    strikes: u32,
}

impl Unsteady {
    pub(super) fn new(inner: Arc<dyn Kinesis>, clock: Clock, seed: u64) -> Self {
        let state = State {
            random: fastrand::Rng::with_seed(seed),
            listings: Vec::new(),
            since: HashMap::new(),
            stale: 0,
            cut: 0,
            unknown: 0,
            locked_until: None,
            strikes: 0,
        };
        Self {
            inner,
            clock,
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Begins a fault of a random kind. `is_opening` leaves out what an opening reader does not bear.
    pub(super) fn disturb(&self, is_opening: bool) {
        let mut state = self.state();
        let times = state.random.u32(1..4);
        match state.random.u8(..if is_opening { 3 } else { 4 }) {
            0 => state.stale = times,
            1 => state.cut = times,
            2 => state.unknown = times,
            _ => {
                let time = Duration::from_secs(state.random.u64(1..20));
                state.locked_until = Some(self.clock.instant() + time);
            }
        }
    }

    /// Ends all faults, and forgets the stream, which may be another one from now on.
    pub(super) fn begin_anew(&self) {
        let mut state = self.state();
        state.calm();
        state.listings.clear();
        state.since.clear();
    }

    pub(super) fn calm(&self) {
        self.state().calm();
    }

    pub(super) fn strikes(&self) -> u32 {
        self.state().strikes
    }

    /// The shards of the stream are these now.
    pub(super) fn note(&self, shards: &[Shard]) {
        let now = self.clock.instant();
        let mut state = self.state();
        for shard in shards {
            state.since.entry(shard.id.clone()).or_insert(now);
        }
        if state.listings.last().is_none_or(|last| last != shards) {
            state.listings.push(shards.to_vec());
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    #[expect(clippy::result_large_err, reason = "the seam's own error")]
    fn check_credentials(&self, operation: &'static str) -> Result<(), ServiceError> {
        let mut state = self.state();
        if state
            .locked_until
            .is_none_or(|until| until <= self.clock.instant())
        {
            return Ok(());
        }
        state.strikes += 1;
        let class = ErrorClass::Transient;
        Err(ServiceError::unanswered(
            operation,
            "test",
            class,
            "the credentials cannot be renewed",
        ))
    }
}

impl State {
    fn calm(&mut self) {
        (self.stale, self.cut, self.unknown, self.locked_until) = (0, 0, 0, None);
    }

    fn listed(&mut self, mut shards: Vec<Shard>) -> Vec<Shard> {
        if self.stale > 0 && self.listings.len() > 1 {
            self.stale -= 1;
            self.strikes += 1;
            return self.listings[self.listings.len() - 2].clone();
        }
        // The oldest may have expired: nothing tells that it is missing.
        if self.cut > 0 && shards.len() > 1 {
            self.cut -= 1;
            self.strikes += 1;
            let index = self.random.usize(1..shards.len());
            shards.remove(index);
        }
        shards
    }

    fn knows(&mut self, shard_id: &ShardId, now: Instant) -> bool {
        let is_new = self
            .since
            .get(shard_id)
            .is_none_or(|at| now - *at < NEWS_TIME_MAX);
        let is_unknown = self.unknown > 0 && is_new;
        self.unknown -= u32::from(is_unknown);
        self.strikes += u32::from(is_unknown);
        !is_unknown
    }
}

impl Kinesis for Unsteady {
    fn endpoint(&self) -> &str {
        self.inner.endpoint()
    }

    fn get_shard_iterator(&self, call: GetShardIterator) -> ServiceFuture<'_, ShardIterator> {
        Box::pin(async move {
            self.check_credentials("GetShardIterator")?;
            if !self.state().knows(&call.shard_id, self.clock.instant()) {
                let code = "ResourceNotFoundException";
                return Err(ServiceError::answered("GetShardIterator", "test", code, ""));
            }
            self.inner.get_shard_iterator(call).await
        })
    }

    fn get_records(&self, call: GetRecords) -> ServiceFuture<'_, RecordPage> {
        Box::pin(async move {
            self.check_credentials("GetRecords")?;
            self.inner.get_records(call).await
        })
    }

    fn list_shards(&self, call: ListShards) -> ServiceFuture<'_, ShardPage> {
        Box::pin(async move {
            self.check_credentials("ListShards")?;
            let mut page = self.inner.list_shards(call).await?;
            page.shards = self.state().listed(page.shards);
            Ok(page)
        })
    }

    fn describe_stream_summary(
        &self,
        call: DescribeStreamSummary,
    ) -> ServiceFuture<'_, StreamSummary> {
        self.inner.describe_stream_summary(call)
    }

    fn put_records(&self, _: PutRecords) -> ServiceFuture<'_, PutRecordsAnswer> {
        unimplemented!("readers do not put")
    }

    fn list_streams(&self, _: ListStreams) -> ServiceFuture<'_, StreamPage> {
        unimplemented!("readers do not list streams")
    }

    fn create_stream(&self, _: CreateStream) -> ServiceFuture<'_, ()> {
        unimplemented!("readers do not create streams")
    }

    fn delete_stream(&self, _: DeleteStream) -> ServiceFuture<'_, ()> {
        unimplemented!("readers do not delete streams")
    }

    fn split_shard(&self, _: SplitShard) -> ServiceFuture<'_, ()> {
        unimplemented!("readers do not split shards")
    }

    fn merge_shards(&self, _: MergeShards) -> ServiceFuture<'_, ()> {
        unimplemented!("readers do not merge shards")
    }
}
