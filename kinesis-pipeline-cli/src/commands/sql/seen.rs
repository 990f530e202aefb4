//! The progress of a worker: the records that are in the table, by shard, and the test whether the end is reached.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use kinesis_pipeline::{
    Batch, BoxError, Checkpointer, Position, Processor, ShardId, ShardStart, WorkerEvent,
};
use tokio::time::Instant;

/// The most shards that a message names.
const SHARDS_SHOWN_MAX: usize = 4;

/// The progress of all shards. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen(Arc<Mutex<Notes>>);

#[derive(Debug, Default)]
struct Notes {
    records: u64,
    dead_letters: u64,
    skipped: u64,
    shards: BTreeMap<ShardId, ShardNotes>,
    ended: BTreeSet<ShardId>,
}

/// The last record of a shard in the table, and the number of its batches.
#[derive(Debug)]
struct ShardNotes {
    position: Position,
    arrived_at: Option<SystemTime>,
    batches: u64,
}

impl Seen {
    /// Wraps a processor, so that its batches are noted.
    pub(super) fn watching<P>(&self, processor: P) -> Watched<P> {
        Watched {
            processor,
            seen: self.clone(),
        }
    }

    pub(super) fn on_event(&self, event: WorkerEvent) {
        let mut notes = self.lock();
        match event {
            WorkerEvent::DeadLettered { records, .. } => notes.dead_letters += records as u64,
            WorkerEvent::Skipped { records, .. } => notes.skipped += records as u64,
            WorkerEvent::ShardEnded { shard_id, .. } => {
                notes.ended.insert(shard_id);
            }
            _ => {}
        }
    }

    fn on_batch(&self, position: Position, arrived_at: Option<SystemTime>, records: usize) {
        let mut notes = self.lock();
        notes.records += records as u64;
        let shard = position.shard_id.clone();
        let batches = notes.shards.get(&shard).map_or(0, |shard| shard.batches) + 1;
        let shard_notes = ShardNotes {
            position,
            arrived_at,
            batches,
        };
        notes.shards.insert(shard, shard_notes);
    }

    /// Returns the counts in words, as in `3 records of s are in t, 1 in dead letters`.
    pub(super) fn counts(&self, stream: &str, table: &str) -> String {
        let notes = self.lock();
        let mut line = format!("{} records of {stream} are in {table}", notes.records);
        if notes.dead_letters > 0 {
            line = format!("{line}, {} in dead letters", notes.dead_letters);
        }
        if notes.skipped > 0 {
            line = format!("{line}, {} skipped", notes.skipped);
        }
        line
    }

