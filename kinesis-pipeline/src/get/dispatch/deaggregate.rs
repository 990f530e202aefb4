use std::{collections::VecDeque, time::SystemTime, vec};

use bytes::Bytes;

use crate::{
    digest,
    record::EncodedRecord,
    service::{EncryptionType, StoredRecord},
    shard::{HashKeyRange, Position, SequenceNumber, ShardId},
    wire::{aggregate, frame, shard_records::ShardRecords},
};

/// A user record as it was put, with its position.
#[derive(Debug)]
pub(crate) struct UserRecord {
    pub(crate) position: Position,
    pub(crate) encoded: EncodedRecord,
    pub(crate) arrived_at: SystemTime,
    pub(crate) encryption_type: Option<EncryptionType>,
    /// The number of times that it was put back after it could not be processed.
    pub(crate) redrives: u32,
    /// Whether it is the last one of its Kinesis record.
    pub(super) is_last: bool,
    /// Whether it is a Kinesis record as it was stored: a plain record, or an aggregate that is kept.
    is_whole: bool,
}

/// The part of a Kinesis record that was finished before this reader: its user records up to this index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::get) struct Finished {
    pub(in crate::get) sequence_number: SequenceNumber,
    pub(in crate::get) sub_sequence_number: u64,
}

/// An iterator over the user records of a page, those of an aggregate one by one.
#[derive(Debug)]
pub(in crate::get) struct UserRecords {
    shard_id: ShardId,
    records: vec::IntoIter<StoredRecord>,
    /// Whether each of the next records that begin like an aggregate has the whole frame of one. Checked for several
    /// records side by side.
    framed: VecDeque<bool>,
    aggregate: Option<OpenAggregate>,
    finished: Option<Finished>,
    keeps_aggregates: bool,
    /// The shard's part of the key space, if it is known.
    range: Option<HashKeyRange>,
    drops_strays: bool,
    /// The number of strays: records of aggregates outside of that part.
    strays: u64,
    /// The number of user records given out.
    given: u64,
}

/// An aggregate whose records are being given out.
#[derive(Debug)]
struct OpenAggregate {
    sequence_number: SequenceNumber,
    arrived_at: SystemTime,
    encryption_type: Option<EncryptionType>,
    records: ShardRecords,
}

impl UserRecords {
    /// Makes the iterator. It skips the `finished` part if the page begins with that Kinesis record.
    pub(in crate::get) fn new(
        shard_id: ShardId,
        records: Vec<StoredRecord>,
        finished: Option<Finished>,
        keeps_aggregates: bool,
    ) -> Self {
        Self {
            shard_id,
            records: records.into_iter(),
            framed: VecDeque::new(),
            aggregate: None,
            finished,
            keeps_aggregates,
            range: None,
            drops_strays: false,
            strays: 0,
            given: 0,
        }
    }

    /// Counts the strays: records of aggregates outside of the shard's range. Drops them if wanted.
    pub(in crate::get) fn within(
        mut self,
        range: Option<HashKeyRange>,
        drops_strays: bool,
    ) -> Self {
        self.range = range;
        self.drops_strays = drops_strays;
        self
    }

    /// Returns the number of strays so far.
    pub(super) fn strays(&self) -> u64 {
        self.strays
    }

    /// Returns the number of user records given out so far.
    pub(in crate::get) fn given(&self) -> u64 {
        self.given
    }

    pub(in crate::get) fn shard_id(&self) -> &ShardId {
        &self.shard_id
    }

    /// Opens the record if it is an aggregate to split.
    fn open(&mut self, stored: &StoredRecord) -> Option<OpenAggregate> {
        if self.framed.is_empty() {
            let ahead = self.records.as_slice().iter().take(digest::LANES - 1);
            let datas = std::iter::once(stored)
                .chain(ahead)
                .map(|stored| &stored.data);
            let candidates = datas.filter(|data| frame::has_magic(data));
            self.framed = frame::are_framed(candidates).into();
        }
        self.framed.pop_front().filter(|framed| *framed)?;
        let aggregate = aggregate::split_framed(&stored.data)?;
        Some(OpenAggregate {
            sequence_number: stored.sequence_number.clone(),
            arrived_at: stored.arrived_at,
            encryption_type: stored.encryption_type,
            records: ShardRecords::new(aggregate, self.range, self.drops_strays),
        })
    }

