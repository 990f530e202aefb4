use std::{collections::VecDeque, future::pending, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::drain_mark::{DrainMark, DrainPhase};
use crate::{
    KinesisRecord,
    fleet::worker::{
        Processor, ShardStart,
        settings::BatchLimits,
        shard::{context::Halt, gather::RawBatch, lane::Lane, process::Work},
    },
    get::{Ordinal, UserRecord},
    record::own,
};

/// An input of a lane.
#[derive(Debug)]
pub(super) enum LaneInput {
    Records(Vec<LaneRecord>, Option<Duration>),
    /// The end of the shard.
    End,
}

/// A record in a lane.
#[derive(Debug)]
pub(super) struct LaneRecord {
    pub(super) read: UserRecord,
    /// The record's step of the watermark.
    pub(super) step: Ordinal,
    pub(super) key_hash: u64,
    pub(super) bytes: usize,
}

impl LaneRecord {
    /// Gives a small record memory of its own, as it is counted: what it shares with its neighbours in the page would be
    /// kept for as long as it waits.
    pub(super) fn own(&mut self) {
        own(&mut self.read.encoded.data, true);
    }
}

/// The records that a lane has processed: each one's key hash and bytes.
#[derive(Debug)]
pub(super) struct Processed {
    pub(super) lane: usize,
    pub(super) records: Vec<(u64, usize)>,
}

/// The queue of a lane, in the order of the shard. The window of the lanes bounds it.
struct LaneQueue {
    inputs: mpsc::UnboundedReceiver<LaneInput>,
    limits: BatchLimits,
    records: VecDeque<LaneRecord>,
    bytes: usize,
    behind_latest: Option<Duration>,
    /// The time at which the batch is complete, whatever its size.
    complete_at: Option<Instant>,
    /// The end of the inputs, once it has come.
    end: Option<QueueEnd>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum QueueEnd {
    OfShard,
    /// The driver has left the shard.
    Closed,
}

impl LaneQueue {
    /// Waits for a batch. Cancel safe.
    async fn next(&mut self, now: impl Fn() -> Instant) -> Result<Vec<LaneRecord>, QueueEnd> {
        loop {
            while self.end.is_none()
                && let Ok(input) = self.inputs.try_recv()
            {
                self.add(Some(input), now());
            }
            let is_full = self.records.len() >= self.limits.records_max
                || self.bytes >= self.limits.bytes_max;
            let waits = !is_full && !self.limits.wait_max.is_zero();
            match self.end {
                Some(end) if self.records.is_empty() => return Err(end),
                None if self.records.is_empty() || waits => {}
                _ => return Ok(self.take()),
            }
            tokio::select! {
                biased;
                input = self.inputs.recv() => self.add(input, now()),
                () = until(self.complete_at) => return Ok(self.take()),
            }
        }
    }

    fn add(&mut self, input: Option<LaneInput>, now: Instant) {
        match input {
            Some(LaneInput::Records(records, behind_latest)) => {
                self.complete_at.get_or_insert(now + self.limits.wait_max);
                self.behind_latest = behind_latest;
                self.bytes += records.iter().map(|record| record.bytes).sum::<usize>();
                self.records.extend(records);
            }
            Some(LaneInput::End) => self.end = Some(QueueEnd::OfShard),
            None => self.end = Some(QueueEnd::Closed),
        }
    }

    fn take(&mut self) -> Vec<LaneRecord> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < self.limits.records_max
            && bytes < self.limits.bytes_max
            && let Some(record) = self.records.pop_front()
        {
            bytes += record.bytes;
            batch.push(record);
        }
        self.bytes -= bytes;
        // The remaining records have waited long enough: they form the next batch without another wait.
        if self.records.is_empty() {
            self.complete_at = None;
        }
        batch
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

/// The task of one lane: it takes batches from the queue and gives them to its processor, one after the other.
pub(super) struct LaneTask<P> {
    lane: Lane<P>,
    number: usize,
    queue: LaneQueue,
    processed: mpsc::UnboundedSender<Processed>,
    mark: Arc<DrainMark>,
    start: ShardStart,
}

impl<P> LaneTask<P>
where
    P: Processor,
    P::Record: KinesisRecord + Send,
{
    pub(super) fn new(
        lane: Lane<P>,
        number: usize,
        inputs: mpsc::UnboundedReceiver<LaneInput>,
        processed: mpsc::UnboundedSender<Processed>,
        mark: Arc<DrainMark>,
        start: ShardStart,
    ) -> Self {
        let queue = LaneQueue {
            inputs,
            limits: lane.shard.settings.batch,
            records: VecDeque::new(),
            bytes: 0,
            behind_latest: None,
            complete_at: None,
            end: None,
        };
        Self {
            lane,
            number,
            queue,
            processed,
            mark,
            start,
        }
    }

    /// Works until the shard ends, the driver leaves it, or the lease is lost. A loss ends it at the processor's next
    /// `await`.
    pub(super) async fn run(mut self) -> Halt {
        let hold = self.lane.shard.hold.clone();
        let halt = tokio::select! {
            biased;
            () = hold.lost() => Halt::Lost,
            halt = self.work_and_shut_down() => halt,
        };
        if matches!(halt, Halt::Lost) {
            self.lane.lease_lost().await;
        }
        halt
    }

    async fn work_and_shut_down(&mut self) -> Halt {
        let halt = match self.work().await {
            Ok(()) => Halt::Ended,
            Err(halt) => halt,
        };
        if matches!(halt, Halt::Leave) && self.mark.phase() != DrainPhase::Closed {
            self.lane.shutdown_requested().await;
        }
        halt
    }

    async fn work(&mut self) -> Result<(), Halt> {
        self.lane.initialize(&self.start).await?;
        loop {
            let clock = self.lane.shard.target.clock.clone();
            match self.queue.next(|| clock.instant()).await {
                Ok(batch) => self.process(batch).await?,
                Err(QueueEnd::OfShard) => return self.lane.shard_ended().await,
                Err(QueueEnd::Closed) => return Err(Halt::Leave),
            }
        }
    }

    async fn process(&mut self, mut batch: Vec<LaneRecord>) -> Result<(), Halt> {
        let mut steps: Vec<_> = batch.iter().map(|record| record.step).collect();
        let allowed = self.mark.begin(&steps);
        if allowed == 0 {
            return Err(Halt::Leave);
        }
        batch.truncate(allowed);
        steps.truncate(allowed);
        let processed = Processed {
            lane: self.number,
            records: batch
                .iter()
                .map(|record| (record.key_hash, record.bytes))
                .collect(),
        };
        let raw = RawBatch {
            records: batch.into_iter().map(|record| record.read).collect(),
            behind_latest: self.queue.behind_latest,
        };
        self.lane.process(Work::with_steps(raw, steps)).await?;
        // An error means that the driver is gone.
        let _ = self.processed.send(processed);
        Ok(())
    }
}