    /// Returns the last position of each shard, in words.
    pub(super) fn places(&self) -> String {
        let notes = self.lock();
        if notes.shards.is_empty() {
            return "none had come".to_owned();
        }
        let shown = notes.shards.values().take(SHARDS_SHOWN_MAX);
        let shown: Vec<_> = shown.map(|shard| shard.position.to_string()).collect();
        let shown = shown.join(", ");
        match notes.shards.len().saturating_sub(SHARDS_SHOWN_MAX) {
            0 => format!("the last at {shown}"),
            more => format!("the last at {shown} and of {more} more shards"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A processor whose finished batches are noted.
#[derive(Debug)]
pub(super) struct Watched<P> {
    processor: P,
    seen: Seen,
}

#[deny(clippy::missing_trait_methods)]
impl<P: Processor<Record: Send + Sync>> Processor for Watched<P> {
    type Record = P::Record;

    async fn initialize(
        &mut self,
        start: &ShardStart,
        checkpointer: &Checkpointer,
    ) -> Result<(), BoxError> {
        self.processor.initialize(start, checkpointer).await
    }

    fn start_after(&self) -> Option<Position> {
        self.processor.start_after()
    }

    async fn process(
        &mut self,
        batch: Batch<P::Record>,
        checkpointer: &Checkpointer,
    ) -> Result<(), BoxError> {
        let position = batch.last_position().cloned();
        let arrived_at = batch.records.last().map(|record| record.arrived_at);
        let records = batch.records.len();
        self.processor.process(batch, checkpointer).await?;
        if let Some(position) = position {
            self.seen.on_batch(position, arrived_at, records);
        }
        Ok(())
    }

    async fn shard_ended(&mut self, checkpointer: &Checkpointer) -> Result<(), BoxError> {
        self.processor.shard_ended(checkpointer).await
    }

    async fn lease_lost(&mut self) {
        self.processor.lease_lost().await;
    }

    async fn shutdown_requested(&mut self, checkpointer: &Checkpointer) -> Result<(), BoxError> {
        self.processor.shutdown_requested(checkpointer).await
    }
}

/// The end of the work: all that arrived up to a time is in the table.
///
/// A shard has reached the end when a record that arrived at that time or later is in the table, when the shard has
/// ended, or when it has been quiet for so long after that time that no batch of it can be waiting. While a batch is at
/// work, the worker's health shows a lag; so the end is not reached while the database is down.
#[derive(Debug)]
pub(super) struct AllUntil {
    time: SystemTime,
    /// The shards that were open at the start. Closed ones are read before them.
    open: Vec<ShardId>,
    /// The time without a batch after which no record that was read waits for one.
    quiet_min: Duration,
    /// The time since which each shard has been at its tip, and the number of its batches then.
    quiet: BTreeMap<ShardId, (Instant, u64)>,
}

impl AllUntil {
    pub(super) fn new(time: SystemTime, open: Vec<ShardId>, quiet_min: Duration) -> Self {
        Self {
            time,
            open,
            quiet_min,
            quiet: BTreeMap::new(),
        }
    }

    /// Whether all shards have reached the end; `lag` is that of the worker's health.
    pub(super) fn is_reached(
        &mut self,
        seen: &Seen,
        lag: impl Fn(&ShardId) -> Option<Duration>,
        now: Instant,
        time: SystemTime,
    ) -> bool {
        let notes = seen.lock();
        let mut is_reached = true;
        for shard in &self.open {
            let written = notes.shards.get(shard);
            let batches = written.map_or(0, |shard| shard.batches);
            let is_at_tip = time >= self.time && lag(shard).is_some_and(|lag| lag.is_zero());
            if !is_at_tip {
                self.quiet.remove(shard);
            }
            let is_past = written
                .and_then(|shard| shard.arrived_at)
                .is_some_and(|arrived_at| arrived_at >= self.time);
            if is_past || notes.ended.contains(shard) {
                continue;
            }
            is_reached &= is_at_tip && {
                let since = self.quiet.entry(shard.clone()).or_insert((now, batches));
                if since.1 != batches {
                    *since = (now, batches);
                }
                now.duration_since(since.0) >= self.quiet_min
            };
        }
        is_reached
    }
}

#[cfg(test)]
mod tests {
    use kinesis_pipeline::Clock;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const TIP: Option<Duration> = Some(Duration::ZERO);

    fn shard(number: u32) -> ShardId {
        ShardId::from(format!("shardId-{number:012}"))
    }

    fn position(number: u128) -> Position {
        Position::new(shard(0), number.into())
    }

    #[test]
    fn a_shard_is_at_the_end_when_it_was_quiet_at_its_tip_for_long_enough() {
        let (begun, end) = (Clock::system().instant(), SystemTime::UNIX_EPOCH);
        let mut until = AllUntil::new(end, vec![shard(0)], SECOND);
        let seen = Seen::default();
        let mut at = |millis, lag, time| {
            let now = begun + Duration::from_millis(millis);
            until.is_reached(&seen, |_| lag, now, time)
        };
        assert!(!at(0, None, end));
        assert!(!at(100, TIP, end));
        assert!(!at(1_000, TIP, end));
        assert!(!at(1_050, Some(SECOND), end), "a batch is at work");
        assert!(!at(1_150, TIP, end));
        seen.on_batch(position(1), None, 5);
        assert!(!at(2_200, TIP, end), "one was finished in between");
        assert!(!at(3_100, TIP, end));
        assert!(at(3_200, TIP, end));
    }

    #[test]
    fn a_time_to_come_is_waited_for_and_a_record_behind_it_is_the_end() {
        let (now, end) = (Clock::system().instant(), SystemTime::UNIX_EPOCH + SECOND);
        let mut until = AllUntil::new(end, vec![shard(0)], Duration::ZERO);
        let seen = Seen::default();
        assert!(!until.is_reached(&seen, |_| TIP, now, end - SECOND));
        assert!(until.is_reached(&seen, |_| TIP, now, end));
        seen.on_batch(position(1), Some(end - SECOND), 1);
        assert!(!until.is_reached(&seen, |_| Some(SECOND), now, end));
        seen.on_batch(position(2), Some(end), 1);
        assert!(until.is_reached(&seen, |_| Some(SECOND), now, end));
    }

    #[test]
    fn the_line_has_the_counts_and_a_few_places() {
        let seen = Seen::default();
        assert_eq!(seen.counts("s", "t"), "0 records of s are in t");
        assert_eq!(seen.places(), "none had come");
        for number in 0..6 {
            seen.on_batch(Position::new(shard(number), 7_u128.into()), None, 2);
        }
        assert_eq!(seen.counts("s", "t"), "12 records of s are in t");
        let places = seen.places();
        assert!(
            places.starts_with("the last at shardId-000000000000:7"),
            "{places}"
        );
        assert!(places.ends_with(" and of 2 more shards"), "{places}");
    }
}
