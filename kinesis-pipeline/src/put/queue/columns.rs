//! A queue of records in two columns: their contents and their completions.
//!
//! A put writes its record into the columns of the inbox. The driver takes these as they are, and a request takes the
//! records of a run at once, column by column. A record that is moved by itself costs three times as much: it is too large
//! for the registers.

use std::{collections::VecDeque, ops::Range, sync::Arc};

use bytes::Bytes;
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
    record::{Encoded, EncodedData, EncodedRecord, PartitionKey},
    shard::HashKey,
};

/// Records in the order of their arrival.
#[derive(Debug, Default)]
pub(in crate::put) struct RecordColumns {
    contents: VecDeque<Content>,
    /// As many, in the same order.
    completions: VecDeque<Completion>,
}

/// The content of a record. Its explicit hash key stands in its completion, as few records have one.
#[derive(Debug)]
struct Content {
    data: Bytes,
    partition_key: PartitionKey,
}

impl Content {
    #[inline]
    fn size_bytes(&self) -> usize {
        self.data.len() + self.partition_key.len()
    }

    #[inline]
    fn encoded<'a>(&'a self, completion: &Completion) -> Encoded<'a> {
        Encoded {
            data: EncodedData::Owned(&self.data),
            partition_key: &self.partition_key,
            explicit_hash_key: completion.explicit_hash_key(),
        }
    }

    #[inline]
    fn into_record(self, explicit_hash_key: Option<HashKey>) -> EncodedRecord {
        EncodedRecord {
            data: self.data,
            partition_key: self.partition_key,
            explicit_hash_key,
        }
    }
}

impl RecordColumns {
    pub(in crate::put) fn len(&self) -> usize {
        self.contents.len()
    }

    /// Appends a record with this content. Its explicit hash key is that of the completion.
    #[inline]
    pub(in crate::put) fn push(
        &mut self,
        data: Bytes,
        partition_key: PartitionKey,
        completion: Completion,
    ) {
        self.contents.push_back(Content {
            data,
            partition_key,
        });
        self.completions.push_back(completion);
    }

    pub(in crate::put) fn pop(&mut self) -> Option<PendingRecord> {
        let (content, completion) = (self.contents.pop_front()?, self.completions.pop_front()?);
        let record = content.into_record(completion.explicit_hash_key());
        Some(PendingRecord { record, completion })
    }

    /// Returns the records from the front on.
    pub(in crate::put) fn iter(&self) -> impl Iterator<Item = (Encoded<'_>, &Completion)> {
        let rows = self.contents.iter().zip(&self.completions);
        rows.map(|(content, completion)| (content.encoded(completion), completion))
    }

    /// Returns the sizes of the records from the front on, in bytes.
    pub(super) fn sizes(&self) -> impl Iterator<Item = usize> {
        self.contents.iter().map(Content::size_bytes)
    }

    /// Returns the time at which the record with this index was accepted.
    pub(in crate::put) fn entered_at(&self, index: usize) -> Option<Instant> {
        let completion = self.completions.get(index)?;
        Some(completion.entered_at)
    }

    /// Returns the load of all records.
    pub(super) fn load(&self) -> Load {
        self.sizes().map(Load::record).sum()
    }

    /// Has the records in a range join a flush group.
    pub(in crate::put) fn join(&mut self, range: Range<usize>, flush_group: &Arc<FlushGroup>) {
        for completion in self.completions.range_mut(range) {
            completion.join(flush_group);
        }
    }

    /// Finds the hash key of each record in a range: its explicit one, or the MD5 of its partition key.
    pub(super) fn find_hash_keys(&mut self, range: Range<usize>) {
        let completions = self.completions.range(range.clone());
        let rows = self.contents.range(range.clone()).zip(completions);
        let keyed = rows.filter(|(_, completion)| completion.explicit_hash_key().is_none());
        let keys: Vec<_> = keyed
            .map(|(content, _)| content.partition_key.as_bytes())
            .collect();
        let digests = digest::of_each(&keys).into_iter();
        let completions = self.completions.range_mut(range);
        let keyed = completions.filter(|completion| completion.explicit_hash_key().is_none());
        for (completion, digest) in keyed.zip(digests) {
            completion.place_by(HashKey::of_digest(digest));
        }
    }

