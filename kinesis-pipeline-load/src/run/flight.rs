//! Batches in flight: put, and awaited in the order of the input.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use kinesis_pipeline::{EncodedRecord, PendingReceipt, Producer, ShardId};

use super::{
    batch::{BATCH_ROWS_MAX, Batch, Mark},
    progress::{Progress, add},
    resume::Resume,
};
use crate::LoadError;

/// The most rows in flight. One stuck batch keeps the receipts of all batches behind it in memory, about 100 bytes per
/// row.
const ROWS_IN_FLIGHT_MAX: u64 = 256 * 1024;

/// The batches in flight, and how far the load is stored without a gap.
pub(crate) struct Flight {
    producer: Producer<EncodedRecord>,
    progress: Arc<Progress>,
    resume: Option<Arc<Resume>>,
    /// The most rows that are put and not in the resume file.
    window: u64,
    batches: VecDeque<InFlight>,
    /// The rows of the batches in flight.
    rows_not_landed: u64,
    /// Rows that are put and not in the resume file.
    rows_unmarked: u64,
    /// Those of the unmarked rows that are stored.
    rows_stored: u64,
    /// The mark of the last batch that is stored.
    mark: Option<Mark>,
    shards: HashMap<ShardId, u64>,
}

struct InFlight {
    file: Arc<str>,
    pending: VecDeque<Pending>,
    rows: u64,
    mark: Mark,
}

struct Pending {
    receipt: PendingReceipt,
    line: u64,
    bytes: u64,
}

impl Flight {
    pub(crate) fn new(
        producer: Producer<EncodedRecord>,
        progress: Arc<Progress>,
        resume: Option<Arc<Resume>>,
        window: u64,
    ) -> Self {
        Self {
            producer,
            progress,
            resume,
            window,
            batches: VecDeque::new(),
            rows_not_landed: 0,
            rows_unmarked: 0,
            rows_stored: 0,
            mark: None,
            shards: HashMap::new(),
        }
    }

    /// Whether another batch may be put.
    pub(crate) fn has_room(&self) -> bool {
        let has_marks = || self.rows_unmarked + BATCH_ROWS_MAX <= self.window;
        self.rows_not_landed + BATCH_ROWS_MAX <= ROWS_IN_FLIGHT_MAX
            && (self.resume.is_none() || has_marks())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Puts a batch. Waits while the producer's buffer is full.
    pub(crate) async fn put(&mut self, batch: Batch) -> Result<(), LoadError> {
        let mut pending = VecDeque::with_capacity(batch.records.len());
        for (record, line) in batch.records.iter().zip(batch.lines) {
            let bytes = record.data.len() as u64;
            let receipt = self.producer.put(record).await;
            let receipt = receipt.map_err(|source| failed(&batch.file, line, source))?;
            pending.push_back(Pending {
                receipt,
                line,
                bytes,
            });
        }
        self.rows_unmarked += batch.rows;
        self.rows_not_landed += batch.rows;
        self.batches.push_back(InFlight {
            file: batch.file,
            pending,
            rows: batch.rows,
            mark: batch.mark,
        });
        Ok(())
    }

    /// Waits until the first batch is stored, and moves the mark.
    ///
    /// Cancel safe: a receipt is taken out once it is there.
    pub(crate) async fn landed(&mut self) -> Result<(), LoadError> {
        let Some(batch) = self.batches.front_mut() else {
            return Ok(());
        };
        while let Some(first) = batch.pending.front_mut() {
            let result = (&mut first.receipt).await;
            let (line, bytes) = (first.line, first.bytes);
            batch.pending.pop_front();
            let receipt = result.map_err(|source| failed(&batch.file, line, source))?;
            *self.shards.entry(receipt.shard_id).or_default() += 1;
            add(&self.progress.records, 1);
            add(&self.progress.bytes, bytes);
        }
        if let Some(batch) = self.batches.pop_front() {
            self.rows_stored += batch.rows;
            self.rows_not_landed -= batch.rows;
            self.mark = Some(batch.mark);
        }
        Ok(())
    }

    /// Whether enough rows are stored for a write of the resume file.
    pub(crate) fn is_mark_due(&self) -> bool {
        self.resume.is_some()
            && self.rows_stored > 0
            && (self.rows_stored * 2 >= self.window || !self.has_room())
    }

    /// Writes the resume file.
    pub(crate) async fn write_mark(&mut self) -> Result<(), LoadError> {
        let (Some(resume), Some(mark)) = (&self.resume, self.mark.clone()) else {
            return Ok(());
        };
        if self.rows_stored == 0 {
            return Ok(());
        }
        let resume = Arc::clone(resume);
        let written = tokio::task::spawn_blocking(move || resume.write(&mark)).await;
        // The task is never cancelled, and `write` does not panic.
        written.unwrap_or(Ok(()))?;
        self.rows_unmarked -= self.rows_stored;
        self.rows_stored = 0;
        Ok(())
    }

    /// Returns the mark of the last batch that is stored.
    pub(crate) fn mark(&self) -> Option<&Mark> {
        self.mark.as_ref()
    }

    pub(crate) fn throttled(&self) -> u64 {
        self.producer.stats().kinesis_records_throttled
    }

    pub(crate) fn per_shard(&self) -> BTreeMap<String, u64> {
        let shards = self.shards.iter();
        shards
            .map(|(shard, records)| (shard.to_string(), *records))
            .collect()
    }
}

fn failed(file: &Arc<str>, line: u64, source: kinesis_pipeline::PutError) -> LoadError {
    let file = file.to_string();
    LoadError::Put { file, line, source }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use kinesis_pipeline::{HashKey, KinesisStream, LocalKinesis, PartitionKey, local::Fault};

    use super::*;

    /// Makes a batch of `BATCH_ROWS_MAX` rows, one of which is a record.
    fn batch(hash_key: u128) -> Batch {
        let key = PartitionKey::new("k").unwrap();
        let mut record = EncodedRecord::new(key, "row".into());
        record.explicit_hash_key = Some(HashKey::new(hash_key));
        Batch {
            records: vec![record],
            lines: vec![1],
            rows: BATCH_ROWS_MAX,
            ..Batch::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn rows_behind_a_stuck_batch_are_bounded_without_a_resume_file() {
        let local = LocalKinesis::start().await.unwrap();
        let stream: KinesisStream<EncodedRecord> = local.stream("s", 2).await.unwrap();
        let stuck = Fault::throttle().on("PutRecords").each_entry();
        let stuck = stuck.shard("shardId-000000000000").always();
        local.faults().add(stuck).unwrap();
        let producer = stream.producer().build().unwrap();
        let mut flight = Flight::new(producer, Arc::default(), None, 0);
        flight.put(batch(0)).await.unwrap();
        let mut batches = 1;
        while flight.has_room() && batches < 1_000 {
            flight.put(batch(u128::MAX)).await.unwrap();
            batches += 1;
        }
        assert_eq!(batches * BATCH_ROWS_MAX, ROWS_IN_FLIGHT_MAX);
        let landed = tokio::time::timeout(Duration::from_secs(5), flight.landed());
        assert!(landed.await.is_err(), "the first is stuck");
        local.faults().clear();
        flight.landed().await.unwrap();
        assert!(flight.has_room());
    }
}
