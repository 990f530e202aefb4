use std::{
    future::pending,
    time::{Duration, SystemTime},
};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use crate::{
    Clock, GetError,
    fleet::worker::settings::BatchLimits,
    get::{RawShardReader, ShardItem, UserRecord},
};

/// The memory of a record in addition to its bytes.
const RECORD_OVERHEAD_BYTES: usize = 256;

/// Returns the memory of a record, in bytes.
pub(super) fn memory_bytes(record: &UserRecord) -> usize {
    record.encoded.data.len() + RECORD_OVERHEAD_BYTES
}

/// Records of one shard that are not decoded yet.
#[derive(Debug, Default)]
pub(super) struct RawBatch {
    pub(super) records: Vec<UserRecord>,
    pub(super) behind_latest: Option<Duration>,
}

/// The result of gathering a batch.
#[derive(Debug)]
pub(super) enum Gathered {
    Batch(RawBatch),
    /// The shard is at its tip: everything that arrived before this time was given out.
    Tip(SystemTime),
    End,
    Failed(GetError),
}

/// A builder of batches from a shard's records: complete by count, by bytes, or by time.
pub(super) struct Gather {
    limits: BatchLimits,
    clock: Clock,
    batch: RawBatch,
    bytes: usize,
    /// The time at which the batch is complete, whatever its size.
    complete_at: Option<Instant>,
    /// The item after the last record.
    last: Option<ShardItem>,
    tip: watch::Receiver<Option<SystemTime>>,
}

impl Gather {
    pub(super) fn new(limits: BatchLimits, clock: Clock, reader: &RawShardReader) -> Self {
        Self {
            limits,
            clock,
            batch: RawBatch::default(),
            bytes: 0,
            complete_at: None,
            last: None,
            tip: reader.tip(),
        }
    }

    /// Returns the next batch, or the end of the reader. Cancel safe: gathered records stay.
    pub(super) async fn next(&mut self, reader: &mut RawShardReader) -> Gathered {
        loop {
            while !self.is_full()
                && let Some(item) = reader.next_of_page()
            {
                self.add(item);
            }
            if self.is_full() || (self.last.is_some() && !self.batch.records.is_empty()) {
                return Gathered::Batch(self.take());
            }
            match self.last.take() {
                Some(ShardItem::End) => return Gathered::End,
                Some(ShardItem::Failed(error)) => return Gathered::Failed(error),
                _ => {}
            }
            if !self.batch.records.is_empty() && self.limits.wait_max.is_zero() {
                return Gathered::Batch(self.take());
            }
            tokio::select! {
                biased;
                item = reader.next() => self.add(item),
                () = until(self.complete_at) => return Gathered::Batch(self.take()),
                time = told(&mut self.tip), if self.batch.records.is_empty() => {
                    // What arrived before this time was given out, unless the reader gave way to other tasks within a
                    // page.
                    match reader.next_of_page() {
                        None => return Gathered::Tip(time),
                        Some(item) => self.add(item),
                    }
                }
            }
        }
    }

    fn add(&mut self, item: ShardItem) {
        let ShardItem::Record(record, behind_latest) = item else {
            self.last = Some(item);
            return;
        };
        if self.batch.records.is_empty() {
            self.complete_at = Some(self.clock.instant() + self.limits.wait_max);
        }
        self.bytes += memory_bytes(&record);
        self.batch.behind_latest = behind_latest;
        self.batch.records.push(record);
    }

    fn is_full(&self) -> bool {
        self.batch.records.len() >= self.limits.records_max || self.bytes >= self.limits.bytes_max
    }

    fn take(&mut self) -> RawBatch {
        self.bytes = 0;
        self.complete_at = None;
        std::mem::take(&mut self.batch)
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

async fn told(tip: &mut watch::Receiver<Option<SystemTime>>) -> SystemTime {
    loop {
        if tip.changed().await.is_err() {
            return pending().await;
        }
        if let Some(time) = *tip.borrow_and_update() {
            return time;
        }
    }
}
