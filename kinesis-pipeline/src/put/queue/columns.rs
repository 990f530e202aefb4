//! A queue of records in two columns: their bytes and keys, and their completions.
//!
//! A put writes its record into the columns of the inbox. The driver takes these as they are, and a request takes the
//! records of a run at once, column by column. A record that is moved by itself costs three times as much: it is too large
//! for the registers.

use std::{collections::VecDeque, ops::Range, sync::Arc};

use tokio::time::Instant;

use crate::{
    digest,
    put::{
        pending::{
            flush::FlushGroup,
            pending::{Completion, PendingRecord},
        },
        queue::load::Load,
        request::{entry::QueueId, request::Request},
    },
    record::EncodedRecord,
    shard::HashKey,
};

/// Records in the order of their arrival.
#[derive(Debug, Default)]
pub(in crate::put) struct RecordColumns {
    records: VecDeque<EncodedRecord>,
    /// As many, in the same order.
    completions: VecDeque<Completion>,
}

impl RecordColumns {
    pub(in crate::put) fn len(&self) -> usize {
        self.records.len()
    }

    #[inline]
    pub(in crate::put) fn push(&mut self, record: EncodedRecord, completion: Completion) {
        self.records.push_back(record);
        self.completions.push_back(completion);
    }

    pub(in crate::put) fn pop(&mut self) -> Option<PendingRecord> {
        let (record, completion) = (self.records.pop_front()?, self.completions.pop_front()?);
        Some(PendingRecord { record, completion })
    }

    /// Returns the records from the front on.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&EncodedRecord, &Completion)> {
        self.records.iter().zip(&self.completions)
    }

    /// Returns the time at which the record with this index was accepted.
    pub(in crate::put) fn entered_at(&self, index: usize) -> Option<Instant> {
        let completion = self.completions.get(index)?;
        Some(completion.entered_at)
    }

    /// Returns the load of the first records, and has them join a flush group.
    pub(super) fn join(&mut self, count: usize, flush_group: &Arc<FlushGroup>) -> Load {
        for completion in self.completions.range_mut(..count) {
            completion.join(flush_group);
        }
        let records = self.records.range(..count);
        records
            .map(|record| Load::record(record.size_bytes()))
            .sum()
    }

    /// Finds the hash key of each record in a range: its explicit one, or the MD5 of its partition key.
    pub(super) fn find_hash_keys(&mut self, range: Range<usize>) {
        let records = || self.records.range(range.clone());
        let keyed = records().filter(|record| record.explicit_hash_key.is_none());
        let keys: Vec<_> = keyed
            .map(|record| record.partition_key.as_bytes())
            .collect();
        let mut digests = digest::of_each(&keys).into_iter();
        let explicit = records().map(|record| record.explicit_hash_key);
        for (completion, explicit) in self.completions.range_mut(range.clone()).zip(explicit) {
            let hash_key = explicit.or_else(|| digests.next().map(HashKey::of_digest));
            completion.place_by(hash_key.unwrap_or(HashKey::MIN));
        }
    }

    /// Takes out the completions of the first records, each with its record, and drops these behind.
    pub(super) fn drain(&mut self, count: usize, mut each: impl FnMut(&EncodedRecord, Completion)) {
        for (record, completion) in self.records.iter().zip(self.completions.drain(..count)) {
            each(record, completion);
        }
        self.records.drain(..count);
    }

    /// Moves the first records behind those of other columns.
    pub(super) fn move_to(&mut self, other: &mut Self, count: usize) {
        match (other.len(), self.len() - count) {
            (0, 0) => std::mem::swap(self, other),
            // All at once: in two copies of memory.
            (_, 0) => {
                other.records.append(&mut self.records);
                other.completions.append(&mut self.completions);
            }
            _ => {
                other.records.extend(self.records.drain(..count));
                other.completions.extend(self.completions.drain(..count));
            }
        }
    }

    /// Begins the attempts of the first records, and moves them to a request that has claimed room for them, each with the
    /// id of its queue.
    pub(super) fn send(&mut self, queues: &[QueueId], request: &mut Request) {
        // Before the move: one of what was just changed would wait for the change.
        for completion in self.completions.range_mut(..queues.len()) {
            completion.sent();
        }
        let records = self.records.drain(..queues.len());
        let completions = self.completions.drain(..queues.len());
        request.push_claimed(queues, records, completions);
    }

    pub(in crate::put) fn shrink_to(&mut self, records: usize) {
        self.records.shrink_to(records);
        self.completions.shrink_to(records);
    }

    #[cfg(test)]
    pub(in crate::put) fn capacity(&self) -> usize {
        self.records.capacity().max(self.completions.capacity())
    }
}
