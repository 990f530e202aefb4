//! A queue of records in two columns: their bytes and keys, and their completions.
//!
//! A request takes the records of a run at once, column by column. A record that is moved by itself costs three times as
//! much: it is too large for the registers.

use std::collections::VecDeque;

use tokio::time::Instant;

use crate::{
    digest,
    put::{
        pending::pending::{Completion, PendingRecord},
        request::{entry::QueueId, request::Request},
    },
    record::EncodedRecord,
    shard::HashKey,
};

/// Records in the order of their arrival.
#[derive(Debug, Default)]
pub(super) struct RecordColumns {
    records: VecDeque<EncodedRecord>,
    /// As many, in the same order.
    completions: VecDeque<Completion>,
}

impl RecordColumns {
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    #[inline]
    pub(super) fn push(&mut self, user: PendingRecord) {
        let PendingRecord { record, completion } = user;
        self.records.push_back(record);
        self.completions.push_back(completion);
    }

    pub(super) fn pop(&mut self) -> Option<PendingRecord> {
        let (record, completion) = (self.records.pop_front()?, self.completions.pop_front()?);
        Some(PendingRecord { record, completion })
    }

    /// Returns the records from the front on.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&EncodedRecord, &Completion)> {
        self.records.iter().zip(&self.completions)
    }

    /// Returns the time at which the record with this index was accepted.
    pub(super) fn entered_at(&self, index: usize) -> Option<Instant> {
        let completion = self.completions.get(index)?;
        Some(completion.entered_at)
    }

    /// Finds the hash key of each record from index `from` on: its explicit one, or the MD5 of its partition key.
    pub(super) fn find_hash_keys(&mut self, from: usize) {
        let records = || self.records.range(from..);
        let keyed = records().filter(|record| record.explicit_hash_key.is_none());
        let keys: Vec<_> = keyed
            .map(|record| record.partition_key.as_bytes())
            .collect();
        let mut digests = digest::of_each(&keys).into_iter();
        let explicit = records().map(|record| record.explicit_hash_key);
        for (completion, explicit) in self.completions.range_mut(from..).zip(explicit) {
            let hash_key = explicit.or_else(|| digests.next().map(HashKey::of_digest));
            completion.place_by(hash_key.unwrap_or(HashKey::MIN));
        }
    }

    /// Takes all completions out, each with its record, and drops the records behind.
    pub(super) fn drain(&mut self, mut each: impl FnMut(&EncodedRecord, Completion)) {
        for (record, completion) in self.records.iter().zip(self.completions.drain(..)) {
            each(record, completion);
        }
        self.records.clear();
    }

    /// Moves the first records to a request that has claimed room for them, each with the id of its queue.
    pub(super) fn send(&mut self, queues: &[QueueId], request: &mut Request) {
        let records = self.records.drain(..queues.len());
        let completions = self.completions.drain(..queues.len());
        request.push_claimed(queues, records, completions);
    }

    pub(super) fn shrink_to(&mut self, records: usize) {
        self.records.shrink_to(records);
        self.completions.shrink_to(records);
    }
}
