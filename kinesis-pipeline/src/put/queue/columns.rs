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
    pub(in crate::put) fn iter(&self) -> impl Iterator<Item = (&EncodedRecord, &Completion)> {
        self.records.iter().zip(&self.completions)
    }

    /// Returns the time at which the record with this index was accepted.
    pub(in crate::put) fn entered_at(&self, index: usize) -> Option<Instant> {
        let completion = self.completions.get(index)?;
        Some(completion.entered_at)
    }

    /// Returns the load of all records.
    pub(super) fn load(&self) -> Load {
        let records = self.records.iter();
        records
            .map(|record| Load::record(record.size_bytes()))
            .sum()
    }

    /// Has the records in a range join a flush group.
    pub(in crate::put) fn join(&mut self, range: Range<usize>, flush_group: &Arc<FlushGroup>) {
        for completion in self.completions.range_mut(range) {
            completion.join(flush_group);
        }
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

    /// Hands out the first records, whose completions are taken, and drops them behind.
    pub(super) fn drain(
        &mut self,
        count: usize,
        mut each: impl FnMut(&EncodedRecord, &mut Completion),
    ) {
        let completions = self.completions.range_mut(..count);
        for (record, completion) in self.records.iter().zip(completions) {
            each(record, completion);
        }
        self.completions.drain(..count);
        self.records.drain(..count);
    }

    /// Moves all records behind those of other columns.
    pub(super) fn move_to(&mut self, other: &mut Self) {
        if other.len() == 0 {
            return std::mem::swap(self, other);
        }
        other.records.append(&mut self.records);
        other.completions.append(&mut self.completions);
    }

    /// Begins the attempts of the first records, and moves them to a request that has claimed room for them, each with the
    /// id of its queue.
    pub(super) fn send(&mut self, queues: &[QueueId], request: &mut Request) {
        // Before the move, not in it: a copy right after a smaller write to the same memory stalls (store forwarding).
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        Clock, PartitionKey,
        put::{admission::budget::Charge, pending::receipt::Receipts},
    };

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Push,
        Pop,
        Drain(usize),
        Move,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => Just(Step::Push),
            1 => Just(Step::Pop),
            1 => (0_usize..9).prop_map(Step::Drain),
            1 => Just(Step::Move),
        ]
    }

    /// Returns the numbers of the records, and checks that each has its completion.
    fn numbers(columns: &RecordColumns) -> VecDeque<u8> {
        let rows = columns.iter().map(|(record, completion)| {
            assert_eq!(record.data[0], u8::try_from(completion.attempts).unwrap());
            record.data[0]
        });
        rows.collect()
    }

    proptest! {
        #[test]
        fn columns_are_a_queue_whose_records_keep_their_completions(
            steps in prop::collection::vec(step(), 0..60),
        ) {
            let mut receipts = Receipts::new("s".into());
            let (mut columns, mut behind) = (RecordColumns::default(), RecordColumns::default());
            let (mut model, mut model_behind) = (VecDeque::new(), VecDeque::new());
            for (number, step) in (0_u8..).zip(steps) {
                match step {
                    Step::Push => {
                        let data = vec![number].into();
                        let record = EncodedRecord::new(PartitionKey::known("k"), data);
                        let now = Clock::system().instant();
                        let mut completion = Completion::new(now, receipts.pair().0, Charge::default());
                        completion.attempts = number.into();
                        columns.push(record, completion);
                        model.push_back(number);
                    }
                    Step::Pop => {
                        let popped = columns.pop().map(|user| user.record.data[0]);
                        prop_assert_eq!(popped, model.pop_front());
                    }
                    Step::Drain(count) => {
                        let count = count.min(model.len());
                        let mut drained = Vec::new();
                        columns.drain(count, |record, completion| {
                            let completion = completion.take();
                            assert_eq!(record.data[0], u8::try_from(completion.attempts).unwrap());
                            drained.push(record.data[0]);
                        });
                        prop_assert!(model.drain(..count).eq(drained));
                    }
                    Step::Move => {
                        columns.move_to(&mut behind);
                        model_behind.append(&mut model);
                    }
                }
                prop_assert_eq!(&numbers(&columns), &model);
                prop_assert_eq!(&numbers(&behind), &model_behind);
            }
        }
    }
}