    /// Hands out the first records, whose completions are taken, and drops them behind.
    pub(super) fn drain(
        &mut self,
        count: usize,
        mut each: impl FnMut(Encoded<'_>, &mut Completion),
    ) {
        let completions = self.completions.range_mut(..count);
        for (content, completion) in self.contents.iter().zip(completions) {
            each(content.encoded(completion), completion);
        }
        self.completions.drain(..count);
        self.contents.drain(..count);
    }

    /// Moves all records behind those of other columns.
    pub(super) fn move_to(&mut self, other: &mut Self) {
        if other.len() == 0 {
            return std::mem::swap(self, other);
        }
        other.contents.append(&mut self.contents);
        other.completions.append(&mut self.completions);
    }

    /// Begins the attempts of the first records, and moves them to a request that has claimed room for them, each with the
    /// id of its queue.
    pub(super) fn send(&mut self, queues: &[QueueId], request: &mut Request) {
        // Before the move, not in it: a copy right after a smaller write to the same memory stalls (store forwarding).
        let count = queues.len();
        for completion in self.completions.range_mut(..count) {
            completion.sent();
        }
        let explicit = self.completions.range(..count);
        let explicit = explicit.map(Completion::explicit_hash_key);
        let contents = self.contents.drain(..count).zip(explicit);
        let records = contents.map(|(content, explicit)| content.into_record(explicit));
        request.draft_claimed(records);
        request.push_claimed(queues, self.completions.drain(..count));
    }

    /// Gives back the memory for more than this number of records.
    pub(in crate::put) fn shrink_to(&mut self, records: usize) {
        self.contents.shrink_to(records);
        self.completions.shrink_to(records);
    }

    #[cfg(test)]
    pub(in crate::put) fn reserve(&mut self, records: usize) {
        self.contents.reserve(records);
        self.completions.reserve(records);
    }

    /// Returns the number of records for which the larger column has memory.
    pub(in crate::put) fn capacity(&self) -> usize {
        self.contents.capacity().max(self.completions.capacity())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        Clock,
        put::{admission::budget::Charge, pending::receipt::Receipts},
    };

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Push,
        Pop,
        Drain(usize),
        Move,
        FindHashKeys,
    }

    /// Returns the explicit hash key of this record: every third has one.
    fn explicit(number: u8) -> Option<HashKey> {
        number
            .is_multiple_of(3)
            .then(|| HashKey::new(number.into()))
    }

    fn key(number: u8) -> PartitionKey {
        PartitionKey::new(number.to_string()).unwrap()
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => Just(Step::Push),
            1 => Just(Step::Pop),
            1 => (0_usize..9).prop_map(Step::Drain),
            1 => Just(Step::Move),
            1 => Just(Step::FindHashKeys),
        ]
    }

    /// Returns the numbers of the records, and checks that each has its completion.
    fn numbers(columns: &RecordColumns) -> VecDeque<u8> {
        let rows = columns.iter().map(|(record, completion)| {
            let number = record.data.bytes()[0];
            assert_eq!(number, u8::try_from(completion.attempts).unwrap());
            number
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
                        let explicit = explicit(number);
                        let now = Clock::system().instant();
                        let waiter = receipts.pair().0;
                        let mut completion = Completion::new(now, explicit, waiter, Charge::default());
                        completion.attempts = number.into();
                        columns.push(vec![number].into(), key(number), completion);
                        model.push_back(number);
                    }
                    Step::Pop => {
                        let popped = columns.pop().map(|user| {
                            let number = user.record.data[0];
                            assert_eq!(user.record.explicit_hash_key, explicit(number));
                            number
                        });
                        prop_assert_eq!(popped, model.pop_front());
                    }
                    Step::Drain(count) => {
                        let count = count.min(model.len());
                        let mut drained = Vec::new();
                        columns.drain(count, |record, completion| {
                            let number = record.data.bytes()[0];
                            assert_eq!(number, u8::try_from(completion.take().attempts).unwrap());
                            assert_eq!(record.explicit_hash_key, explicit(number));
                            drained.push(number);
                        });
                        prop_assert!(model.drain(..count).eq(drained));
                    }
                    Step::Move => {
                        columns.move_to(&mut behind);
                        model_behind.append(&mut model);
                    }
                    Step::FindHashKeys => {
                        columns.find_hash_keys(0..columns.len());
                        let found = columns.iter().map(|(_, completion)| completion.hash_key());
                        let expected = model.iter().map(|number| {
                            explicit(*number).unwrap_or_else(|| HashKey::of_partition_key(&number.to_string()))
                        });
                        prop_assert!(found.eq(expected));
                    }
                }
                prop_assert_eq!(&numbers(&columns), &model);
                prop_assert_eq!(&numbers(&behind), &model_behind);
            }
        }
    }
}