    /// Returns the next record of the page. A plain record, of hundreds of bytes, is built from where it is in the page,
    /// without moves in between.
    #[inline]
    fn next_of_page(&mut self) -> Option<UserRecord> {
        if self.aggregate.is_some() || self.is_candidate_next() {
            return self.next_with_aggregates();
        }
        self.records.next().map(|stored| self.whole(stored))
    }

    /// Skips the finished part. Returns the first record after it.
    #[cold]
    fn next_after_finished(&mut self) -> Option<UserRecord> {
        loop {
            let record = self.next_of_page()?;
            if let Some(finished) = &self.finished {
                if finished.covers(&record) {
                    continue;
                }
                self.finished = None;
            }
            return Some(record);
        }
    }

    /// Whether the next Kinesis record may be an aggregate to split.
    #[inline]
    fn is_candidate_next(&self) -> bool {
        let next = self.records.as_slice().first();
        !self.keeps_aggregates && next.is_some_and(|stored| frame::has_magic(&stored.data))
    }

    fn next_with_aggregates(&mut self) -> Option<UserRecord> {
        loop {
            if let Some(record) = self.next_of_aggregate() {
                return Some(record);
            }
            let is_candidate = self.is_candidate_next();
            let stored = self.records.next()?;
            // The next round skips one without records.
            self.aggregate = is_candidate.then(|| self.open(&stored)).flatten();
            if self.aggregate.is_none() {
                return Some(self.whole(stored));
            }
        }
    }

    /// Returns a Kinesis record as it was stored.
    #[inline]
    fn whole(&self, stored: StoredRecord) -> UserRecord {
        UserRecord {
            position: Position::new(self.shard_id.clone(), stored.sequence_number),
            encoded: EncodedRecord::new(stored.partition_key, stored.data),
            arrived_at: stored.arrived_at,
            encryption_type: stored.encryption_type,
            redrives: 0,
            is_last: true,
            is_whole: true,
        }
    }

    /// Returns the next record of the open aggregate, and drops the aggregate once it has none left.
    fn next_of_aggregate(&mut self) -> Option<UserRecord> {
        let aggregate = self.aggregate.as_mut()?;
        let record = aggregate.next(&self.shard_id);
        self.strays += aggregate.records.take_strays();
        if aggregate.records.is_empty() {
            self.aggregate = None;
        }
        record
    }
}

impl UserRecord {
    /// Returns a copy without the record's bytes, which would cost a reference count.
    pub(crate) fn without_data(&self) -> Self {
        Self {
            position: self.position.clone(),
            encoded: EncodedRecord {
                data: Bytes::new(),
                partition_key: self.encoded.partition_key.clone(),
                explicit_hash_key: self.encoded.explicit_hash_key,
            },
            arrived_at: self.arrived_at,
            encryption_type: self.encryption_type,
            redrives: self.redrives,
            is_last: self.is_last,
            is_whole: self.is_whole,
        }
    }
}

impl Iterator for UserRecords {
    type Item = UserRecord;

    #[inline]
    fn next(&mut self) -> Option<UserRecord> {
        let record = if self.finished.is_some() {
            self.next_after_finished()
        } else {
            self.next_of_page()
        };
        self.given += u64::from(record.is_some());
        record
    }
}

impl Finished {
    /// Whether the record was finished before. An aggregate that is kept whole counts as finished only if its last record
    /// is: there is no smaller part to go on with.
    fn covers(&self, record: &UserRecord) -> bool {
        record.position.sequence_number == self.sequence_number
            && record.position.sub_sequence_number <= self.sub_sequence_number
            && !(record.is_whole && self.is_part_of(&record.encoded.data))
    }

    /// Whether this is an aggregate with more records than the finished ones.
    fn is_part_of(&self, data: &Bytes) -> bool {
        aggregate::split(data)
            .is_some_and(|aggregate| aggregate.len() as u64 - 1 > self.sub_sequence_number)
    }
}

impl OpenAggregate {
    fn next(&mut self, shard_id: &ShardId) -> Option<UserRecord> {
        let (index, encoded) = self.records.next()?;
        let position = Position::new(shard_id.clone(), self.sequence_number.clone());
        Some(UserRecord {
            position: position.at_sub_sequence_number(index),
            encoded,
            arrived_at: self.arrived_at,
            encryption_type: self.encryption_type,
            redrives: self.records.redrives(),
            is_last: self.records.is_empty(),
            is_whole: false,
        })
    }
}

#[cfg(test)]
#[path = "deaggregate_tests.rs"]
mod tests;
